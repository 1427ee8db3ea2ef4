"""What a limit of open files means: for a node's connections, for a load, for a running server."""

from __future__ import annotations

import os
import resource

import psutil
import pytest

from cluster import open_files
from cluster.errors import ClusterError
from cluster.servers import memcached_argv

INFINITE = resource.RLIM_INFINITY


class Limits:
    """The limits of this process, in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = (1024, 1024)
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(resource, "setrlimit", self._set)

    def _set(self, _: int, limits: tuple[int, int]) -> None:
        if self.now[1] != INFINITE and limits[0] > self.now[1]:
            raise ValueError("current limit exceeds maximum limit")
        self.now = limits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    return Limits(monkeypatch)


@pytest.mark.parametrize(
    ("hard", "connections"),
    [
        pytest.param(1024, 960, id="a small machine"),
        pytest.param(4160, 4096, id="just enough"),
        pytest.param(20_000, 4096, id="a large machine"),
        pytest.param(INFINITE, 4096, id="no limit"),
        pytest.param(128, 64, id="the least"),
    ],
)
def test_a_node_takes_what_the_machine_allows(limits: Limits, hard: int, connections: int) -> None:
    """It keeps some files for itself."""
    limits.now = (hard, hard)
    argv = memcached_argv("memcached", 11211, 64)
    assert argv[argv.index("-c") + 1] == str(connections)


def test_too_few_files_for_any_node_are_one_line(limits: Limits) -> None:
    """The line says how many there are, and what to raise."""
    limits.now = (100, 100)
    with pytest.raises(ClusterError, match=r"100 open files here, .*: raise the hard limit \(`uli"):
        open_files.connection_limit()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((1024, 20_000), (10_000, 20_000), id="as Locust wants"),
        pytest.param((1024, 4096), (4096, 4096), id="as the machine allows"),
        pytest.param((1024, INFINITE), (10_000, INFINITE), id="no hard limit"),
        pytest.param((16_384, 20_000), (16_384, 20_000), id="more already"),
        pytest.param((INFINITE, INFINITE), (INFINITE, INFINITE), id="no limit at all"),
    ],
)
def test_the_own_limit_is_raised_and_never_lowered(
    limits: Limits, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Below Locust's wish it is raised to what there is."""
    limits.now = before
    open_files.raise_own_limit()
    assert limits.now == after


@pytest.mark.parametrize(
    ("calls", "here", "proxied", "says"),
    [
        pytest.param(160, True, True, "", id="fits"),
        pytest.param(161, True, True, "1030 open files of toxiproxy-server", id="proxies"),
        pytest.param(321, True, False, "1027 open files of this process", id="this process"),
        pytest.param(321, False, False, "", id="load and nodes elsewhere"),
    ],
)
def test_a_load_that_cannot_be_carried_is_one_line(
    limits: Limits, calls: int, here: bool, proxied: bool, says: str
) -> None:
    """A connection through a proxy takes two of its files; workers are on machines of their own."""
    if not says:
        open_files.check_load(calls, nodes=3, here=here, proxied=proxied)
        return
    with pytest.raises(ClusterError, match=f"{says}, which may have 1024: raise the hard limit"):
        open_files.check_load(calls, nodes=3, here=here, proxied=proxied)


def test_a_server_without_a_free_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that, and when it has ended meanwhile, there is nothing to say."""
    open_files.check_server("toxiproxy-server", os.getpid())
    monkeypatch.setattr(psutil.Process, "rlimit", lambda *_: (INFINITE, INFINITE))
    open_files.check_server("toxiproxy-server", os.getpid())
    monkeypatch.setattr(psutil.Process, "rlimit", lambda *_: (4, 20_000))
    with pytest.raises(ClusterError, match=r"^toxiproxy-server has \d+ of 4 files open: raise"):
        open_files.check_server("toxiproxy-server", os.getpid())
    open_files.check_server("toxiproxy-server", 2**22 + 1)

"""Look-ups of `--nodes` end at a deadline, in one line."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.external import ExternalCluster
from cluster.names import NoAnswerError, look_up
from cluster.probe import UnreachableError, version
from faults.remote import is_loopback

ENTRY = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 1))


def answering(host: str, port: int, **options: Any) -> list[Any]:
    if options.get("flags"):
        raise socket.gaierror(socket.EAI_NONAME, "not a number")
    return [ENTRY]


def test_answers_and_failures_go_through() -> None:
    """Both are what `getaddrinfo` says; a number needs no thread."""
    assert look_up("cache", 1, ask=answering) == [ENTRY]

    def failing(host: str, port: int, **_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(socket.gaierror, match="unknown"):
        look_up("cache", 1, ask=failing)
    here = threading.current_thread()

    def number(host: str, port: int, **_: Any) -> list[Any]:
        assert threading.current_thread() is here
        return [ENTRY]

    assert look_up("10.0.0.1", 1, ask=number) == [ENTRY]


@pytest.fixture
def dead_name_server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let every name hang, and the deadline be short."""
    gate = threading.Event()

    def hang(host: str, port: int, **options: Any) -> list[Any]:
        if not options.get("flags"):
            gate.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setitem(look_up.__kwdefaults__, "within_s", 0.05)
    yield
    gate.set()


@pytest.mark.usefixtures("dead_name_server")
def test_a_dead_name_server_is_named_in_one_line() -> None:
    """The run is refused (ClusterError is exit code 2) instead of hanging."""
    with pytest.raises(NoAnswerError):
        look_up("cache", 1)
    with pytest.raises(UnreachableError, match="not resolved within"):
        version(("cache.test", 11211), 0.05)
    with pytest.raises(ClusterError) as refusal:
        ExternalCluster([("cache.test", 11211)]).start()
    assert str(refusal.value) == (
        "--nodes: cache.test was not resolved within 0.05 s: check the name server"
    )
    with pytest.raises(ClusterError, match=r"--toxiproxy-url: proxy\.test was not resolved"):
        ExternalCluster([], toxiproxy_url="http://proxy.test:8474").start()
    assert not is_loopback("cache.test")

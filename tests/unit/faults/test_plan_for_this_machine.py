"""A plan names what this machine would do: the usual means, a stand-in, or that it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from faults.backends import foretold
from faults.backends.cgroup import Hierarchy, obstacle
from faults.looking import planned


def text_of(tmp_path: Path, fault: str) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(f"name: x\nfaults:\n  - {{id: a, at: 0s, duration: 9s, {fault}}}\n")
    texts = {planned(str(path), seed=3, time_scale=1.0, nodes=None) for _ in range(2)}
    assert len(texts) == 1
    return texts.pop()


@pytest.fixture
def _without_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foretold, "find_nft", lambda: None)


@pytest.fixture
def _with_toxiproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foretold, "find_toxiproxy", lambda: "/usr/bin/toxiproxy-server")


ONE = "target: {mode: one}"


@pytest.mark.usefixtures("_without_nft", "_with_toxiproxy")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(
            f"kind: loss, percent: 5, {ONE}",
            "stand-in on this machine: Toxiproxy: toxic bandwidth 0 holds the replies of 5 %",
            id="loss",
        ),
        pytest.param(
            f"kind: partition, direction: to, {ONE}",
            "(no packet filter: nft is not installed)",
            id="partition",
        ),
        pytest.param(
            f"kind: no_connect, open_connections: reset, {ONE}",
            "a listener that accepts nobody",
            id="full backlog",
        ),
        pytest.param(
            f"kind: duplicate, percent: 5, {ONE}",
            "a: cannot be done here: nft is not installed: run as root with nft",
            id="nothing stands in",
        ),
    ],
)
def test_without_a_packet_filter_the_plan_says_so(tmp_path: Path, fault: str, said: str) -> None:
    """In the very words of the run, and again the same."""
    assert said in text_of(tmp_path, fault)


def test_without_groups_that_limit_the_processor_nodes_are_halted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps a quota from being set is part of it."""
    monkeypatch.setattr(foretold, "find_hierarchy", lambda: None)
    said = text_of(tmp_path, f"kind: cpu, share: 10%, {ONE}")
    assert "stand-in on this machine: memcached is halted and woken in turn" in said


def test_without_toxiproxy_nothing_that_needs_it_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out is the one that the run would name."""

    def missing() -> str:
        raise ClusterError("toxiproxy-server is missing: run `make setup`")

    monkeypatch.setattr(foretold, "find_toxiproxy", missing)
    for kind in ("down", "dns_change", "loss, percent: 5"):
        said = text_of(tmp_path, f"kind: {kind}, {ONE}")
        assert "a: cannot be done here: toxiproxy-server is missing: run `make setup`" in said
    assert "cannot be done" not in text_of(tmp_path, f"kind: crash, {ONE}")


@pytest.mark.parametrize(
    ("version", "passed_on", "is_free"),
    [
        pytest.param(1, None, True, id="version 1"),
        pytest.param(2, "cpu io", True, id="version 2"),
        pytest.param(2, "memory", False, id="version 2 without cpu"),
        pytest.param(2, None, False, id="version 2 that says nothing"),
    ],
)
def test_a_look_tells_whether_a_group_could_be_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    passed_on: str | None,
    is_free: bool,
) -> None:
    """And makes none."""
    if passed_on is not None:
        (tmp_path / "cgroup.subtree_control").write_text(passed_on)
    hierarchy = Hierarchy(root=tmp_path, version=version)
    monkeypatch.setattr(Hierarchy, "home", lambda self, pid: tmp_path)
    before = sorted(tmp_path.iterdir())
    assert (obstacle(hierarchy, 1) == "") is is_free
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert obstacle(hierarchy, 1) == f"no group of our own can be made below {tmp_path}"

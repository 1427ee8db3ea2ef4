"""The peers of the benchmark really do what they claim, on real servers."""

import socket

import pytest

from bench.contenders import Task, run
from bench.nodes import BenchError, counters, running


@pytest.mark.parametrize("peer", ["B", "C", "F", "H"])
def test_a_peer_measures_what_the_servers_have_counted(peer):
    """Every reported operation is one the nodes saw; where nothing is deleted, nothing misses."""
    with running(3) as nodes:
        measured = run(peer, Task(nodes=nodes, users=4, seconds=1.0))
        commands, misses = counters(nodes)
    assert 0 < measured.operations <= commands
    assert misses == 0 or peer == "F"
    assert measured.cpu_us_per_operation > 0
    assert measured.operations_per_s == pytest.approx(measured.operations / measured.seconds)


def test_a_peer_that_cannot_reach_its_nodes_ends_in_one_line(monkeypatch):
    """A dead node is an error that names the contender, not a figure."""
    monkeypatch.setattr("bench.contenders.counters", lambda _: (0, 0))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()
    with pytest.raises(BenchError, match=r"^C ended with exit code 1: .*refused"):
        run("C", Task(nodes=[dead], users=2, seconds=1.0))

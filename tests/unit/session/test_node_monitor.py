"""What a node's statistics, look after look, say has happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from session.node_monitor import NodeMonitor
from verdict.model import NodeChange, NodeEvent

BORN = 1_700_000_000
Look = tuple[float, Mapping[str, int]]


def stats(at: float, *, pid: int = 7, born: int = BORN, **counters: int) -> dict[str, int]:
    """Give what a memcached that began at second `born` says at a moment."""
    now = BORN + 100 + int(at)
    return {"pid": pid, "time": now, "uptime": now - born, "total_connections": 9} | counters


def monitored(*looks: Look) -> NodeMonitor:
    monitor = NodeMonitor()
    for at, said in looks:
        if said:
            monitor.answered("node1", at, said)
        else:
            monitor.unanswered("node1", at, refused=True)
    return monitor


def event(change: NodeChange, from_s: float, until_s: float | None, count: int = 1) -> NodeEvent:
    return NodeEvent(node="node1", change=change, from_s=from_s, until_s=until_s, count=count)


def full(from_s: float, until_s: float, count: int) -> NodeEvent:
    return replace(event(NodeChange.FULL, from_s, until_s, count), limit=40)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([(0, stats(0)), (1, stats(1))], [], id="nothing"),
        pytest.param(
            [(0, stats(0)), (1, stats(1, evictions=3)), (2, stats(2, evictions=5))],
            [event(NodeChange.EVICTED, 0, 2, 5)],
            id="evictions that go on are one event",
        ),
        pytest.param(
            [
                (0, stats(0)),
                (1, stats(1, evictions=3)),
                (2, stats(2, evictions=3)),
                (3, stats(3, evictions=4)),
            ],
            [event(NodeChange.EVICTED, 0, 1, 3), event(NodeChange.EVICTED, 2, 3, 1)],
            id="evictions with a pause are two",
        ),
        pytest.param(
            [
                (0, stats(0)),
                (1, stats(1, rejected_connections=3, evictions=1, max_connections=40)),
                (2, stats(2, rejected_connections=5, evictions=2, max_connections=40)),
                (3, stats(3, rejected_connections=5, evictions=2, max_connections=40)),
            ],
            [full(0, 2, 5), event(NodeChange.EVICTED, 0, 2, 2)],
            id="refusals that go on are one event, beside others",
        ),
        pytest.param(
            [
                (0, stats(0)),
                (1, stats(1, listen_disabled_num=1, accepting_conns=0, max_connections=40)),
                (2, stats(2, listen_disabled_num=1, accepting_conns=0, max_connections=40)),
                (3, stats(3, listen_disabled_num=1, accepting_conns=1, max_connections=40)),
            ],
            [full(0, 2, 2)],
            id="a node that does not listen meanwhile",
        ),
        pytest.param(
            [(0, stats(0, rejected_connections=9)), (1, stats(1, rejected_connections=9))],
            [],
            id="refusals of long ago",
        ),
        pytest.param(
            [(0, stats(0)), (1, stats(1, slab_reassign_busy_deletes=1))],
            [event(NodeChange.EVICTED, 0, 1)],
            id="an item deleted because its page had to move",
        ),
        pytest.param(
            [(0, stats(0)), (1, stats(1, cmd_flush=1))],
            [event(NodeChange.FLUSHED, 0, 1)],
            id="a flush",
        ),
        pytest.param(
            [(0, stats(0)), (1, stats(1, pid=8, born=BORN + 98))],
            [event(NodeChange.RESTARTED, 0, 1)],
            id="a restart between two looks",
        ),
        pytest.param(
            [(0, stats(0, pid=1)), (1, stats(1, pid=1, born=BORN + 98))],
            [event(NodeChange.RESTARTED, 0, 1)],
            id="a restart in a container, where every pid is 1",
        ),
        pytest.param(
            [(0, stats(0)), (1, stats(1, born=BORN + 1)), (2, stats(2))],
            [],
            id="whole seconds that do not meet",
        ),
        pytest.param(
            [(0, stats(0)), (1, {}), (2, {}), (3, stats(3, pid=8, born=BORN + 99))],
            [event(NodeChange.AWAY, 0, 3), event(NodeChange.RESTARTED, 0, 3)],
            id="away and back as another process",
        ),
        pytest.param(
            [(0, stats(0)), (1, {}), (2, stats(2))],
            [event(NodeChange.AWAY, 0, 2)],
            id="away and back as it was",
        ),
        pytest.param(
            [(0, stats(0)), (1, {})], [event(NodeChange.AWAY, 0, None)], id="away to the end"
        ),
        pytest.param(
            [(0, stats(0, evictions=9)), (1, stats(1, total_connections=2))],
            [event(NodeChange.RESET, 0, 1)],
            id="statistics reset",
        ),
    ],
)
def test_changes(looks: list[Look], expected: list[NodeEvent]) -> None:
    """Each change is dated from the last look before it to the first one after it."""
    monitor = monitored(*looks)
    assert monitor.events(0.0) == expected
    assert not monitor.several


def test_times_count_from_the_epoch() -> None:
    """What happened while keys were stored has negative seconds."""
    monitor = monitored((100.0, stats(0)), (101.0, stats(1, evictions=2)))
    assert monitor.events(110.0) == [event(NodeChange.EVICTED, -10.0, -9.0, 2)]
    assert monitor.evicted(["node1", "node2"]) == {"node1": 2}


def test_one_late_answer_is_no_absence() -> None:
    """A busy machine may be late for one look; two in a row, and a refusal, are an absence."""
    monitor = monitored((0, stats(0)))
    assert not monitor.unanswered("node1", 1.0, refused=False)
    assert monitor.events(0.0) == []
    assert monitor.unanswered("node1", 2.0, refused=False)
    assert monitor.events(0.0) == [event(NodeChange.AWAY, 0, None)]


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([(0, stats(0)), (1, stats(1, pid=8, born=BORN - 5_000))], id="an older one"),
        pytest.param(
            [
                (0, stats(0, born=BORN + 97)),
                (1, stats(1, pid=8, born=BORN + 98)),
                (2, stats(2, born=BORN + 97)),
            ],
            id="two young ones in turn",
        ),
    ],
)
def test_several_servers(looks: list[Look]) -> None:
    """A process that was there before is no restart: several servers answer under one address."""
    monitor = monitored(*looks)
    assert "process 7" in monitor.several["node1"]
    assert "process 8" in monitor.several["node1"]


def test_a_look_that_is_refused_is_no_absence() -> None:
    """The node is there and at its limit, which it had told before."""
    monitor = NodeMonitor()
    monitor.answered("node1", 0, stats(0, max_connections=40))
    monitor.refused("node1", 1)
    monitor.answered("node1", 2, stats(2, max_connections=40))
    assert monitor.events(0) == [full(0, 1, 1)]


@pytest.mark.parametrize(
    ("served", "pid", "refused", "is_away"),
    [
        pytest.param(4_000, 7, False, False, id="it served as ever: nobody had time to ask"),
        pytest.param(1_000, 7, False, False, id="it served a quarter"),
        pytest.param(40, 7, False, True, id="halted: what waited in its sockets"),
        pytest.param(0, 7, False, True, id="cut off"),
        pytest.param(4_000, 7, True, True, id="it refused a connection meanwhile"),
        pytest.param(4_000, 8, False, True, id="another process"),
    ],
)
def test_a_node_that_served_was_not_away(
    served: int, pid: int, refused: bool, is_away: bool
) -> None:
    """Looks that are late by a crowded machine say nothing of the node: what it counted does."""
    monitor = monitored(
        (0, stats(0, cmd_get=0)), (1, stats(1, cmd_get=500)), (2, stats(2, cmd_get=1_500))
    )
    for at in (3, 4, 5):
        monitor.unanswered("node1", at, refused=refused)
    born = BORN if pid == 7 else BORN + 104
    monitor.answered("node1", 6, stats(6, pid=pid, born=born, cmd_get=1_500 + served))
    away = [each for each in monitor.events(0) if each.change is NodeChange.AWAY]
    assert away == ([event(NodeChange.AWAY, 2, 6)] if is_away else [])


def test_a_node_without_load_is_away_when_it_is_silent() -> None:
    """Nothing was asked of it, so that it served nothing proves nothing: the silence counts."""
    monitor = monitored((0, stats(0, cmd_get=3)), (1, stats(1, cmd_get=3)))
    monitor.unanswered("node1", 2, refused=False)
    monitor.unanswered("node1", 3, refused=False)
    monitor.answered("node1", 4, stats(4, cmd_get=3))
    assert monitor.events(0) == [event(NodeChange.AWAY, 1, 4)]

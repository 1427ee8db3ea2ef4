"""Kernel faults as data: what a scenario may say, what it does to a node, what stands in for it."""

from __future__ import annotations

import pytest

from faults.backends.kernel_instead import is_for_backlog, proxy_fault, way_out
from faults.errors import ScenarioError
from faults.kinds import KINDS
from faults.plan import make_plan
from faults.planned import PlannedFault
from faults.scenario import scenario_from_text


def planned(kind: str) -> PlannedFault:
    text = (
        "name: x\nfaults:\n"
        f"  - {{id: a, at: 0s, duration: 5s, target: {{mode: all}}, kind: {kind}}}\n"
    )
    scenario = scenario_from_text(text)
    plan = make_plan(scenario, seed=1, nodes=["node1"], time_scale=1, recovers_within_s=10)
    return plan.faults[0]


@pytest.mark.parametrize(
    ("kind", "effects", "words"),
    [
        pytest.param(
            "loss, percent: 10",
            "degraded",
            "nftables: 10% of the packets, by chance, to and from the node's port dropped",
            id="some loss is something to cope with",
        ),
        pytest.param(
            "loss, percent: 0.5%, direction: from",
            "degraded",
            "nftables: 0.5% of the packets, by chance, from the node's port dropped",
            id="less than one percent, answers only",
        ),
        pytest.param(
            "loss, percent: 100, direction: to",
            "unavailable",
            "nftables: every packet to the node's port dropped",
            id="without any request no call succeeds",
        ),
        pytest.param(
            "partition",
            "unavailable",
            "nftables: every packet to and from the node's port dropped",
            id="partition",
        ),
        pytest.param(
            "partition, direction: from",
            "unavailable",
            "nftables: every packet from the node's port dropped",
            id="one way is enough",
        ),
        pytest.param(
            "duplicate, percent: 100",
            "degraded",
            "nftables: every packet that this machine sends to and from the node's port doubled",
            id="duplicate",
        ),
        pytest.param(
            "reset",
            "unavailable",
            "nftables: every packet to the node's port rejected with a TCP reset",
            id="reset",
        ),
        pytest.param(
            "no_connect",
            "degraded",
            "nftables: connection requests (SYN) to the node's port dropped, open connections "
            "live on",
            id="warm connections still serve",
        ),
        pytest.param(
            "no_connect, open_connections: reset",
            "unavailable",
            "nftables: connection requests (SYN) to the node's port dropped, open connections "
            "reset when they send",
            id="no connection is left",
        ),
    ],
)
def test_a_kind_says_what_it_does(kind: str, effects: str, words: str) -> None:
    """Whether a node is cut off depends on how much is lost; the words give the numbers."""
    fault = planned(kind)
    assert fault.effects == {effects}
    assert fault.emulated_by == words
    assert fault.backend == "kernel"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        pytest.param("loss", "the key 'percent' is missing", id="loss of how much"),
        pytest.param("loss, percent: 0", "above 0 and up to 100", id="a loss of nothing"),
        pytest.param("loss, percent: 101", "above 0 and up to 100", id="more than all"),
        pytest.param("loss, percent: half", "is no percentage", id="a word"),
        pytest.param("loss, percent: 0.001", "0.001 is too little", id="finer than the die"),
        pytest.param("loss, percent: 5, direction: up", "direction", id="no such side"),
        pytest.param("loss, percent: 5, direcion: to", "(nearest: direction", id="a misspelt key"),
        pytest.param("partition, direction: downstream", "direction", id="a proxy's word"),
        pytest.param("duplicate, percent: -1", "above 0", id="a negative share"),
        pytest.param("duplicate, percent: 5, direction: to", "unknown key", id="no such key"),
        pytest.param("reset, delay: 1s", "unknown key 'delay'", id="another kind's key"),
        pytest.param("no_connect, open_connections: close", "open_connections", id="no such fate"),
    ],
)
def test_what_cannot_be_is_one_line(kind: str, problem: str) -> None:
    """The place, the problem, the way out."""
    with pytest.raises(ScenarioError) as caught:
        planned(kind)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "instead", "attributes"),
    [
        pytest.param("loss, percent: 10", "stall", {"stall_share": 0.1}, id="loss"),
        pytest.param("loss, percent: 100", "timeout", {"direction": "both"}, id="loss of all"),
        pytest.param("partition", "timeout", {"direction": "both"}, id="partition"),
        pytest.param(
            "partition, direction: to", "timeout", {"direction": "upstream"}, id="requests cut"
        ),
        pytest.param("partition, direction: from", "timeout", {}, id="answers cut"),
        pytest.param("reset", "reset_peer", {}, id="reset"),
    ],
)
def test_a_proxy_stands_in(kind: str, instead: str, attributes: dict[str, object]) -> None:
    """It makes the same of a node: cut off where that is cut off, else degraded."""
    fault = planned(kind)
    other = proxy_fault(fault)
    assert other is not None
    assert (other.kind, other.attributes) == (instead, attributes)
    assert (other.id, other.nodes, other.duration_s) == (fault.id, fault.nodes, fault.duration_s)
    assert KINDS[instead].effects_of(other.attributes) == fault.effects
    assert KINDS[instead].backend == "toxiproxy"


@pytest.mark.parametrize(
    ("kind", "backlog"),
    [
        pytest.param("duplicate, percent: 5", False, id="nothing else doubles packets"),
        pytest.param("no_connect", False, id="a port cannot change hands with open connections"),
        pytest.param("no_connect, open_connections: reset", True, id="a full queue"),
    ],
)
def test_no_proxy_stands_in(kind: str, backlog: bool) -> None:
    """What no toxic feels like is done otherwise, or refused with the way out."""
    fault = planned(kind)
    assert proxy_fault(fault) is None
    assert is_for_backlog(fault) is backlog
    assert "run as root with nft" in way_out(fault)

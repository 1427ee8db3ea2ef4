"""Kinds of Toxiproxy: what a scenario may say, what a fault becomes, in Toxiproxy's own units."""

from __future__ import annotations

import pytest

from cluster.toxiproxy import Toxic
from faults.backends.toxiproxy_toxics import is_as_asked, toxics_of
from faults.errors import ScenarioError
from faults.plan import load_plan_text, make_plan, plan_text, plan_to_yaml
from faults.planned import Plan, PlannedFault
from faults.scenario import scenario_from_text

Chain = list[tuple[str, str, dict[str, int]]]

HEAD = "name: x\nload: {users: 900, target_rate: 100}\nfaults:\n"
FAULT = "  - {{id: a, at: 0s, duration: 5s, kind: {}, target: {{nodes: [node1]}}}}\n"


def plan_of(*kinds: str) -> Plan:
    lines = [FAULT.format(kind).replace("id: a", f"id: f{n}") for n, kind in enumerate(kinds)]
    return make_plan(
        scenario_from_text(HEAD + "".join(lines)),
        seed=1,
        nodes=["node1", "node2"],
        time_scale=1,
        recovers_within_s=10,
    )


def fault_of(kind: str) -> PlannedFault:
    return plan_of(kind).faults[0]


@pytest.mark.parametrize(
    ("kind", "effect", "words", "chain"),
    [
        pytest.param(
            "timeout",
            "unavailable",
            "replies are held; healing closes nothing",
            [("bandwidth", "downstream", {"rate": 0})],
            id="timeout: replies are held",
        ),
        pytest.param(
            "timeout, direction: upstream",
            "unavailable",
            "requests are dropped; healing closes every connection",
            [("timeout", "upstream", {"timeout": 0})],
            id="timeout of requests: nothing is carried out late",
        ),
        pytest.param(
            "timeout, direction: both",
            "unavailable",
            "requests are dropped and replies held",
            [("bandwidth", "downstream", {"rate": 0}), ("timeout", "upstream", {"timeout": 0})],
            id="timeout both ways",
        ),
        pytest.param(
            "latency, latency: 1.5s, jitter: 20ms",
            "degraded",
            "latency on replies;",
            [("latency", "downstream", {"latency": 1500, "jitter": 20})],
            id="latency in ms",
        ),
        pytest.param(
            "latency, latency: 5ms, direction: both",
            "degraded",
            "requests and replies, each",
            [
                ("latency", "downstream", {"latency": 5, "jitter": 0}),
                ("latency", "upstream", {"latency": 5, "jitter": 0}),
            ],
            id="latency both ways is twice as much",
        ),
        pytest.param(
            "bandwidth, rate: 100KB/s",
            "degraded",
            "bandwidth on replies",
            [("bandwidth", "downstream", {"rate": 100})],
            id="bandwidth with its unit",
        ),
        pytest.param(
            "bandwidth, rate: 1.5MB/s, direction: upstream",
            "degraded",
            "bandwidth on requests",
            [("bandwidth", "upstream", {"rate": 1500})],
            id="bandwidth in MB",
        ),
        pytest.param(
            "bandwidth, rate: 7",
            "degraded",
            "for each connection",
            [("bandwidth", "downstream", {"rate": 7})],
            id="a plain rate is KB a second",
        ),
        pytest.param(
            "slow_close, delay: 2s, direction: upstream",
            "degraded",
            "when the client ends it",
            [("slow_close", "upstream", {"delay": 2000})],
            id="slow_close in ms",
        ),
        pytest.param(
            "reset_peer",
            "unavailable",
            "at the first reply; new connections end by RST",
            [("reset_peer", "downstream", {"timeout": 0})],
            id="reset_peer at once",
        ),
        pytest.param(
            "reset_peer, delay: 3s, direction: upstream",
            "unavailable",
            "at the first request, 3s later by toxic latency",
            [
                ("latency", "upstream", {"latency": 3000, "jitter": 0}),
                ("reset_peer", "upstream", {"timeout": 0}),
            ],
            id="reset_peer waits by a latency before it, for its own wait blocks its removal",
        ),
        pytest.param(
            "limit_data, bytes: 3",
            "unavailable",
            "bytes of replies",
            [("limit_data", "downstream", {"bytes": 3})],
            id="limit_data that lets no reply through",
        ),
        pytest.param(
            "limit_data, bytes: 4, direction: both",
            "degraded",
            "bytes of requests and replies",
            [
                ("limit_data", "downstream", {"bytes": 4}),
                ("limit_data", "upstream", {"bytes": 4}),
            ],
            id="limit_data with room for the shortest reply",
        ),
        pytest.param(
            "slicer, average_size: 10, size_variation: 3, delay: 5ms",
            "degraded",
            "replies come in pieces",
            [
                (
                    "slicer",
                    "downstream",
                    {"average_size": 10, "size_variation": 3, "delay": 5000},
                )
            ],
            id="slicer in microseconds",
        ),
        pytest.param(
            "stall, share: 5%",
            "degraded",
            "holds the replies of 5 % of the connections, drawn anew every 200ms",
            [("bandwidth", "downstream", {"rate": 0})],
            id="stall of some",
        ),
        pytest.param(
            "stall, share: 100%",
            "unavailable",
            "healing closes nothing",
            [("bandwidth", "downstream", {"rate": 0})],
            id="stall of all is a timeout",
        ),
    ],
)
def test_a_kind_becomes_toxics(kind: str, effect: str, words: str, chain: Chain) -> None:
    """In the order of the chain, with the effect and the words that are true of it."""
    fault = fault_of(kind)
    toxics = toxics_of(fault)
    assert [(toxic.type, toxic.stream, toxic.attributes) for toxic in toxics] == chain
    assert fault.effects == {effect}
    assert words in fault.emulated_by
    assert {toxic.toxicity for toxic in toxics} == {fault.attributes.get("stall_share", 1.0)}


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        pytest.param("bandwidth", "'rate' is missing", id="no rate"),
        pytest.param("bandwidth, rate: 0", "0 is out of range", id="a rate of nothing"),
        pytest.param("bandwidth, rate: -1", "-1", id="a negative rate"),
        pytest.param("bandwidth, rate: fast", "'fast' is no rate", id="a rate in words"),
        pytest.param("bandwidth, rate: 1.5.2KB/s", "is no rate", id="a rate with two dots"),
        pytest.param("bandwidth, rate: 0.5KB/s", "whole number", id="half a KB"),
        pytest.param("bandwidth, rate: 100Mbit", "is no rate", id="a rate in bits"),
        pytest.param("bandwidth, rate: 1000MB/s", "out of range", id="a rate nobody feels"),
        pytest.param("slow_close, delay: 0s", "too short", id="slow_close without delay"),
        pytest.param("slow_close, delay: 2m", "between 1ms and 60s", id="slow_close too slow"),
        pytest.param("reset_peer, delay: 1us", "0, or lies between", id="reset_peer: a tiny delay"),
        pytest.param("reset_peer, delay: -1s", "-1s is negative", id="reset_peer before its time"),
        pytest.param("limit_data, bytes: -1", "-1 is negative", id="negative bytes"),
        pytest.param("limit_data, bytes: 1.5", "no whole number", id="half a byte"),
        pytest.param("limit_data, bytes: 20000000", "0 to 10000000 bytes", id="too many bytes"),
        pytest.param("slicer, average_size: 0, delay: 1ms", "1 to 65536", id="slices of nothing"),
        pytest.param(
            "slicer, average_size: 5, size_variation: 5, delay: 1ms",
            "size_variation of fault a must be below its average_size",
            id="a variation as large as the slice",
        ),
        pytest.param("slicer, average_size: 5", "'delay' is missing", id="slices without a pause"),
        pytest.param("slicer, average_size: 5, delay: 2s", "100us and 1s", id="a long pause"),
        pytest.param("stall, share: 0", "stalls nothing", id="a stall of nobody"),
        pytest.param("stall, share: 120%", "between 0 and 1", id="a stall of more than all"),
        pytest.param("latency, latency: 1ms, direction: up", "direction", id="no such direction"),
        pytest.param(
            "down, direction: both", "unknown key 'direction'", id="down has no direction"
        ),
        pytest.param("timeout, toxicity: 7", "unknown key 'toxicity'", id="toxicity is not asked"),
    ],
)
def test_what_toxiproxy_would_take_is_refused_here(kind: str, problem: str) -> None:
    """Toxiproxy validates nothing: a range or a word that makes no sense ends in one line."""
    with pytest.raises(ScenarioError) as caught:
        scenario_from_text(HEAD + FAULT.format(kind))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_toxics_of_faults_on_one_proxy_never_share_a_name() -> None:
    """Ids may hold what looks like a suffix of ours, and no colon."""
    faults = plan_of(
        "latency, latency: 5ms, direction: both",
        "bandwidth, rate: 9, direction: both",
        "slicer, average_size: 9, delay: 1ms, direction: both",
    ).faults
    names = [toxic.name for fault in faults for toxic in toxics_of(fault)]
    assert len(set(names)) == len(names) == 6
    assert all(name.startswith("memquake-") for name in names)


def test_a_plan_names_a_direction_only_where_it_is_unusual() -> None:
    """A plan of before there were directions reads as it did, and one with them comes back."""
    plan = plan_of("latency, latency: 5ms", "bandwidth, rate: 9, direction: both")
    assert "direction" not in plan.faults[0].attributes
    assert load_plan_text(plan_to_yaml(plan)) == plan
    assert "bandwidth bytes_per_second 9000 direction both" in plan_text(plan)


def test_a_stall_in_place_of_another_kind() -> None:
    """Whatever a fault is called, with a share to stall it is a stall."""
    loss = PlannedFault(
        id="loss",
        kind="loss",
        effects=frozenset(),
        nodes=("node1",),
        at_s=0,
        duration_s=1,
        attributes={"stall_share": 0.25, "loss_share": 0.25, "direction": "both"},
    )
    (toxic,) = toxics_of(loss)
    assert (toxic.type, toxic.stream, toxic.toxicity) == ("bandwidth", "downstream", 0.25)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({}, True, id="exactly"),
        pytest.param({"toxicity": 0.05000000074505806}, True, id="a share of 32 bits"),
        pytest.param({"toxicity": 0.06}, False, id="another share"),
        pytest.param({"stream": "upstream"}, False, id="the other way"),
        pytest.param({"type": "timeout"}, False, id="another type"),
        pytest.param({"attributes": {"rate": 1}}, False, id="another value"),
        pytest.param({"attributes": {}}, False, id="a value missing"),
    ],
)
def test_every_setting_is_compared(change: dict[str, object], same: bool) -> None:
    """A toxic counts as in place only when nothing of it differs."""
    asked = {
        "name": "memquake-a",
        "type": "bandwidth",
        "stream": "downstream",
        "toxicity": 0.05,
        "attributes": {"rate": 0},
    }
    assert is_as_asked(Toxic(**(asked | change)), Toxic(**asked)) is same  # type: ignore[arg-type]
    assert not is_as_asked(None, Toxic(**asked))  # type: ignore[arg-type]

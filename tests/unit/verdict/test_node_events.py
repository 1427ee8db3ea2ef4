"""What happens to a node without a plan convicts no client, and is named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from client.operation import Outcome
from tests.unit.verdict.connection_cases import churning
from tests.unit.verdict.ledger_cases import happened
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from verdict.model import NodeChange, NodeEvent, Ruling, Verdict
from verdict.node_events import incidents, notes, unplanned_events
from verdict.verdict import judge

REFUSED = (Outcome.REFUSED, 300)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if check.verdict is Ruling.FAIL]


def ruling(verdict: Verdict, name: str) -> Ruling:
    return next(check.verdict for check in verdict.checks if check.name == name)


def restarts(run: MadeUpRun, at: float, until: float, node: str = "node1") -> MadeUpRun:
    """Let a node be gone, and all its calls fail, until it is back as a new process."""
    run.all_calls(node, at, until, REFUSED)
    away = happened(run, NodeChange.AWAY, at - 0.5, until, node)
    return happened(away, NodeChange.RESTARTED, at - 0.5, until, node)


def test_a_restart_by_others_is_named_and_convicts_nobody() -> None:
    """The rest of the run is judged, and holds; the same failures without a restart do not."""
    verdict = judge(restarts(MadeUpRun(40), 6, 9).facts())
    assert verdict.ruling is Ruling.PASS
    assert list(verdict.notes) == [
        "node1 was away from 6 s to 9 s, and restarted, not by memquake",
        "600 calls failed around that time and are excused: 600 on node1",
    ]
    assert "error_budget" in failed(judge(MadeUpRun(40).all_calls("node1", 6, 9, REFUSED).facts()))


def test_what_fails_long_after_it_is_still_the_clients() -> None:
    """An incident excuses its own time and the time to recover, nothing else."""
    run = restarts(MadeUpRun(40), 6, 9).all_calls("node1", 30, 31, REFUSED)
    assert "error_budget" in failed(judge(run.facts()))


def test_what_is_excused_is_counted_by_node() -> None:
    """Batches over several nodes are told apart; a wrong value is none of it."""
    run = restarts(MadeUpRun(40), 6, 9).batch(7, REFUSED, 5).batch(30, REFUSED, 3)
    run.some_calls("node2", 7, TIMED_OUT, 4).some_calls("node3", 7, (Outcome.WRONG_VALUE, 200), 1)
    (line,) = (note for note in notes(run.facts()) if "excused" in note)
    assert line == (
        "609 calls failed around that time and are excused: 600 on node1, 5 over several nodes, "
        "4 on node2"
    )
    assert "excused" not in " ".join(notes(MadeUpRun(40).all_calls("node1", 6, 9, REFUSED).facts()))


def test_wrong_values_are_never_excused() -> None:
    """No node that goes away makes a client give a wrong value."""
    run = restarts(MadeUpRun(40), 6, 9).all_calls("node2", 7, 8, (Outcome.WRONG_VALUE, 200))
    assert "no_wrong_values" in failed(judge(run.facts()))


def test_a_run_of_which_nothing_is_left_is_inconclusive() -> None:
    """A node that stays away leaves nothing to judge, and the verdict says which one it was."""
    run = MadeUpRun(20).all_calls("node1", 4, 20, REFUSED)
    verdict = judge(happened(run, NodeChange.AWAY, 3.5, None, "node1").facts())
    assert verdict.ruling is Ruling.INCONCLUSIVE
    told = next(check.why for check in verdict.checks if check.name == "enough_requests")
    assert "node1 was away from 4 s to the end, not by memquake" in told


@pytest.mark.parametrize("at", [11.0, 15.0, 25.0])
def test_a_fault_that_met_with_it_is_not_judged_by_its_failures(at: float) -> None:
    """A healthy node that goes away in a fault of another one is no harm done by the client."""
    verdict = judge(restarts(run_with_outage(), at, at + 3).facts())
    assert not failed(verdict), [c for c in verdict.checks if c.verdict is Ruling.FAIL]
    assert verdict.ruling is Ruling.INCONCLUSIVE


def test_what_an_incident_hides_of_a_fault_is_no_pass() -> None:
    """A client that needs 12 s to recover is not seen to, where another node is away meanwhile."""
    run = run_with_outage(60).all_calls("node2", 20, 32, TIMED_OUT)
    assert "recovers_within" in failed(judge(run.facts()))
    hidden = judge(restarts(run, 21, 23).facts())
    assert ruling(hidden, "recovers_within") is Ruling.INCONCLUSIVE


def test_what_fails_of_a_fault_after_an_incident_is_inconclusive() -> None:
    """The node of the fault goes away again, and gets no traffic as far as the run shows."""
    run = run_with_outage(60).no_calls("node2", 34, 60)
    assert "recovers_within" in failed(judge(run.facts()))
    met = judge(restarts(run, 45, 47, "node2").facts())
    assert ruling(met, "recovers_within") is Ruling.INCONCLUSIVE


def test_a_client_that_does_not_recover_is_convicted_in_spite_of_an_earlier_one() -> None:
    """What was over before the fault began excuses nothing of it."""
    run = MadeUpRun(60).fault("node2", at=30.0, to=40.0)
    run.outage("node2", 30.0, 40.0).all_calls("node2", 40, 60, TIMED_OUT)
    run.phases = []
    assert "recovers_within" in failed(judge(restarts(run, 5, 6).facts()))


def test_what_the_plan_did_is_no_incident() -> None:
    """A crash explains that its node is away and comes back anew; only what exceeds it counts."""
    crash = MadeUpRun().fault("node2", effects=("unavailable", "cold"))
    run = happened(crash, NodeChange.AWAY, 9.6, 21.0)
    facts = happened(run, NodeChange.RESTARTED, 9.6, 21.0).facts()
    assert unplanned_events(facts) == []
    assert notes(facts) == []
    longer = happened(crash.but(node_events=[]), NodeChange.AWAY, 9.6, 30.0).facts()
    (incident,) = incidents(longer)
    assert (incident.node, incident.begin, incident.end) == ("node2", pytest.approx(22.6), 30.0)
    other = happened(crash.but(node_events=[]), NodeChange.AWAY, 9.6, None, "node1").facts()
    assert [each.end for each in incidents(other)] == [math.inf]


def test_a_hang_explains_no_restart() -> None:
    """A process that was only halted comes back with its items."""
    run = MadeUpRun().fault("node2", effects=("unavailable",))
    facts = happened(run, NodeChange.RESTARTED, 12, 13).facts()
    assert [each.is_restart for each in incidents(facts)] == [True]


def test_flushes_and_evictions_are_named() -> None:
    """They excuse what is lost, and no second of the run."""
    run = happened(MadeUpRun(30), NodeChange.FLUSHED, 6, 7)
    run = happened(run, NodeChange.EVICTED, 9, 12, "node1")
    verdict = judge(run.facts())
    assert verdict.ruling is Ruling.PASS
    assert list(verdict.notes) == [
        "node1 evicted 3 items, the first at 9 s",
        "node2 was flushed at 6 s, not by memquake",
    ]


@pytest.mark.parametrize("name", ["retry_amplification", "connections_kept"])
def test_counts_that_were_reset_acquit_nobody(name: str) -> None:
    """Any client may send `stats reset`: what it did before is not counted any more."""
    assert ruling(judge(MadeUpRun(30).facts()), name) is Ruling.PASS
    run = happened(MadeUpRun(30), NodeChange.RESET, 6, 7)
    assert ruling(judge(run.facts()), name) is Ruling.INCONCLUSIVE
    convicted = happened(MadeUpRun(30).poke(churning(200)), NodeChange.RESET, 6, 7)
    assert ruling(judge(convicted.facts()), "connections_kept") is Ruling.FAIL


@pytest.mark.parametrize("happens", [False, True])
def test_what_stays_behind_of_an_absence_convicts_nobody(happens: bool) -> None:
    """Connections that are left over count where no node went away without a plan."""
    run = restarts(MadeUpRun(40), 6, 9) if happens else MadeUpRun(40)
    run.but(workers=[run.worker(24_000, after={"fds": 99, "greenlets": 9})])
    assert (ruling(judge(run.facts()), "no_leaks") is Ruling.FAIL) is not happens


def test_what_a_client_returns_while_a_node_is_away_needs_a_plan_to_convict() -> None:
    """Broken answers of just those seconds are INCONCLUSIVE, any other one is the client's."""
    broken = (Outcome.BAD_RESULT, 200)
    run = restarts(MadeUpRun(40), 6, 9).all_calls("node1", 6, 7, broken)
    run.but(findings=[{"kind": "bad_result", "at_s": 6.4}, {"kind": "close_failed", "at_s": 41.0}])
    assert ruling(judge(run.facts()), "predictable_errors") is Ruling.INCONCLUSIVE
    run.all_calls("node1", 30, 31, broken)
    assert ruling(judge(run.facts()), "predictable_errors") is Ruling.FAIL


def at_its_limit(run: MadeUpRun, at: float, until: float, node: str = "node1") -> MadeUpRun:
    """Let a node of the user's own refuse connections, as its statistics tell."""
    event = NodeEvent(
        node=node, change=NodeChange.FULL, from_s=at, until_s=until, count=37, limit=40
    )
    return run.but(node_events=[event], connections_are_ours=False)


REFUSALS = [
    (Outcome.REFUSED, 300),
    (Outcome.PROTOCOL_ERROR, 300),
    (Outcome.CLIENT_ERROR, 300),
    (Outcome.BREAKER_OPEN, 20),
]


@pytest.mark.parametrize("failure", REFUSALS, ids=[str(outcome) for outcome, _ in REFUSALS])
def test_what_a_node_at_its_limit_refuses_convicts_nobody(failure: tuple[Outcome, int]) -> None:
    """However a client names it, until its last failure; the rest of the run is judged."""
    run = MadeUpRun(40).all_calls("node1", 6, 9, failure)
    assert "error_budget" in failed(judge(run.facts()))
    verdict = judge(at_its_limit(run, 5.5, 7.5).facts())
    assert verdict.ruling is Ruling.PASS
    assert list(verdict.notes) == [
        "node1 was at its limit of connections (max_connections 40) from 6 s to 9 s and "
        "refused or held back 37 more",
        "600 calls failed around that time and are excused: 600 on node1",
    ]


def test_a_limit_that_fails_no_call_takes_nothing_from_the_run() -> None:
    """Callers that take turns on what the node serves are judged like any others; it is said."""
    facts = at_its_limit(MadeUpRun(12), 0.5, 11.5).facts()
    assert incidents(facts) == []
    verdict = judge(facts)
    assert verdict.ruling is Ruling.PASS
    assert [note.partition(" from ")[0] for note in verdict.notes] == [
        "node1 was at its limit of connections (max_connections 40)"
    ]


def test_a_limit_excuses_no_other_node_and_no_other_time() -> None:
    """Failures elsewhere do not make it an incident; long after it they are the client's."""
    elsewhere = MadeUpRun(40).all_calls("node2", 6, 9, REFUSED)
    assert "error_budget" in failed(judge(at_its_limit(elsewhere, 5.5, 7.5).facts()))
    later = MadeUpRun(40).all_calls("node1", 30, 31, REFUSED)
    assert "error_budget" in failed(judge(at_its_limit(later, 5.5, 7.5).facts()))


def test_a_limit_that_lasts_leaves_nothing_to_judge() -> None:
    """INCONCLUSIVE, and the reason is the node's limit by its number."""
    run = MadeUpRun(20).all_calls("node1", 3, 20, REFUSED)
    verdict = judge(at_its_limit(run, 2.5, 19.5).facts())
    assert verdict.ruling is Ruling.INCONCLUSIVE
    told = next(check.why for check in verdict.checks if check.name == "enough_requests")
    assert "node1 was at its limit of connections (max_connections 40)" in told


def test_programming_errors_and_wrong_values_are_no_refusals() -> None:
    """No limit of connections brings them about."""
    for outcome in (Outcome.BUG, Outcome.WRONG_VALUE):
        run = MadeUpRun(40).all_calls("node1", 6, 9, (outcome, 300))
        assert judge(at_its_limit(run, 5.5, 7.5).facts()).ruling is Ruling.FAIL


def test_who_fills_a_cluster_of_our_own_is_excused_of_nothing() -> None:
    """Nobody but the client under test connects there."""
    run = at_its_limit(MadeUpRun(40).all_calls("node1", 6, 9, REFUSED), 5.5, 7.5)
    assert "error_budget" in failed(judge(run.but(connections_are_ours=True).facts()))


def holding(run: MadeUpRun, connections: int, node: str = "node1", **facts: Any) -> MadeUpRun:
    """Let the load process be seen with so many of its client's connections to a node."""
    worker = run.worker(24_000, connections_held={node: connections})
    return run.but(workers=[worker], **facts)


@pytest.mark.parametrize("ours", [False, True], ids=["nodes of others", "nodes of our own"])
def test_a_client_that_fills_a_node_is_excused_of_nothing(ours: bool) -> None:
    """It holds hundreds of connections where forty users and the ledger's need 48."""
    run = at_its_limit(MadeUpRun(40).all_calls("node1", 6, 9, REFUSED), 5.5, 7.5)
    facts = holding(run, 700, connections_are_ours=ours).facts()
    verdict = judge(facts)
    assert incidents(facts) == []
    assert "error_budget" in failed(verdict)
    told = next(check.why for check in verdict.checks if check.name == "enough_requests")
    assert told.endswith("; the client held 700 of them, and its calls need 48")


@pytest.mark.parametrize(
    ("held", "pool_size"),
    [(60, 10), (240, 200)],
    ids=["a connection a user, and a pool for batches", "pools that are full from the start"],
)
def test_a_client_that_holds_what_it_needs_of_a_full_node_is_excused(
    held: int, pool_size: int
) -> None:
    """Others hold the rest."""
    run = at_its_limit(MadeUpRun(40).all_calls("node1", 6, 9, REFUSED), 5.5, 7.5)
    verdict = judge(holding(run, held, pool_size=pool_size).facts())
    assert verdict.ruling is Ruling.PASS
    assert "the client held" not in " ".join(verdict.notes)


def test_what_a_client_holds_of_another_node_decides_nothing_here() -> None:
    """Each node has its own limit."""
    run = at_its_limit(MadeUpRun(40).all_calls("node1", 6, 9, REFUSED), 5.5, 7.5)
    assert judge(holding(run, 700, "node2").facts()).ruling is Ruling.PASS


def test_a_crowd_of_the_plan_is_no_incident() -> None:
    """What a fault fills is judged by the checks of faults."""
    run = MadeUpRun().fault("node2", effects=("pressure",))
    assert unplanned_events(at_its_limit(run, 11.5, 14.5, "node2").facts()) == []


def test_an_own_server_that_died_convicts_nobody_of_what_came_of_it() -> None:
    """The windows end before it, and what the client returned and left behind does not count."""
    run = happened(MadeUpRun(20), NodeChange.AWAY, 21.0, None, "node1")
    run.but(is_void=True, stopped_early="memcached of node1 died by itself")
    run.but(findings=[{"kind": "bad_result", "at_s": 21.4}, {"kind": "close_failed", "at_s": 23.0}])
    run.but(workers=[run.worker(12_000, after={"fds": 99, "greenlets": 9})])
    assert not failed(judge(run.facts()))


def test_a_moment_before_second_0_is_told_as_0() -> None:
    """Half a second before it is no negative zero."""
    facts = happened(MadeUpRun(20), NodeChange.RESET, -0.3, 0.4, "node1").facts()
    assert notes(facts) == ["node1: its statistics were reset at 0 s"]

"""What the calls of an outage say: when waiting ended, what others kept, when the node was back.

Times are seconds; the fault is confirmed at 10, its heal at 20. Node 0 is the one that breaks.
"""

import math

import pytest

from bench.nodes import BenchError
from bench.outage import DEAD, Moments, back, figures, healthy_share, row, stopped_waiting
from bench.silent_server import Wait, most_at_once

MOMENTS = Moments(begun=0, injecting=9.9, injected=10, healing=20, healed=20.1, ended=24)
OTHER = 1


def waits(*spans):
    return [Wait(began=began, ended=ended) for began, ended in spans]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 10),
        ([(9.9, 10.5)] * 2, 10),
        ([(9.9, 10.5), (9.95, 10.4), (10.0, 10.6)], 10.4),
        ([(10, 10.5)] * 9 + [(12, 12.5)] * 2 + [(15, 15.5)] * 2, 10.5),
        ([(10, 10.5)] * 9 + [(12, 12.5)] * 3, 12.5),
        ([(19.9, 20.4)] * 3, 20),
        ([(20.05, 20.5)] * 5, 10),
        ([(3, 9.9)] * 5, 10),
    ],
    ids=[
        "nobody waited",
        "never more than the probes",
        "the third of three to end",
        "later probes are no waiting",
        "one probe too many",
        "still waiting at the heal",
        "after the heal is another matter",
        "before the fault is another matter",
    ],
)
def test_calls_wait_until_no_more_than_the_probes_are_under_way(spans, expected):
    """The last moment with more calls under way than the breaker admits ends the waiting."""
    calls = [(started, ended, DEAD, False) for started, ended in spans]
    assert stopped_waiting(calls, MOMENTS, probes=2) == pytest.approx(expected)


def test_calls_to_other_nodes_are_nobodys_waiting():
    """A slow healthy node is not the dead one."""
    assert stopped_waiting([(10, 19, OTHER, True)] * 5, MOMENTS, probes=2) == MOMENTS.injected


def test_the_healthy_share_compares_hits_a_second():
    """Half as many hits in a second are half the baseline, however long the two parts are."""
    before = [(at / 10, at / 10, OTHER, True) for at in range(99)]
    during = [(at / 10, at / 10, OTHER, True) for at in range(110, 200, 2)]
    dead = [(at / 10, at / 10, DEAD, True) for at in range(200)]
    missed = [(at / 10, at / 10, OTHER, False) for at in range(200)]
    found = healthy_share([*before, *during, *dead, *missed], MOMENTS, since=11)
    assert found == pytest.approx(0.5)


def test_without_a_baseline_there_is_no_share():
    """Nothing before the fault is no measure of anything."""
    with pytest.raises(BenchError, match="nothing before the fault"):
        healthy_share([(12, 12, OTHER, True)], MOMENTS, since=11)


def test_waiting_up_to_the_heal_leaves_the_healthy_nothing():
    """When the waiting never ended there was no time in which anybody was healthy."""
    assert healthy_share([(5, 5, OTHER, True)], MOMENTS, since=20) == 0


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([(20.2, 20.2, DEAD, True)], 20.1),
        ([(20.2, 20.2, DEAD, False), (21.3, 21.4, DEAD, False), (21.5, 21.5, DEAD, True)], 21.4),
        ([(20.2, 20.2, DEAD, True), (23.0, 23.1, DEAD, False)], 23.1),
        ([(19.0, 19.5, DEAD, False), (20.2, 20.2, DEAD, True)], 20.1),
        ([(20.2, 20.2, DEAD, False)], 24),
        ([], 24),
        ([(20.2, 20.2, DEAD, True), (22, 22, OTHER, False)], 20.1),
    ],
    ids=[
        "at once",
        "with the last failure",
        "a late failure counts",
        "a failure during the fault does not",
        "only failures: never back",
        "no calls: never back",
        "another node's failure does not count",
    ],
)
def test_a_node_is_back_with_its_last_failure(calls, expected):
    """Full service means that no call to the node fails any more."""
    assert back(calls, MOMENTS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0),
        ([(1, 2)] * 9, 0),
        ([(6, 7), (8, 9)], 1),
        ([(6, 7), (7, 8)], 1),
        ([(6, 8), (7, 9)], 2),
        ([(6, math.inf), (7, math.inf), (8, 9)], 3),
    ],
    ids=["none", "all too early", "in turn", "end to end", "side by side", "never given up"],
)
def test_probes_at_once_are_counted_by_their_overlap(spans, expected):
    """Only those that began after the opening count, and one that ends makes room for another."""
    assert most_at_once(waits(*spans), 5) == expected


def found(**changes):
    moments = {
        "begun": 0, "injecting": 9.9, "injected": 10, "healing": 20, "healed": 20.1, "ended": 24,
    }  # fmt: skip
    healthy = [(at / 10, at / 10, OTHER, True) for at in range(200)]
    dead = [(10.0, 10.5, DEAD, False)] * 5 + [(21, 21, DEAD, True)]
    refused = [(15.0, 15.001, DEAD, False)] * 5
    return {
        "moments": moments,
        "calls": [*healthy, *dead, *refused],
        "op_timeout_s": 0.5,
        "probes": 2,
        "opened": 100.0,
    } | changes


def test_a_round_gives_the_four_figures_and_a_refused_call_waits_for_nobody():
    """Five refusals at the same time are over at once: they are not five that wait."""
    one = row(found(), waits((99.9, 100.4), (101, 101.5), (101, 101.5)))
    assert one["stopped_s"] == pytest.approx(0.5)
    assert one["healthy_share"] == pytest.approx(1.0, rel=0.02)
    assert one["back_s"] == 0
    assert one["most_probes"] == 2
    assert [figure.word for figure in figures([one], op_timeout_s=0.5, probes=2)] == ["reached"] * 4


def test_a_client_without_a_breaker_reaches_nothing():
    """Calls that wait to the end, starve the others and crowd the server are each seen."""
    hanging = [(10.0 + at / 2, 10.5 + at / 2, DEAD, False) for at in range(20)] * 5
    starved = [(at / 10, at / 10, OTHER, True) for at in range(99)]
    late = [(23.5, 23.9, DEAD, False), (23.95, 23.95, DEAD, True)]
    one = row(found(calls=[*hanging, *starved, *late]), waits((101, 102), (101, 102), (101, 102)))
    words = [figure.word for figure in figures([one], op_timeout_s=0.5, probes=2)]
    assert words == ["NOT reached"] * 4


@pytest.mark.parametrize(
    ("changes", "seen", "said"),
    [
        ({"opened": None}, [(101, 102)], "did not open"),
        ({}, [(99, 100)], "no probe reached"),
    ],
    ids=["breaker never opened", "no probe was counted"],
)
def test_what_was_not_put_to_the_test_is_no_figure(changes, seen, said):
    """No probes at all would be "never more than two at once" for the wrong reason."""
    with pytest.raises(BenchError, match=said):
        row(found(**changes), waits(*seen))

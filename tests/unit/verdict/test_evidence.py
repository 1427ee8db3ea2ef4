"""What a check shows of its finding: the largest groups, in its own windows, with real cases."""

from __future__ import annotations

from client.operation import Outcome
from tests.unit.verdict.made_up_runs import MS, TIMED_OUT, MadeUpRun
from verdict import evidence
from verdict.answers import held, with_evidence, worst
from verdict.model import CheckResult, Contributor, Ruling
from verdict.tallies import example
from verdict.view import View


def sample(at_s: float, node: str = "node1", **more: object) -> dict[str, object]:
    usual = {"at_s": at_s, "op": "get", "node": node, "outcome": "timeout", "key": "k:1"}
    return usual | more


def failed(why: str, *contributors: Contributor, observed: float = 1.0) -> CheckResult:
    return held(
        "no_stale_reads", False, why, observed=observed, limit=0, evidence=lambda: contributors
    )


def test_largest_groups_come_first_with_their_share() -> None:
    """Failures are grouped by operation, node and outcome."""
    run = (
        MadeUpRun(20)
        .some_calls("node1", 5.0, TIMED_OUT, 3)
        .some_calls("node2", 6.0, (Outcome.REFUSED, MS), 9)
    )
    found = evidence.failures(View(run.facts()), range(2, 20))
    assert [(c.operation, c.node, c.outcome, c.from_s, c.to_s, c.count) for c in found] == [
        ("get", "node2", "refused", 6, 7, 9),
        ("get", "node1", "timeout", 5, 6, 3),
    ]
    assert found[0].share == 9 / 12


def test_nothing_outside_the_windows_is_shown() -> None:
    """What happened in a window that the check left out is in no group's time, and no example."""
    run = MadeUpRun(20).all_calls("node1", 4.0, 12.0, TIMED_OUT)
    run.but(samples=[sample(7.2), sample(10.7), sample(10.5, "node2")])
    found = evidence.failures(View(run.facts()), [4, 5, 10, 11])
    assert [(c.from_s, c.to_s, c.count) for c in found] == [(4, 6, 400), (10, 12, 400)]
    assert [c.example for c in found] == [{}, sample(10.7)]


def test_slow_calls_show_the_longest() -> None:
    """Of calls that were too slow the slowest is the example."""
    run = MadeUpRun(20).some_calls("node1", 5.0, (Outcome.HIT, 80 * MS), 4)
    samples = [sample(5.0 + tenth / 10, outcome="hit", took_ms=80 - tenth) for tenth in range(3)]
    run.but(samples=samples[::-1])
    found = evidence.slow_calls(View(run.facts()), [5], 50 * MS, "node1")
    assert [(c.outcome, c.count, c.example["took_ms"]) for c in found] == [("hit", 4, 80)]


def test_missing_calls_are_counted_against_the_baseline() -> None:
    """An operation that a node no longer gets is named with what is missing."""
    run = MadeUpRun(20).no_calls("node2", 10, 14)
    found = evidence.missing(View(run.facts()), range(10, 14), range(2, 10))
    assert [(c.operation, c.node, c.count) for c in found] == [("get", "node2", 800)]


def test_a_late_generator_is_named_with_its_worst_second() -> None:
    """Seconds and lag of a generator that was late."""

    def late(windows: dict) -> None:  # type: ignore[type-arg]
        windows[7].lag = {k + 300: n for k, n in windows[7].lag.items()}

    view = View(MadeUpRun(20).poke(late).facts())
    (found,) = evidence.disturbances(view, range(2, 20))
    assert (found.from_s, found.to_s, found.example["at_s"]) == (6, 8, 7)
    assert "hub lag p99" in found.outcome


def test_evidence_that_crashes_costs_no_ruling() -> None:
    """A check that convicts convicts, whatever becomes of its evidence."""

    def crash() -> list[Contributor]:
        raise ZeroDivisionError

    result = held("no_stale_reads", False, "1", observed=1, limit=0, evidence=crash)
    assert result.verdict is Ruling.FAIL
    assert result.evidence == ()
    assert "ZeroDivisionError" in result.trace


def test_evidence_is_only_looked_for_where_it_is_shown() -> None:
    """A PASS costs nothing."""
    result = held("no_stale_reads", True, "0", observed=0, limit=0, evidence=lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    assert (result.evidence, result.trace) == ((), "")


def test_worst_of_several_parts_shows_the_largest_of_each() -> None:
    """Each part that decides has its say before any has its second."""
    one, two, three, four = (Contributor(outcome=word) for word in ("a", "b", "c", "d"))
    parts = [failed("x", one, two, observed=2.0), failed("y", three, four)]
    assert worst("no_stale_reads", parts).evidence == (one, three, two)


def test_a_result_names_three_contributors_at_most() -> None:
    """More are of no use to anybody."""
    many = [Contributor(outcome=str(number)) for number in range(5)]
    result = with_evidence(failed("x", *many[:2]), lambda: many)
    assert [each.outcome for each in result.evidence] == ["0", "1", "2"]


def test_example_lacking_a_field_fits() -> None:
    """What an example does not say speaks for no other group."""
    assert example([{"at_s": 3.0, "key": "k"}], 2, 4, node="node1") == {
        "at_s": 3.0,
        "key": "k",
    }
    assert example([{"at_s": 3.0, "node": "node2"}], 2, 4, node="node1") == {}


def test_errors_of_no_known_kind_are_told_by_their_class() -> None:
    """`other_error` says nothing; the class of what was raised does, and picks the example."""

    def classes(windows: dict) -> None:  # type: ignore[type-arg]
        windows[5].raised = {
            ("get", "node1", "other_error", "CacheDown"): 6,
            ("get", "node1", "other_error", "Stale"): 2,
            ("get", "node1", "timeout", "SocketTimeout"): 1,
        }

    run = MadeUpRun(20).some_calls("node1", 5.0, (Outcome.OTHER_ERROR, MS), 9).poke(classes)
    run.some_calls("node1", 5.0, TIMED_OUT, 1)
    samples = [
        sample(5.0 + at, outcome="other_error", error=kind)
        for at, kind in ((0.1, "Stale"), (0.2, "CacheDown"))
    ]
    found = evidence.failures(View(run.but(samples=samples).facts()), [5])
    assert [(c.outcome, c.count, c.example.get("error")) for c in found] == [
        ("other_error: CacheDown", 6, "CacheDown"),
        ("other_error: Stale", 2, "Stale"),
        ("other_error", 1, "Stale"),
    ]


def test_windows_of_several_seconds_are_one_stretch() -> None:
    """A long run keeps its older seconds by the ten: they are in a row all the same."""

    def coarse(windows: dict) -> None:  # type: ignore[type-arg]
        for begin in (0, 10):
            for second in range(begin + 1, begin + 10):
                windows[begin].absorb(windows.pop(second))

    run = MadeUpRun(30).all_calls("node1", 2.0, 25.0, TIMED_OUT).poke(coarse)
    view = View(run.facts())
    (found,) = evidence.failures(view, [0, 10, *range(20, 30)])
    assert (found.from_s, found.to_s, found.count) == (0, 25, 23 * 200)
    (less,) = evidence.missing(view, [0, 10], range(25, 30), "node1")
    assert (less.from_s, less.to_s, less.count) == (0, 20, 18 * 200)


def test_waits_in_parts_of_seconds_are_shown_beside_those_of_whole_ones() -> None:
    """A fault begins and ends within seconds; its calls there count like the others."""
    run = MadeUpRun(20).all_calls("node1", 5.5, 8.2, TIMED_OUT)
    found = evidence.waiting_groups(View(run.facts()), "node1", 5.5, 8.2, 100 * MS)
    assert [(c.operation, c.outcome, c.from_s, c.count) for c in found] == [
        ("get", "timeout", 6, 400),
        ("", "waited", 5.5, 100),
        ("", "waited", 8, 40),
    ]
    assert found[2].to_s is not None
    assert round(found[2].to_s, 6) == 8.2

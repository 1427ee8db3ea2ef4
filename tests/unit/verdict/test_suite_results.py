"""What a suite comes to: the worst of its places, and what counts for nothing."""

from __future__ import annotations

import pytest

from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from verdict.model import Ruling
from verdict.suite import State, SuiteCase, SuiteResult, case_of
from verdict.verdict import judge


def case(word: str) -> SuiteCase:
    """Give a case by one word: pass, fail, vague, cut (and vague), cut-fail, refused, unrun."""
    ruling, state = {
        "pass": (Ruling.PASS, State.JUDGED),
        "fail": (Ruling.FAIL, State.JUDGED),
        "vague": (Ruling.INCONCLUSIVE, State.JUDGED),
        "cut": (Ruling.INCONCLUSIVE, State.INTERRUPTED),
        "cut-pass": (Ruling.PASS, State.INTERRUPTED),
        "cut-fail": (Ruling.FAIL, State.INTERRUPTED),
        "refused": (None, State.NOT_SET_UP),
        "unrun": (None, State.NOT_RUN),
    }[word]
    return SuiteCase(scenario="x", seed=1, state=state, ruling=ruling)


def result(words: str, *, endless: bool = False) -> SuiteResult:
    return SuiteResult(
        name="s",
        client="memquake",
        started="2026-01-02T03:04:05Z",
        duration_s=1.0,
        cases=[case(word) for word in words.split()],
        endless=endless,
    )


@pytest.mark.parametrize(
    ("words", "endless", "ruling", "code"),
    [
        pytest.param("pass pass", False, "PASS", 0, id="all passed"),
        pytest.param("pass vague", False, "INCONCLUSIVE", 3, id="one proved nothing"),
        pytest.param("vague fail pass", False, "FAIL", 1, id="one failed"),
        pytest.param("refused fail", False, "FAIL", 1, id="a FAIL wins over a refusal"),
        pytest.param("pass refused vague", False, "INCONCLUSIVE", 2, id="a refusal over the rest"),
        pytest.param("pass unrun", False, "INCONCLUSIVE", 3, id="not run is no pass"),
        pytest.param("pass cut-pass", False, "INCONCLUSIVE", 3, id="cut short is no pass"),
        pytest.param("cut-fail unrun", False, "FAIL", 1, id="cut short, and convicted before"),
        pytest.param("", False, "INCONCLUSIVE", 3, id="nothing at all"),
        pytest.param("pass pass cut", True, "PASS", 0, id="stopped is the end of a soak"),
        pytest.param("pass cut unrun", True, "PASS", 0, id="and of its round"),
        pytest.param("cut unrun", True, "INCONCLUSIVE", 3, id="a soak stopped in its first"),
        pytest.param("pass cut-fail", True, "FAIL", 1, id="a soak that failed at its end"),
        pytest.param("pass vague cut", True, "INCONCLUSIVE", 3, id="a soak with a doubt"),
    ],
)
def test_the_worst_of_all_places(words: str, endless: bool, ruling: str, code: int) -> None:
    """FAIL 1, could not be set up 2, INCONCLUSIVE 3, PASS 0, in this order."""
    found = result(words, endless=endless)
    assert (found.ruling.value, found.exit_code) == (ruling, code)


def of(run: MadeUpRun) -> SuiteCase:
    facts = run.facts()
    return case_of(facts, judge(facts), time_scale=0.3, turn=2, run="a-folder", interrupted=False)


def test_a_case_carries_the_key_figures() -> None:
    """Operations, errors while the fault was on, the slowest recovery, what really was done."""
    found = of(run_with_outage())
    assert found.operations == 40 * 600
    assert found.error_rate is not None
    assert 0.2 < found.error_rate < 0.5
    assert found.recovery_time_s == pytest.approx(0.6)
    assert found.emulated_by == ("Toxiproxy timeout toxic",)
    assert (found.round, found.time_scale, found.run) == (2, 0.3, "a-folder")


def test_a_case_names_the_first_check_that_failed() -> None:
    """With its evidence, and how many more there are."""
    found = of(MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT))
    assert found.ruling is Ruling.FAIL
    assert (found.check, found.more > 0) == ("breaker_opens_within", True)
    assert "node2" in found.why


def test_without_a_fault_the_errors_are_those_of_the_baseline() -> None:
    """The control has no seconds of a fault, and nothing to recover from."""
    found = of(MadeUpRun(20))
    assert (found.error_rate, found.recovery_time_s, found.emulated_by) == (0.0, None, ())

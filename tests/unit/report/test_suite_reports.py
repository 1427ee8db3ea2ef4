"""The table, the JUnit file and the JSON of a suite: complete, in width, harmless."""

from __future__ import annotations

import json
import re

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from report.suite import case_line, spell_time, suite_text
from report.suite_files import junit_text, suite_json
from verdict.model import Contributor, Ruling
from verdict.suite import State, SuiteCase, SuiteResult

WEIRD = "<b>\x1b[31m\x00 & {{ 7 }}"
CASES = [
    SuiteCase(
        scenario="none",
        seed=1,
        state=State.JUDGED,
        ruling=Ruling.PASS,
        run="r1",
        operations=39_880,
        error_rate=0.0,
        duration_s=20.0,
    ),
    SuiteCase(
        scenario="latency-200ms-for-100ms",
        seed=1,
        state=State.JUDGED,
        ruling=Ruling.FAIL,
        check="fails_fast_while_open",
        why="node2 in hole: 43 % of 1,203 calls waited over 5 ms after it should have been open",
        evidence=(
            Contributor(
                operation="get",
                node="node2",
                outcome="timeout",
                from_s=12,
                to_s=20,
                count=517,
                example={"at_s": 12.5, "key": "k:1"},
            ),
        ),
        more=2,
        run="r2",
        operations=66_112,
        error_rate=0.21,
        recovery_time_s=0.3,
        emulated_by=("Toxiproxy timeout toxic: bytes dropped, connects go on",),
        duration_s=33.0,
    ),
    SuiteCase(
        scenario="node-hang",
        seed=1,
        state=State.INTERRUPTED,
        ruling=Ruling.INCONCLUSIVE,
        check="enough_requests",
        why="12 operations, 1,000 needed",
        run="r3",
        operations=12,
    ),
    SuiteCase(scenario="packet-loss", seed=1, state=State.NOT_SET_UP, why="needs a kernel"),
    SuiteCase(scenario="node-crash", seed=1, state=State.NOT_RUN, why="stopped before its end"),
]


def suite(cases: list[SuiteCase] | None = None, **changes: object) -> SuiteResult:
    usual: dict[str, object] = {
        "name": "quick",
        "client": "memquake",
        "started": "2026-01-02T03:04:05Z",
        "duration_s": 61.0,
        "cases": CASES if cases is None else cases,
        "interrupted": "stopped before its end",
    }
    return SuiteResult(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_table_fits_and_says_it_all(width: int) -> None:
    """A row a scenario, in order; what failed says why and where; nothing beyond the width."""
    lines = suite_text(suite(), "runs/s", width=width).splitlines()
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    order = [text.index(f" {case.scenario} ") for case in CASES]
    assert order == sorted(order)
    for words in (
        "PASS none 39,880 0 % -",
        "FAIL latency-200ms-for-100ms 66,112 21 % 0.3 s",
        "fails_fast_while_open: node2 in hole",
        "(and 2 more) r2",
        "Toxiproxy timeout toxic",
        "interrupted node-hang 12 - - r3",
        "NOT SET UP packet-loss - - - needs a kernel",
        "not run node-crash",
        "FAIL suite quick, client memquake: 1 failed, 1 not set up, 1 interrupted, 1 passed, "
        "1 not run; 61 s; stopped before its end folder runs/s",
    ):
        assert words in text


def test_colour_is_only_added_where_asked_for() -> None:
    """The words are the same with and without colour."""
    painted = suite_text(suite(), "runs/s", color=True, width=80)
    assert "\x1b[1;31mFAIL\x1b[0m" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == suite_text(suite(), "runs/s", width=80)


def test_junit_has_a_case_for_each_scenario() -> None:
    """FAIL is a failure; what proved nothing is an error; what was not run is skipped."""
    (found,) = list(JUnitXml.fromstring(junit_text(suite()).encode()))
    assert [(case.name, [type(r) for r in case.result]) for case in found] == [
        ("none", []),
        ("latency-200ms-for-100ms", [Failure]),
        ("node-hang", [Error]),
        ("packet-loss", [Error]),
        ("node-crash", [Skipped]),
    ]
    assert (found.tests, found.failures, found.errors, found.skipped) == (5, 1, 2, 1)
    failure = next(case for case in found if case.name.startswith("latency")).result[0]
    assert failure.message.startswith("fails_fast_while_open: node2 in hole")
    assert "run folder: r2" in failure.text
    assert "seed 1, time scale 1, round 1" in failure.text


def test_scenarios_that_run_again_are_told_apart() -> None:
    """By their round, or within a round by their number."""
    twice = [
        SuiteCase(scenario="a", seed=n, state=State.JUDGED, ruling=Ruling.PASS, round=n)
        for n in (1, 2)
    ]
    rounds = next(iter(JUnitXml.fromstring(junit_text(suite(twice)).encode())))
    assert [case.name for case in rounds] == ["a (round 1)", "a (round 2)"]
    same = [SuiteCase(scenario="a", seed=n, state=State.NOT_RUN) for n in (1, 2)]
    listed = next(iter(JUnitXml.fromstring(junit_text(suite(same)).encode())))
    assert [case.name for case in listed] == ["a (1)", "a (2)"]


def test_json_is_whole() -> None:
    """Plain JSON with a fixed order of fields."""
    data = suite_json(suite())
    assert list(data)[:4] == ["version", "suite", "verdict", "exit_code"]
    assert (data["verdict"], data["exit_code"]) == ("FAIL", 1)
    assert [case["state"] for case in data["scenarios"]] == [case.state.value for case in CASES]
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_names_cannot_harm_the_terminal_or_the_file() -> None:
    """Whatever a scenario, a client or a reason holds is shown and does nothing."""
    case = SuiteCase(
        scenario=WEIRD,
        seed=1,
        state=State.JUDGED,
        ruling=Ruling.FAIL,
        check="x",
        why=WEIRD,
        run=WEIRD,
        emulated_by=(WEIRD,),
    )
    result = suite([case], name=WEIRD, client=WEIRD, interrupted=WEIRD)
    for text in (suite_text(result, WEIRD), case_line(case), junit_text(result)):
        assert "\x1b" not in text
        assert "\x00" not in text
    assert len(list(JUnitXml.fromstring(junit_text(result).encode()))) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99, "99 s"), (101, "2 min"), (7140, "119 min"), (7500, "2 h 05 min")],
)
def test_a_length_of_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    """Seconds up to a minute and a half, minutes up to two hours."""
    assert spell_time(seconds) == words


def test_a_scenario_that_was_not_held_shows_what_its_check_found() -> None:
    """The test tab of a CI server, and whoever reads suite.json, can start from it."""
    text = junit_text(suite())
    assert "- get on node2: timeout, 12-20 s, 517" in text
    assert "example: at 12.5 s, key=k:1" in text
    told = {case["scenario"]: case["evidence"] for case in suite_json(suite())["scenarios"]}
    assert told["none"] == []
    (found,) = told["latency-200ms-for-100ms"]
    assert (found["node"], found["count"], found["example"]["key"]) == ("node2", 517, "k:1")

"""The end of a suite for programs: junit.xml with a case per scenario, and suite.json.

FAIL is a failure; INCONCLUSIVE, interrupted and what could not be set up are errors (the run broke,
not the client); what was not run is skipped. Each names the folder of its run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from report.atomic import write_text
from report.json import contributor_json
from report.reading import OutcomeError, read_json
from report.suite import reason, title
from report.words import evidence_lines, plain, quantity
from verdict.model import Ruling
from verdict.suite import State, SuiteCase, SuiteResult

SUITE, SUITE_TABLE = "suite.json", "suite.txt"
FORMAT_VERSION = 1
"""Grows when a field changes its meaning; added fields do not count."""


def junit_text(result: SuiteResult) -> str:
    """Give the content of junit.xml."""
    suite = TestSuite(plain(result.name))
    suite.timestamp = result.started
    suite.add_property("client", plain(result.client))
    suite.add_property("verdict", result.ruling.value)
    for case in result.cases:
        suite.add_testcase(_test_case(case, result))
    suite.time = round(result.duration_s, 3)
    xml = JUnitXml("memquake")
    xml.add_testsuite(suite)
    return str(xml.tostring().decode("utf-8"))


def suite_json(result: SuiteResult) -> dict[str, Any]:
    """Give the content of suite.json as plain types."""
    return {
        "version": FORMAT_VERSION,
        "suite": result.name,
        "verdict": result.ruling.value,
        "exit_code": result.exit_code,
        "started": result.started,
        "duration_s": round(result.duration_s, 3),
        "client": result.client,
        "endless": result.endless,
        "interrupted": result.interrupted,
        "scenarios": [_case_json(case) for case in result.cases],
    }


def write_suite(result: SuiteResult, folder: Path) -> None:
    """Write both files, each whole or not at all. Raises OSError."""
    text = json.dumps(suite_json(result), indent=2, allow_nan=False)
    write_text(folder / SUITE, text + "\n")
    write_text(folder / "junit.xml", junit_text(result))


def read_suite(folder: Path) -> SuiteResult:
    """Return the suite of a folder, with its places but without what their runs came to.

    Raises OutcomeError with one line.
    """
    path = folder / SUITE
    data = read_json(path)
    try:
        if data["version"] > FORMAT_VERSION:
            raise OutcomeError(f"{path} was written by a newer memquake: use that one")
        return SuiteResult(
            name=str(data["suite"]),
            client=str(data["client"]),
            started=str(data["started"]),
            duration_s=float(data["duration_s"]),
            cases=[_place(case) for case in data["scenarios"]],
            endless=bool(data["endless"]),
            interrupted=str(data["interrupted"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OutcomeError(f"{path} is not of a suite: give the folder of a suite") from None


def _place(data: dict[str, Any]) -> SuiteCase:
    return SuiteCase(
        scenario=str(data["scenario"]),
        seed=int(data["seed"]),
        state=State(data["state"]),
        time_scale=float(data["time_scale"]),
        round=int(data["round"]),
        why=str(data["why"]),
        run=str(data["run"] or ""),
        vague_runs=tuple(map(str, data["inconclusive_runs"])),
    )


def _case_json(case: SuiteCase) -> dict[str, Any]:
    return {
        "scenario": case.scenario,
        "seed": case.seed,
        "time_scale": case.time_scale,
        "round": case.round,
        "state": case.state.value,
        "verdict": None if case.ruling is None else case.ruling.value,
        "check": case.check or None,
        "why": case.why,
        "evidence": [contributor_json(each) for each in case.evidence],
        "run": case.run or None,
        "inconclusive_runs": list(case.vague_runs),
        "duration_s": round(case.duration_s, 3),
        "operations": case.operations,
        "error_rate": case.error_rate,
        "recovery_time_s": case.recovery_time_s,
        "emulated_by": list(case.emulated_by),
    }


def _test_case(case: SuiteCase, result: SuiteResult) -> TestCase:
    one = TestCase(title(case, result), classname=f"memquake.{plain(result.name)}")
    one.time = round(case.duration_s, 3)
    why = reason(case)
    detail = "\n".join([why, *_details(case)]).strip()
    if case.ruling is Ruling.FAIL:
        one.result = [_with_detail(Failure(why, "FAIL"), detail)]
    elif case.state is State.NOT_RUN:
        one.result = [Skipped(why)]
    elif case.state is State.JUDGED and case.ruling is Ruling.PASS:
        one.system_out = detail
    else:
        kind = "INCONCLUSIVE" if case.state is State.JUDGED else case.state.value.upper()
        one.result = [_with_detail(Error(why, kind), detail)]
    return one


def _details(case: SuiteCase) -> list[str]:
    lines = evidence_lines(case.evidence)
    lines += [f"run folder: {plain(case.run)}"] if case.run else []
    lines += [f"INCONCLUSIVE before it: {plain(run)}" for run in case.vague_runs]
    lines.append(f"seed {case.seed}, time scale {case.time_scale:g}, round {case.round}")
    if case.operations is not None:
        lines.append(
            f"operations {case.operations:,}, errors {quantity(case.error_rate, 'share')}, "
            f"recovered in {quantity(case.recovery_time_s, 's')}"
        )
    lines += [f"emulated by: {plain(words)}" for words in case.emulated_by if words]
    return lines


def _with_detail(result: Failure | Error, detail: str) -> Failure | Error:
    result.text = detail
    return result

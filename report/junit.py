"""junit.xml: a test case per check, for the test tab of a CI server.

FAIL is a failure, INCONCLUSIVE an error (the run broke, not the client), NOT_APPLICABLE skipped.
"""

from __future__ import annotations

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from report.atomic import write_text
from report.words import (
    client_rows,
    contributor_text,
    evidence_lines,
    limit_text,
    plain,
    quantity,
)
from verdict.model import CheckResult, Ruling, RunFacts, Verdict


def junit_text(verdict: Verdict, facts: RunFacts) -> str:
    """Give the content of junit.xml."""
    suite = TestSuite(plain(facts.scenario))
    suite.timestamp = facts.started
    suite.add_property("client", plain(facts.client))
    for name, value in client_rows(facts):
        suite.add_property(name.replace(" ", "_"), value)
    suite.add_property("seed", str(facts.seed))
    suite.add_property("verdict", verdict.ruling.value)
    for check in verdict.checks:
        suite.add_testcase(_test_case(check, facts))
    suite.time = round(facts.duration_s, 3)
    xml = JUnitXml("memquake")
    xml.add_testsuite(suite)
    return str(xml.tostring().decode("utf-8"))


def write_junit(verdict: Verdict, facts: RunFacts, path: Path) -> None:
    """Write junit.xml."""
    write_text(Path(path), junit_text(verdict, facts))


def _test_case(check: CheckResult, facts: RunFacts) -> TestCase:
    case = TestCase(check.name, classname=f"memquake.{plain(facts.scenario)}")
    why = plain(check.why)
    if check.evidence:
        why += f"; largest: {contributor_text(check.evidence[0])}"
    detail = (
        f"{plain(check.why)}\n"
        f"observed {quantity(check.observed, check.unit)}, limit {limit_text(check)}\n"
        f"rule: {plain(check.rule)}"
    )
    detail = "\n".join([detail, *evidence_lines(check.evidence)])
    if check.verdict is Ruling.FAIL:
        case.result = [_with_detail(Failure(why, "FAIL"), detail)]
    elif check.verdict is Ruling.INCONCLUSIVE:
        case.result = [_with_detail(Error(why, "INCONCLUSIVE"), detail)]
    elif check.verdict is Ruling.NOT_APPLICABLE:
        case.result = [Skipped(why)]
    else:
        case.system_out = detail
    return case


def _with_detail(result: Failure | Error, detail: str) -> Failure | Error:
    result.text = detail
    return result

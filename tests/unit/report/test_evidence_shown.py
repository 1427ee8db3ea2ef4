"""What a check found is in every report: console, verdict.json, junit.xml, report.html."""

from __future__ import annotations

import re

import pytest

from report.bands import mark_bands
from report.console import summary
from report.html import html_text
from report.json import verdict_json
from report.junit import junit_text
from report.scales import time_scale
from report.words import contributor_text, example_text, span_text
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun
from verdict.model import Contributor, Ruling, RunFacts, Verdict
from verdict.verdict import judge

NASTY = "<script>\x1b[31m"
SAMPLE = {
    "at_s": 12.5,
    "took_ms": 500.125,
    "op": "get",
    "node": "node2",
    "outcome": "timeout",
    "key": f"k:{NASTY}",
    "error": "OperationTimeout",
    "text": "no complete reply",
    "connection": "127.0.0.1:40112 to 127.0.0.1:21211",
    "user": "",
}


@pytest.fixture(scope="module")
def judged() -> tuple[Verdict, RunFacts]:
    run = MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT)
    facts = run.but(samples=[SAMPLE]).facts()
    return judge(facts), facts


def test_console_has_a_line_for_each_contributor(judged: tuple[Verdict, RunFacts]) -> None:
    """What, where, when and how many, then one real case without anything said twice."""
    text = summary(*judged, "runs/x", width=200)
    assert "- get on node2: timeout, 12-20 s, 1,600 (97.6 %)" in text
    shown = re.search(r"e\.g\. at 12\.5 s, (.*)", text)
    assert shown is not None
    assert shown[1] == (
        "took_ms=500.125, key=k:<script>?[31m, error=OperationTimeout, text=no complete reply, "
        "connection=127.0.0.1:40112 to 127.0.0.1:21211"
    )


def test_verdict_json_has_the_fields_of_the_contract(judged: tuple[Verdict, RunFacts]) -> None:
    """Checks that hold have no evidence; the others name what was found in numbers."""
    checks = {check["name"]: check for check in verdict_json(*judged)["checks"]}
    assert checks["no_wrong_values"]["evidence"] == []
    found, edge = checks["fails_fast_while_open"]["evidence"]
    assert (edge["operation"], edge["outcome"], edge["count"]) == (None, "waited", 40)
    assert found == {
        "operation": "get",
        "node": "node2",
        "outcome": "timeout",
        "from_s": 12,
        "to_s": 20,
        "count": 1600,
        "share": 0.97561,
        "example": SAMPLE,
    }


def test_junit_says_it_in_the_message_and_whole_in_the_text(
    judged: tuple[Verdict, RunFacts],
) -> None:
    """The list of a CI server shows messages only."""
    text = junit_text(*judged)
    assert re.search(r'message="[^"]*largest: get on node2: timeout, 12-20 s, 1,600', text)
    assert "example: at 12.5 s, took_ms=500.125" in text


def test_page_marks_the_seconds_in_every_chart(judged: tuple[Verdict, RunFacts]) -> None:
    """A row unfolds, its seconds are in each chart and in a lane; no text of a client is markup."""
    verdict, facts = judged
    page = html_text(verdict, facts)
    assert "get on node2: timeout, 12-20 s, 1,600 (97.6 %)" in page
    assert "k:&lt;script&gt;?[31m" in page
    charts = page.count("data-chart=")
    marks = re.findall(
        r'data-check="fails_fast_while_open" style="left:([\d.]+)%;width:([\d.]+)%', page
    )
    assert marks.count(("30.0", "20.0")) == charts + 1  # 12 to 20 of 40 s


def test_only_what_was_not_held_is_marked(judged: tuple[Verdict, RunFacts]) -> None:
    """Charts of a good run stay clean."""
    verdict, _ = judged
    bands = mark_bands(verdict.checks, time_scale(0, 40))
    failed = {c.name for c in verdict.checks if c.verdict in (Ruling.FAIL, Ruling.INCONCLUSIVE)}
    assert set(bands) == failed
    assert bands


@pytest.mark.parametrize(
    ("each", "text"),
    [
        (Contributor(outcome="stopped"), "stopped"),
        (Contributor(outcome="timeout", node="node1"), "node1: timeout"),
        (Contributor(outcome="timeout", operation="get"), "get: timeout"),
        (Contributor(outcome="lost", from_s=-1, to_s=0, count=2), "lost, before the run, 2"),
        (Contributor(outcome="lost", from_s=3.0, count=2), "lost, at 3 s, 2"),
        (Contributor(outcome="x", from_s=3.04, to_s=4.25, share=0.5), "x, 3-4.2 s (50 %)"),
    ],
)
def test_contributors_are_one_line(each: Contributor, text: str) -> None:
    """What is not known is left out."""
    assert contributor_text(each) == text


def test_cases_are_one_line() -> None:
    """Lists are joined, empty fields left out, line breaks gone."""
    each = Contributor(
        outcome="x", example={"got": "a\nb", "neighbours": ["c", "d"], "none": None, "at_s": 2}
    )
    assert example_text(each) == "at 2 s, got=a?b, neighbours=c; d"
    assert span_text(None, 3.0) == ""

"""Every report of the same verdict: complete, well-formed, harmless whatever the names hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite

from client.operation import Outcome
from memquake.limits import known_checks
from report.console import summary
from report.html import html_text, write_html
from report.json import verdict_json, write_json
from report.junit import junit_text, write_junit
from report.series import MOST_POINTS, bins_of, errors
from telemetry.window import Window
from tests.unit.verdict.made_up_runs import TIMED_OUT, MadeUpRun, run_with_outage
from verdict.model import CheckResult, Figure, Ruling, RunFacts, Verdict
from verdict.verdict import judge

WEIRD = "<script>alert('\"1\"')</script> & \x1b[31m\x00 {{ 7 * 7 }}"
VOID = {"meta", "br", "rect", "path", "line", "link", "img", "hr"}


class Balance(HTMLParser):
    """Check that every element is closed, and collect what matters."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.scripts = 0
        self.ids: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "srcset", "xlink:href"):
                self.outside.append(f"{tag} {name}={value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def suites_of(verdict: Verdict, facts: RunFacts) -> list[TestSuite]:
    return list(JUnitXml.fromstring(junit_text(verdict, facts).encode()))


def failing() -> MadeUpRun:
    return MadeUpRun().fault("node2").all_calls("node2", 10, 20, TIMED_OUT)


def weird() -> MadeUpRun:
    run = MadeUpRun().fault("node2", kind=WEIRD, why_not=WEIRD, emulated_by=WEIRD)
    run.faults[0].id = WEIRD
    told = {"class": WEIRD, "file": WEIRD, "libraries": {WEIRD: WEIRD}}
    run.but(scenario=WEIRD, client=WEIRD, stopped_early=WEIRD, findings=[{"kind": WEIRD}])
    return run.but(client_under_test=told, versions={WEIRD: WEIRD})


RUNS: dict[str, Callable[[], MadeUpRun]] = {
    "a good client": run_with_outage,
    "a bad client": failing,
    "no faults": lambda: MadeUpRun(20),
    "no windows": lambda: MadeUpRun(0),
    "no windows, workers or nodes": lambda: MadeUpRun(0).but(workers=[], nodes=[]),
    "one second": lambda: MadeUpRun(1),
    "weird names": weird,
    "a fault without end": lambda: MadeUpRun().fault(
        "node2", confirmed_at_s=None, heal_started_s=None, healed_at_s=None
    ),
    "a long run": lambda: MadeUpRun(1300, calls=3),
}


@pytest.fixture(scope="module", params=list(RUNS))
def judged(request: pytest.FixtureRequest) -> tuple[Verdict, RunFacts]:
    facts = RUNS[request.param]().facts()
    return judge(facts), facts


def test_json_has_the_fields_of_the_contract_in_order(judged: tuple[Verdict, RunFacts]) -> None:
    """Names and order of verdict.json are a contract; it is JSON without NaN or infinity."""
    data = verdict_json(*judged)
    assert list(data) == [
        "version",
        "scenario",
        "seed",
        "verdict",
        "exit_code",
        "started",
        "duration_s",
        "client",
        "workers",
        "totals",
        "checks",
        "faults",
        "figures",
        "notes",
        "stopped_early",
        "broken_off",
        "client_under_test",
        "versions",
    ]
    assert list(data["totals"]) == ["operations", "keys", "errors", "wrong_values"]
    assert [check["name"] for check in data["checks"]] == list(known_checks())
    for check in data["checks"]:
        assert list(check) == ["name", "verdict", "observed", "limit", "unit", "why", "evidence"]
        for each in check["evidence"]:
            assert list(each) == [
                *("operation", "node", "outcome", "from_s", "to_s", "count", "share", "example")
            ]
    for worker in data["workers"]:
        assert list(worker) == ["id", "operations", "lost_at_s", "joined_at_s", "away_s"]
    for fault in data["faults"]:
        assert list(fault) == [
            "id",
            "kind",
            "nodes",
            "started_s",
            "ended_s",
            "confirmed",
            "emulated_by",
        ]
    for figure in data["figures"].values():
        assert list(figure) == ["value", "unit"]
    if data["workers"]:
        told = sum(worker["operations"] for worker in data["workers"])
        assert data["totals"]["operations"] == told
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_junit_has_a_case_for_each_check(judged: tuple[Verdict, RunFacts]) -> None:
    """FAIL is a failure, INCONCLUSIVE an error, NOT_APPLICABLE skipped."""
    verdict, facts = judged
    suites = suites_of(verdict, facts)
    assert len(suites) == 1
    cases = list(suites[0])
    assert [case.name for case in cases] == list(known_checks())
    kinds = {Ruling.FAIL: Failure, Ruling.INCONCLUSIVE: Error, Ruling.NOT_APPLICABLE: Skipped}
    for case, check in zip(cases, verdict.checks, strict=True):
        expected = [kinds[check.verdict]] if check.verdict in kinds else []
        assert [type(result) for result in case.result] == expected
    rulings = [check.verdict for check in verdict.checks]
    assert suites[0].tests == len(cases)
    assert suites[0].failures == rulings.count(Ruling.FAIL)
    assert suites[0].errors == rulings.count(Ruling.INCONCLUSIVE)
    assert suites[0].skipped == rulings.count(Ruling.NOT_APPLICABLE)


def test_html_is_whole_and_loads_nothing(judged: tuple[Verdict, RunFacts]) -> None:
    """The page is well-formed, has unique ids, and refers to nothing outside itself."""
    text = html_text(*judged)
    page = Balance()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.outside == []
    assert len(page.ids) == len(set(page.ids))
    for outside in ("http:", "https:", "//cdn", "@import", "url("):
        assert outside not in text
    assert judged[0].ruling.value in text


def test_html_names_every_check_failing_ones_first(judged: tuple[Verdict, RunFacts]) -> None:
    """All checks are on the page; those that convict stand above those that pass."""
    verdict, facts = judged
    text = html_text(verdict, facts)
    table = text[text.index("<tbody>") :]
    places = {check: table.index(f"<code>{check.name}</code>") for check in verdict.checks}
    order = [Ruling.FAIL, Ruling.INCONCLUSIVE, Ruling.PASS, Ruling.NOT_APPLICABLE]
    ranks = [order.index(check.verdict) for check in sorted(places, key=places.__getitem__)]
    assert ranks == sorted(ranks)


def test_console_fits_and_shows_the_convicting_checks(judged: tuple[Verdict, RunFacts]) -> None:
    """The summary fits its width, says what failed first, and where the report lies."""
    verdict, facts = judged
    text = summary(verdict, facts, "runs/x", color=False, width=100)
    lines = text.splitlines()
    assert lines[0].startswith(verdict.ruling.value)
    assert all(len(line) <= 100 for line in lines[1:])
    assert lines[-1] == "report  runs/x/report.html"
    deciding = [c for c in verdict.checks if c.verdict in (Ruling.FAIL, Ruling.INCONCLUSIVE)]
    assert all(check.name in text for check in deciding)
    assert "\x1b" not in text
    assert "\x00" not in text


def test_names_are_escaped_and_never_run() -> None:
    """Whatever a scenario or a client is called, the page shows it and runs nothing."""
    facts = weird().facts()
    text = html_text(judge(facts), facts)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "{{ 7 * 7 }}" in text
    assert "\x00" not in text
    assert "\x1b" not in text


def test_failed_check_carries_its_evidence_into_junit() -> None:
    """A CI server shows the evidence without the run folder."""
    facts = failing().facts()
    cases = {case.name: case for case in suites_of(judge(facts), facts)[0]}
    failure = cases["fails_fast_while_open"].result[0]
    assert "waited" in failure.message
    assert "limit <= 1 %" in failure.text


def test_colour_is_only_added_where_asked_for() -> None:
    """The words are the same with and without colour."""
    facts = failing().facts()
    verdict = judge(facts)
    painted = summary(verdict, facts, "runs/x", color=True, width=90)
    assert "\x1b[1;31m" in painted
    bare = painted.replace("\x1b[1;31m", "").replace("\x1b[1;33m", "").replace("\x1b[0m", "")
    assert bare == summary(verdict, facts, "runs/x", color=False, width=90)


def test_long_run_is_drawn_with_few_points() -> None:
    """No chart has more points than pixels, and no window is left out."""
    facts = MadeUpRun(1300, calls=3).facts()
    bins = bins_of(facts)
    assert len(bins) <= MOST_POINTS
    assert sum(len(each.windows) for each in bins) == 1300


def test_errors_are_drawn_by_the_classes_that_were_raised() -> None:
    """A failure that fits no outcome is named by its classes, whatever a foreign one is called."""
    run = MadeUpRun(20).some_calls("node1", 5.0, (Outcome.OTHER_ERROR, 200), 10)

    def raised(windows: dict[int, Window]) -> None:
        names = ("A", "<b>", "C", "D")
        windows[5].raised = {("get", "node1", "other_error", n): 9 - len(n) for n in names}

    facts = run.poke(raised).facts()
    (label,) = errors(bins_of(facts))
    assert sorted(label.split(", ")[:3]) == ["A", "C", "D"]
    assert label.endswith(", ...")
    page = html_text(judge(facts), facts)
    assert label in page


def test_budgets_of_a_run_are_shown_with_their_units() -> None:
    """Five seconds are not told as 5, nor half a percent as 0.005."""
    budgets = {"recovers_within": 5.0, "error_budget": 0.005, "retry_amplification": 1.3}
    facts = MadeUpRun(3).but(budgets=budgets).facts()
    page = html_text(judge(facts), facts)
    assert "error_budget = 0.5 %, recovers_within = 5 s, retry_amplification = 1.3 x" in page


def test_number_that_json_lacks_becomes_null() -> None:
    """Infinity and NaN are no JSON."""
    facts = MadeUpRun(3).facts()
    check = CheckResult(
        name="no_leaks",
        verdict=Ruling.FAIL,
        observed=math.inf,
        limit=math.nan,
        unit="s",
        why="",
    )
    verdict = Verdict(
        ruling=Ruling.FAIL,
        checks=[check],
        figures={"endless": Figure(value=math.inf, unit="s")},
        totals=dict.fromkeys(("operations", "keys", "errors", "wrong_values"), 0),
    )
    data = verdict_json(verdict, facts)
    assert (data["checks"][0]["observed"], data["checks"][0]["limit"]) == (None, None)
    assert data["figures"]["endless"] == {"value": None, "unit": "s"}
    assert html_text(verdict, facts)
    assert junit_text(verdict, facts)
    assert summary(verdict, facts, "runs/x")


def test_files_are_written_whole(tmp_path: Path) -> None:
    """Each file replaces an older one in one step and leaves nothing beside it."""
    facts = run_with_outage().facts()
    verdict = judge(facts)
    for name, write in (
        ("verdict.json", write_json),
        ("junit.xml", write_junit),
        ("report.html", write_html),
    ):
        path = tmp_path / name
        path.write_text("old")
        write(verdict, facts, path)
        assert len(path.read_text(encoding="utf-8")) > 500
        assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "junit.xml",
        "report.html",
        "verdict.json",
    ]


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old file and no temporary one."""
    path = tmp_path / "verdict.json"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("report.atomic.os.replace", refuse)
    facts = MadeUpRun(3).facts()
    with pytest.raises(OSError, match="disk full"):
        write_json(judge(facts), facts, path)
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]
    assert path.read_text() == "old"

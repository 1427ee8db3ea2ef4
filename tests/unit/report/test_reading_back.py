"""An earlier outcome is read back from any of its files, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report.json import write_json
from report.reading import OutcomeError, read_earlier
from tests.unit.verdict.made_up_runs import MadeUpRun
from verdict.verdict import judge


def write_run(folder: Path, name: str, scenario: str) -> Path:
    place = folder / name
    place.mkdir()
    facts = MadeUpRun(20).but(scenario=scenario).facts()
    write_json(judge(facts), facts, place / "verdict.json")
    return place


def test_a_run_by_its_folder_or_its_file(tmp_path: Path) -> None:
    """Both give the run under its scenario, with the figures that have a value."""
    place = write_run(tmp_path, "one", "node-crash")
    for path in (place, place / "verdict.json"):
        (run,) = read_earlier(path).values()
        assert (run.scenario, run.client, run.name) == ("node-crash", "memquake", "one")
        assert run.figures["steady_throughput"] == 600.0
        assert "origin_calls" not in run.figures


def test_a_suite_by_its_folder(tmp_path: Path) -> None:
    """Each scenario that was judged; of one that ran twice the first run."""
    cases = []
    for name, scenario in (("r1", "none"), ("r2", "node-crash"), ("r3", "none")):
        write_run(tmp_path, name, scenario)
        cases.append({"scenario": scenario, "state": "judged", "run": name})
    cases.append({"scenario": "node-hang", "state": "not run", "run": None})
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "suite.json").write_text(json.dumps({"scenarios": cases}))
    found = read_earlier(suite)
    assert {name: run.name for name, run in found.items()} == {"none": "r1", "node-crash": "r2"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "does not exist", id="missing"),
        pytest.param("name: x", "is no JSON", id="YAML"),
        pytest.param("[1]", "no outcome of memquake", id="a list"),
        pytest.param("{}", "is no verdict.json", id="empty"),
        pytest.param('{"scenarios": 5}', "no outcome of memquake", id="scenarios is a number"),
        pytest.param('{"scenario": "x", "client": "y", "figures": []}', "no verdict", id="figures"),
        pytest.param("[" * 100_000, "is no JSON", id="nested without end"),
    ],
)
def test_what_is_no_outcome_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    """One line names the file and what to give."""
    path = tmp_path / "verdict.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OutcomeError, match=said) as caught:
        read_earlier(path)
    assert "\n" not in str(caught.value)


def test_figures_without_a_number_are_left_out(tmp_path: Path) -> None:
    """Whatever a file holds in their place."""
    path = tmp_path / "verdict.json"
    figures = {"a": {"value": True}, "b": {"value": "1"}, "c": 5, "d": {"value": 2, "unit": "s"}}
    path.write_text(json.dumps({"scenario": "x", "client": "y", "figures": figures}))
    assert read_earlier(path)["x"].figures == {"d": 2.0}

"""The dashboards' files: in Grafana's schema, up to date, and asking only for what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboard.grafana.build import DASHBOARDS, FOLDER, files
from dashboard.grafana.queries import DEFAULTS
from dashboard.grafana.reading import asked, unknown_variables
from dashboard.promql import problems
from scripts import monitoring
from telemetry.families import FAMILIES

COLUMNS = 24  # of a page of Grafana's
PATHS = sorted(FOLDER.glob("*.json"))
LOADED = {path.stem: json.loads(path.read_text()) for path in PATHS}
EVERY = pytest.mark.parametrize("dashboard", LOADED.values(), ids=LOADED)

# What Grafana's own code reads of a Prometheus annotation, beyond the published schema.
BEYOND = re.compile(
    r"\.annotations\.list\[\d+\]\.(step|titleFormat|tagKeys|target\.(refId|expr|interval))"
)


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Name what is in `ours` and not, or not so, in `theirs`; defaults they add are fine."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{where}.{key}" for key in ours if key not in theirs]
        for key in ours.keys() & theirs.keys():
            found += differences(ours[key], theirs[key], f"{where}.{key}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}[{i}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} became {theirs!r}"]


def through_schema(dashboard: dict[str, Any]) -> list[str]:
    """Read a dashboard by the models of Grafana's schema; give what they lose or change of it."""
    register_default_plugins()
    model = Dashboard.from_json(json.loads(json.dumps(dashboard)))
    return differences(dashboard, json.loads(JSONEncoder().encode(model)))


@EVERY
def test_a_dashboard_is_in_grafanas_schema(dashboard: dict[str, Any]) -> None:
    """The models of Grafana 11.1 take every field in, and give it back as it was."""
    assert not [line for line in through_schema(dashboard) if not BEYOND.fullmatch(line)]


def test_the_schema_finds_a_misspelt_option() -> None:
    """A field that Grafana would silently ignore is named."""
    broken = json.loads(json.dumps(LOADED["memquake-run"]))
    panel = next(each for each in broken["panels"] if each["type"] == "timeseries")
    panel["fieldConfig"]["defaults"]["custom"]["lineWidht"] = 3
    panel["options"]["legned"] = {}
    panel["targets"][0]["legend"] = "x"
    lost = through_schema(broken)
    for name in ("lineWidht", "legned", "legend"):
        assert any(line.endswith(f".{name}") for line in lost), (name, lost)


@EVERY
def test_panels_lie_side_by_side(dashboard: dict[str, Any]) -> None:
    """Every panel has a number of its own, and no two share a place."""
    taken: dict[tuple[int, int], int] = {}
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]


@EVERY
def test_a_dashboard_is_live_and_knows_its_run(dashboard: dict[str, Any]) -> None:
    """It refreshes each second, has variables for scenario and node, and draws fault windows."""
    assert dashboard["refresh"] == "1s"
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource", "scenario", "node"}
    (faults,) = dashboard["annotations"]["list"]
    assert faults["enable"]
    assert "toxiproxy_toxic_active" in faults["target"]["expr"]
    assert faults["target"]["expr"] == faults["expr"]
    assert not unknown_variables(dashboard)
    text = json.dumps(dashboard["panels"])
    assert "$scenario" in text
    assert "$node" in text


@EVERY
def test_what_a_dashboard_asks_for_exists(dashboard: dict[str, Any]) -> None:
    """Metric, labels and values of each query are in the list, whatever is chosen at the top."""
    chosen = {**DEFAULTS, "$scenario": "node-crash", "$node": "node1"}
    for query in asked(dashboard):
        for values in (DEFAULTS, chosen):
            assert not problems(query.resolved(values), legend=query.legend), query


def test_every_metric_is_on_a_panel() -> None:
    """Nothing is measured for nobody."""
    everything = " ".join(query.expr for each in LOADED.values() for query in asked(each))
    assert not [family.name for family in FAMILIES if family.name not in everything]


def test_files_are_what_the_code_gives() -> None:
    """The committed dashboards are the generated ones, and there are no others."""
    assert {path: path.read_text() for path in PATHS} == files()
    assert len({dashboard["uid"] for dashboard in DASHBOARDS}) == len(DASHBOARDS) == len(PATHS)


def test_check_names_what_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed file, a missing one and one too many each make a line with the way out."""
    for path in PATHS:
        (tmp_path / path.name).write_text(path.read_text())
    page = tmp_path / "metrics.md"
    page.write_text(monitoring.PAGE.read_text())
    for name, value in (("CHECKOUT", tmp_path), ("FOLDER", tmp_path), ("PAGE", page)):
        monkeypatch.setattr(monitoring, name, value)
    monkeypatch.setattr(
        monitoring, "files", lambda: {tmp_path / p.name: t for p, t in files().items()}
    )
    assert monitoring.main(["--check"]) == 0
    page.write_text("# Metrics\n")
    (tmp_path / "memquake-run.json").unlink()
    (tmp_path / "by-hand.json").write_text((tmp_path / "memquake-nodes.json").read_text())
    capsys.readouterr()
    assert monitoring.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "memquake-run.json is missing: run `make monitoring`" in said
    assert "metrics.md is not what its source gives: run `make monitoring`" in said
    assert "by-hand.json is written by nothing" in said
    assert monitoring.main([]) == 0
    (tmp_path / "by-hand.json").unlink()
    assert monitoring.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("memcache_hit_ratio", "memcache_hit_rate", "there is no metric memcache_hit_rate"),
        ("sum by (status)", "sum by (outcome)", "cannot sum by outcome"),
        ("{{outcome}}", "{{reason}}", "the result has no label reason"),
        ("$scenario", "$szenario", "there is no variable $szenario"),
        ("label_values(scenario_phase, scenario)", "label_values(scenario_phase, name)", "name"),
    ],
)
def test_check_names_a_query_that_can_give_nothing(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    """A metric, a label or a variable that does not exist is found in a dashboard's file."""
    text = (FOLDER / "memquake-run.json").read_text()
    assert before in text
    (tmp_path / "memquake-run.json").write_text(text.replace(before, after))
    lines = monitoring.bad_queries(tmp_path)
    assert any(said in line for line in lines), lines
    assert not monitoring.bad_queries(FOLDER)


@pytest.mark.parametrize("text", ["{", "[]", '{"title": "x"}'])
def test_check_names_what_is_no_dashboard(tmp_path: Path, text: str) -> None:
    """A file that Grafana could not read is a line, not a traceback."""
    (tmp_path / "odd.json").write_text(text)
    (line,) = monitoring.bad_queries(tmp_path)
    assert line.startswith("odd.json is no dashboard")


def test_check_wants_no_other_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt option does not write anything."""
    assert monitoring.main(["--chekc"]) == 2
    assert "--chekc" in capsys.readouterr().err


def test_grafana_finds_its_source_and_its_dashboards() -> None:
    """The data source asks as often as Prometheus scrapes; dashboards come from files."""
    provisioning = FOLDER.parent / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    scraping = yaml.safe_load((monitoring.RULES.parent / "prometheus.yml").read_text())
    assert source["type"] == "prometheus"
    assert source["isDefault"]
    assert source["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"] == "1s"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "memquake.yml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"

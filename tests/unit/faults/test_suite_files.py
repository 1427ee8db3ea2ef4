"""Suites as data: those that come with the product, what they pick, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.errors import ScenarioError
from faults.scenario import list_scenarios, load_scenario
from faults.suite import CONTROL, Entry, list_suites, load_suite
from memquake.paths import SCENARIOS, SUITES

FAULT = "at: 0s, duration: 5s, target: {mode: one}"


def write(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


def test_the_suites_that_come_with_the_product() -> None:
    """Each has its file's name, a description, and at least one scenario."""
    listed = {suite.name: suite.description for suite in list_suites()}
    assert {"all", "network", "process", "quick"} <= set(listed)
    for name, description in listed.items():
        assert load_suite(name).name == name
        assert load_suite(name).entries
        assert not description.startswith("(")


def test_all_is_every_scenario_the_control_first() -> None:
    """A new file in scenarios/ belongs to it without being added; the order never changes."""
    names = [entry.scenario for entry in load_suite("all").entries]
    assert names[0] == CONTROL
    assert names[1:] == sorted(names[1:])
    assert set(names) == {scenario.name for scenario in list_scenarios()}


@pytest.mark.parametrize("name", ["network", "process"])
def test_suites_by_backend_pick_by_what_carries_the_faults_out(name: str) -> None:
    """No scenario in them has a fault of another sort; none without a fault is in them."""
    network = {"toxiproxy", "kernel", "doors", "names"}
    for entry in load_suite(name).entries:
        backends = {fault.backend for fault in load_scenario(entry.scenario).faults}
        assert backends
        assert backends <= network if name == "network" else not backends & network


def test_the_folder_of_suites_is_no_scenario() -> None:
    """The list of scenarios has none of the suites in it."""
    assert SUITES.parent == SCENARIOS
    assert not {"suites", "all", "quick"} & {scenario.name for scenario in list_scenarios()}


def test_an_entry_says_what_differs(tmp_path: Path) -> None:
    """A name alone is an entry; a mapping may carry time scale, seed and duration."""
    (tmp_path / "cut.yaml").write_text(f"name: cut\nfaults: [{{id: a, kind: down, {FAULT}}}]\n")
    text = (
        "name: mine\nscenarios:\n  - node-crash\n  - ./cut.yaml\n"
        "  - {scenario: none, duration: 10s}\n"
        "  - {scenario: node-crash, time_scale: 0.5, seed: 3}\n"
    )
    assert load_suite(write(tmp_path, text)).entries == (
        Entry(scenario="node-crash"),
        Entry(scenario=str(tmp_path / "cut.yaml")),
        Entry(scenario="none", duration_s=10.0),
        Entry(scenario="node-crash", time_scale=0.5, seed=3),
    )


def test_what_is_named_is_not_picked_again(tmp_path: Path) -> None:
    """`scenarios` says the order and what differs, `all` adds the others."""
    text = "name: x\nscenarios: [{scenario: none, duration: 5s}]\nall: true\n"
    names = [entry.scenario for entry in load_suite(write(tmp_path, text)).entries]
    assert names.count("none") == 1
    assert len(names) == len(list_scenarios())


BAD = {
    "empty": ("", "a suite needs at least a name"),
    "a list": ("- none\n", "no mapping"),
    "not YAML": ("name: [x\n", "not YAML"),
    "no name": ("all: true\n", "the key 'name' is missing"),
    "a path as name": ("name: ../x\nall: true\n", "no name"),
    "nothing in it": ("name: x\n", "names no scenario"),
    "a typo in a key": ("name: x\nscenario: [none]\n", "unknown key 'scenario' (nearest: scen"),
    "a typo in an entry": ("name: x\nscenarios: [{scenario: none, sed: 3}]\n", "nearest: seed"),
    "unknown scenario": ("name: x\nscenarios: [none, nonee]\n", ":2:19: unknown scenario 'nonee'"),
    "missing file": ("name: x\nscenarios: [./no.yaml]\n", "no.yaml does not exist"),
    "nobody's home": ("name: x\nscenarios: [~nouser/x]\n", ":2:13: ~nouser/x: there is no home"),
    "no scenario": ("name: x\nscenarios: [{seed: 1}]\n", "'scenario' is missing"),
    "a number": ("name: x\nscenarios: [5]\n", "no name of a scenario"),
    "no list": ("name: x\nscenarios: none\n", "no list"),
    "scale 0": ("name: x\nscenarios: [{scenario: none, time_scale: 0}]\n", "factor above 0"),
    "seed 1.5": ("name: x\nscenarios: [{scenario: none, seed: 1.5}]\n", "1.5 is no whole number"),
    "no end": ("name: x\nscenarios: [{scenario: none, duration: long}]\n", "no duration"),
    "two ends": (
        "name: x\nscenarios: [{scenario: node-crash, duration: 9s}]\n",
        "ends by itself and takes no duration",
    ),
    "unknown backend": ("name: x\nbackends: [proces]\n", "unknown backend 'proces' (nearest: pr"),
    "yes to all": ("name: x\nall: yess\n", "boolean"),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_one_line_says_what_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    """The line names the file and the place."""
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as caught:
        load_suite(path)
    line = str(caught.value)
    assert line.startswith(path + ":")
    assert expected in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("quik", "unknown suite 'quik' (nearest: quick)", id="nearly right"),
        pytest.param("", "no suite named: there are: all", id="nothing"),
        pytest.param(
            "./nowhere.yaml", "does not exist: give the path of a suite file", id="no file"
        ),
        pytest.param("/", "is a folder: give the suite file in it", id="a folder"),
    ],
)
def test_a_suite_that_is_not_there(name: str, expected: str) -> None:
    """One line with the way out."""
    with pytest.raises(ScenarioError) as caught:
        load_suite(name)
    assert expected in str(caught.value)


def test_a_broken_suite_does_not_spoil_the_list(tmp_path: Path) -> None:
    """It is listed with what is wrong with it."""
    write(tmp_path, "name: x\n")
    assert [suite.description[:16] for suite in list_suites(tmp_path)] == ["(cannot be used:"]

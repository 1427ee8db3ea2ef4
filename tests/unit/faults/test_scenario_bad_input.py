"""Whatever is wrong with a scenario ends in one line: the place, the problem, the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.errors import ScenarioError
from faults.scenario import load_scenario, scenario_from_text

NAMED = "name: x\n"
FAULT = "{id: a, at: 0s, duration: 5s, kind: down, target: {mode: one}"


def faults(*lines: str) -> str:
    return NAMED + "faults:\n" + "".join(f"  - {line}\n" for line in lines)


BAD = [
    pytest.param("", "empty", id="empty file"),
    pytest.param("- a\n- b\n", "no mapping", id="a list"),
    pytest.param("just words\n", "no mapping", id="a sentence"),
    pytest.param("name: [x\n", "not YAML", id="not YAML"),
    pytest.param("name: x\n\tfaults: 1\n", "not YAML", id="a tab"),
    pytest.param("name: x\x00y\n", "not YAML", id="a zero byte"),
    pytest.param("name: x\nname: y\n", "'name' is given twice", id="a key twice"),
    pytest.param("&a name: x\nphases: &b {recovery: *b}\n", "contains itself", id="a circle"),
    pytest.param("description: x\n", "'name' is missing", id="no name"),
    pytest.param("name: ../../etc\n", "no name", id="a name that is a path"),
    pytest.param("name: 7\n", "no name", id="a name that is a number"),
    pytest.param(NAMED + "phasess: {}\n", "'phasess' (nearest: phases)", id="unknown key"),
    pytest.param(NAMED + "1: 2\n", "unknown key '1'", id="a key that is a number"),
    pytest.param(NAMED + "phases: {testin: 5s}\n", "nearest: testing", id="unknown phase"),
    pytest.param(NAMED + "phases: 30s\n", "phases", id="phases is no mapping"),
    pytest.param(NAMED + "phases: {recovery: -5s}\n", "-5s is negative", id="negative phase"),
    pytest.param(NAMED + "phases: {recovery: 0}\n", "too short", id="no recovery"),
    pytest.param(NAMED + "phases: {recovery: soon}\n", "'soon' is no duration", id="no duration"),
    pytest.param(NAMED + "phases: {recovery: .nan}\n", "no duration", id="not a number"),
    pytest.param(NAMED + "phases: {recovery: yes}\n", "no duration", id="yes is no duration"),
    pytest.param(NAMED + "phases: {recovery: 9999h}\n", "longer than a day", id="a year"),
    pytest.param(NAMED + "load: {users: 0}\n", "load.users", id="no users"),
    pytest.param(NAMED + "load: {users: many}\n", "load.users", id="users is a word"),
    pytest.param(NAMED + "load: {target_rate: -1}\n", "-1 is negative", id="negative rate"),
    pytest.param(NAMED + "client: {op_timeot: 1s}\n", "nearest: op_timeout", id="client setting"),
    pytest.param(NAMED + "faults: 5\n", "faults", id="faults is a number"),
    pytest.param(NAMED + "faults: [5]\n", "faults.0", id="a fault is a number"),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: dwn, target: {mode: one}}"),
        "unknown kind 'dwn' (nearest: down)",
        id="unknown kind",
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, target: {mode: one}}"),
        "'kind' is missing",
        id="no kind",
    ),
    pytest.param(faults(FAULT + ", toxicity: 7}"), "unknown key 'toxicity'", id="toxicity 7"),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: latency, latency: -5, target: {mode: one}}"),
        "-5 is negative",
        id="latency -5",
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: latency, latency: 2m, target: {mode: one}}"),
        "out of range",
        id="latency of two minutes",
    ),
    pytest.param(
        faults(
            "{id: a, at: 0, duration: 5s, kind: latency, latency: 1ms, jitter: 2ms, "
            "target: {mode: one}}"
        ),
        "jitter of fault a",
        id="jitter above latency",
    ),
    pytest.param(
        faults("{id: a b, at: 0, duration: 5s, kind: down, target: {mode: one}}"), "no id", id="id"
    ),
    pytest.param(faults(FAULT + "}", FAULT + "}"), "two faults have the id a", id="an id twice"),
    pytest.param(
        faults("{id: a, duration: 5s, kind: down, target: {mode: one}}"),
        "either `at` or `after`",
        id="no start",
    ),
    pytest.param(faults(FAULT + ", after: b}"), "either `at` or `after`", id="two starts"),
    pytest.param(
        faults("{id: a, after: b, duration: 5s, kind: down, target: {mode: one}}"),
        "after names no fault: 'b'",
        id="after nothing",
    ),
    pytest.param(
        faults("{id: a, after: a, duration: 5s, kind: down, target: {mode: one}}"),
        "a -> a",
        id="after itself",
    ),
    pytest.param(
        faults(
            "{id: a, after: b, duration: 5s, kind: down, target: {mode: one}}",
            "{id: b, after: a, duration: 5s, kind: down, target: {mode: one}}",
        ),
        "circle: a -> b -> a",
        id="a cycle",
    ),
    pytest.param(
        NAMED + "phases: {testing: 4s}\nfaults: [" + FAULT + "}]\n",
        "fault a ends at 5s",
        id="a fault outlasts testing",
    ),
    pytest.param(
        faults(FAULT + ", repeat: {times: 3, every: 2s}}"), "repeats before", id="repeats too soon"
    ),
    pytest.param(
        faults(FAULT + ", repeat: {times: 0, every: 9s}}"), "repeat.times", id="repeats never"
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: down, target: {mode: two}}"),
        "target.mode",
        id="unknown mode",
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: down, target: {}}"), "either a mode", id="target"
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: down, target: {mode: fixed}}"),
        "needs a value",
        id="fixed without value",
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: down, target: {mode: one, value: 1}}"),
        "takes no value",
        id="one with value",
    ),
    pytest.param(
        faults(
            "{id: a, at: 0, duration: 5s, kind: down, target: {mode: fixed-percent, value: 101}}"
        ),
        "no percentage",
        id="101 percent",
    ),
    pytest.param(
        faults("{id: a, at: 0, duration: 5s, kind: down, target: {nodes: []}}"),
        "at least one node",
        id="no node named",
    ),
    pytest.param(
        NAMED + "budgets: {recovers: 1s}\n",
        "unknown budget 'recovers' (nearest: recovers_within",
        id="budget",
    ),
    pytest.param(
        NAMED + "budgets: {recovers_within: 5%}\n", "no duration", id="a share for a duration"
    ),
    pytest.param(NAMED + "budgets: {error_budget: 200%}\n", "no share", id="200 percent of errors"),
    pytest.param(NAMED + "budgets: 5\n", "budgets", id="budgets is a number"),
    pytest.param(
        NAMED + "abort: {error_rate: {above: 2, for: 1s}}\n", "no share", id="abort above 200 %"
    ),
    pytest.param(
        NAMED
        + "load: {users: 40, target_rate: 2000}\nfaults:\n"
        + "  - {id: a, at: 0, duration: 5s, kind: latency, latency: 200ms, target: {mode: all}}\n",
        "makes the load impossible",
        id="a load the fault makes impossible",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_one_line_says_what_is_wrong(text: str, expected: str) -> None:
    """The line names the file and the problem."""
    with pytest.raises(ScenarioError) as caught:
        scenario_from_text(text, "bad.yaml")
    line = str(caught.value)
    assert expected in line
    assert line.startswith("bad.yaml")
    assert "\n" not in line
    assert len(line) < 400


def test_line_and_column_are_given() -> None:
    """The place in the file is named where YAML knows it."""
    with pytest.raises(ScenarioError, match=r"^bad\.yaml:4:3: "):
        scenario_from_text("name: x\nphases:\n  testing: 5s\n  recoverry: 5s\n", "bad.yaml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("single-node-failur", "nearest: single-node-failure", id="nearly right"),
        pytest.param("", "no scenario named", id="nothing"),
        pytest.param("./nowhere.yaml", "nowhere.yaml does not exist", id="missing file"),
        pytest.param("/", "is a folder", id="a folder"),
        pytest.param("/dev/null", "no regular file", id="a device"),
        pytest.param("a\0b.yaml", "no scenario named", id="a zero byte"),
        pytest.param("x" * 300 + ".yaml", "too long", id="a name too long for a file"),
    ],
)
def test_a_scenario_that_is_not_there(name: str, expected: str) -> None:
    """One line with the way out, whatever is given as a name."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(name)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are no scenario."""
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(ScenarioError, match=r"binary\.yaml is not text"):
        load_scenario(str(path))

"""Command lines that cannot be run: one line, exit code 2, before anything is started.

Most go through the parser alone, as Locust's main would call it: what Locust does to a command
line before our options are looked at costs a second a time and is the same for all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from session import options as session_options
from session.options import Checked, add_options
from tests.e2e.foreign_users import Visitor
from users.hot_key import HotKeyUser
from users.mixed import MixedUser

SUITES = {
    "typo.yaml": "name: typo\nscenarios: [node-crsh]\n",
    "short.yaml": "name: short\nscenarios: [none, {scenario: node-crash, time_scale: 0.1}]\n",
    "empty.yaml": "name: empty\n",
    "nobody.yaml": "name: nobody\nscenarios: [~nouser/x]\n",
    "loaded.yaml": "name: loaded\nscenarios: [none, latency-200ms]\n",
}
EARLIER = {
    "other.json": {"scenario": "node-hang", "client": "memquake", "figures": {}},
    "list.json": [1, 2],
    "suite.json": {"scenarios": []},
    "broken.json": {"scenario": "none"},
}

CASES = [
    ("unknown suite", ["--suite", "quik"], "nearest: quick"),
    ("missing suite file", ["--suite", "./nowhere.yaml"], "nowhere.yaml does not exist"),
    ("suite is a folder", ["--suite", "."], "is a folder"),
    ("suite with a typo", ["--suite", "./typo.yaml"], "unknown scenario 'node-crsh'"),
    ("suite with nothing", ["--suite", "./empty.yaml"], "names no scenario"),
    ("an entry too short", ["--suite", "./short.yaml"], "time scale that works is 0.25"),
    ("suite too short", ["--suite", "quick", "--time-scale", "0.01"], "0.25"),
    ("load the second cannot bear", ["--suite", "./loaded.yaml", "-u", "5"], "makes the load imp"),
    ("suite and scenario", ["--suite", "quick", "--scenario", "node-crash"], "one of the two"),
    ("suite and run time", ["--suite", "quick", "-t", "60s"], "--time-scale"),
    ("suite and budget", ["--suite", "quick", "--budget", "recover_within=2s"], "recovers_within"),
    ("repeat 0", ["--repeat", "0"], "--repeat 0"),
    ("repeat a word", ["--repeat", "often"], "'often'"),
    ("repeat half", ["--repeat", "1.5"], "whole number"),
    ("repeat too much", ["--repeat", "1e9"], "1 to 10000"),
    ("repeat and loop", ["--repeat", "3", "--loop"], "leave --repeat out"),
    ("less than no retries", ["--retries", "-1"], "--retries -1"),
    ("retries without end", ["--retries", "1e9"], "0 to 100"),
    ("seed of a suite", ["--suite", "quick", "--seed", "-1"], "--seed -1"),
    ("half a seed", ["--seed", "9007199254740993.5"], "--seed 9007199254740993.5 is no whole"),
    ("a seed of too much", ["--seed", str(2**63 + 1)], "out of range"),
    ("a seed of hardly anything", ["--seed", "1e-99999999999999999999"], "--seed '1e-999"),
    ("a home of nobody", ["--scenario", "~nouser/x"], "~nouser/x: there is no home folder ~nouser"),
    ("a suite of nobody", ["--suite", "~nouser/x"], "~nouser/x: there is no home folder ~nouser"),
    ("entry of nobody", ["--suite", "./nobody.yaml"], "nobody.yaml:2:13: ~nouser/x: there is no"),
    ("baseline of nobody", ["--baseline", "~nouser/x"], "--baseline ~nouser/x: there is no home"),
    ("runs of nobody", ["--runs-dir", "~nouser/x"], "--runs-dir ~nouser/x: there is no home"),
    (
        "agents of nobody",
        ["--nodes", "127.0.0.1:1", "--node-control", "~nouser/x"],
        "--node-control ~nouser/x: there is no home",
    ),
    ("agents too long", ["--nodes", "127.0.0.1:1", "--node-control", "x" * 300], "is no folder"),
    ("runs too long", ["--runs-dir", "x" * 300], "File name too long"),
    ("a name too long", ["--scenario", "x" * 300], "unknown scenario"),
    ("a baseline too long", ["--baseline", "x" * 300], "File name too long"),
    ("baseline missing", ["--baseline", "./none.json"], "none.json does not exist"),
    ("baseline is a list", ["--baseline", "./list.json"], "no outcome of memquake"),
    ("baseline is half", ["--baseline", "./broken.json"], "no verdict.json"),
    ("baseline is YAML", ["--baseline", "./typo.yaml"], "is no JSON"),
    ("baseline without a run", ["--baseline", "."], "holds no verdict.json"),
    ("baseline of another", ["--baseline", "./other.json"], "is of node-hang"),
    ("baseline of none", ["--suite", "quick", "--baseline", "./suite.json"], "no scenario of"),
    (
        "a breaker that is off, with numbers",
        ["--breaker-profile", "off", "--breaker-open-time", "1s"],
        "does nothing with --breaker-profile off",
    ),
    (
        "a breaker for a client without",
        ["--client", "pymemcache-hash", "--breaker-failures", "3"],
        "--breaker-failures does nothing for pymemcache-hash",
    ),
    (
        "a profile for a client without",
        ["--client", "pymemcache-pooled", "--breaker-profile", "catalogue"],
        "--breaker-profile does nothing for pymemcache-pooled",
    ),
    ("a host", ["-H", "http://10.0.0.1:9"], "--nodes"),
    ("an unknown user", ["MixdUser"], "nearest: MixedUser"),
    ("none of ours", ["Visitor"], "no user class of memquake among Visitor"),
    ("no base URL", ["MixedUser", "Visitor"], "Visitor has no base URL"),
    ("tags", ["--suite", "quick", "--tags", "fast"], "no tags"),
]

NO_CASE = SimpleNamespace(params={})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SUITES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "one").mkdir()
    for name, data in EARLIER.items():
        place = tmp_path / "one" if name == "suite.json" else tmp_path
        (place / name).write_text(json.dumps(data))
    return tmp_path


@pytest.fixture
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give Locust's parser with our options, in a process that has checked nothing yet."""
    for name, value in {"settings": None, "suite": None, "done": False}.items():
        monkeypatch.setattr(Checked, name, value)
    # What Locust has loaded from a locustfile by then; the tests' own users are none of it.
    loaded: dict[str, Any] = {"MixedUser": MixedUser, "HotKeyUser": HotKeyUser}
    if "Visitor" in getattr(request.node, "callspec", NO_CASE).params.get("arguments", ()):
        loaded["Visitor"] = Visitor
    monkeypatch.setattr(session_options, "classes_of", lambda _: loaded)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(subprocess, "Popen", never)
    made = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(made)
    add_options(made)
    return made


@pytest.mark.parametrize(
    ("arguments", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_one_line_and_exit_code_2(
    *,
    parser: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    """The line names the thing and the way out; no process is started, no run folder made."""
    monkeypatch.chdir(folder)
    arguments = ["./one/suite.json" if a == "./suite.json" else a for a in arguments]
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--headless", "--runs-dir", "runs", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert said.err.startswith("memquake: ")
    assert expected in said.err
    assert not list(folder.glob("runs/*"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--suite", "./short.yaml"], "0.25", id="suite"),
        pytest.param(["--suites", "quick"], "--suites", id="unknown option"),
        pytest.param(["--repeat"], "--repeat", id="no value"),
        pytest.param(["--baseline", "./other.json", "-t", "9s"], "node-hang", id="baseline"),
    ],
)
def test_the_same_from_a_real_process(
    run_locust: Callable[..., Any], folder: Path, arguments: list[str], expected: str
) -> None:
    """Locust adds nothing to it and starts nothing after it."""
    result = run_locust(arguments, timeout_s=30, cwd=folder)
    assert result.exit_code == 2, str(result)
    assert len(result.stderr.strip().splitlines()) == 1, str(result)
    assert expected in result.stderr
    assert result.run_dir is None


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63 - 1])
def test_a_seed_is_taken_to_its_last_digit(
    parser: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A float would make another seed of it, and another node would be hit."""
    monkeypatch.chdir(folder)
    parser.parse_args(["--headless", "--runs-dir", "runs", "--seed", str(seed)])
    assert Checked.settings is not None
    assert Checked.settings.seed == seed


def test_nobody_has_to_read_the_list_to_its_end(
    parser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--list-scenarios | head -5` ends with 0, and nothing is left that fails at the exit."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody_reads:
        monkeypatch.setattr(sys, "stdout", nobody_reads)
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(["--list-scenarios"])
        assert ended.value.code == 0
        nobody_reads.write("what is left goes nowhere")

"""One word means the same wherever it is written: command line, environment, files, web form."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from dashboard.web import options_with_form
from faults.errors import ScenarioError
from faults.plan import make_plan
from faults.planfile import load_plan_text, plan_to_yaml
from faults.scenario import load_scenario, scenario_from_text
from faults.suite import load_suite
from memquake.limits import LimitError
from options.of_client import read_client_options
from options.of_run import read_budgets, read_duration, read_load, read_seed, read_time_scale
from options.words import ConfigError
from session.options import Checked, add_options

NONE = load_scenario("none")
PLAN = make_plan(
    load_scenario("node-crash"),
    seed=1,
    nodes=["node1", "node2", "node3"],
    time_scale=1.0,
    recovers_within_s=10.0,
)
Entry = Callable[[str], float]
REFUSED = (ConfigError, LimitError, ScenarioError, SystemExit, ValueError)


@pytest.fixture(autouse=True)
def _checks_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checked, "done", True)


def parsed(*words: str) -> argparse.Namespace:
    parser: Any = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_options(parser)
    options: argparse.Namespace = parser.parse_args(list(words))
    return options


def op_timeout(*words: str) -> float:
    return read_client_options(parsed(*words), NONE).op_timeout


def by_environment(word: str) -> float:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCUST_OP_TIMEOUT", word)
        return op_timeout()


def by_scenario(text: str) -> Any:
    return scenario_from_text(f"name: x\n{text}\n")


def budget(name: str, word: str) -> float:
    return read_budgets(parsed("--budget", f"{name}={word}"), NONE)[name]


def in_plan(was: str, now: str) -> Any:
    text = plan_to_yaml(PLAN)
    assert was in text, text
    return load_plan_text(text.replace(was, now, 1))


def of_run(word: str) -> float:
    return read_duration(parsed(f"--run-time={word}"), None) or 0.0


def of_form(word: str) -> float:
    seconds: float = options_with_form(parsed(), {"run_time": word}).run_time
    return seconds


def in_file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def duration_entries(folder: Path) -> dict[str, Entry]:
    return {
        "--op-timeout": lambda word: op_timeout(f"--op-timeout={word}"),
        "LOCUST_OP_TIMEOUT": by_environment,
        "op-timeout in a config file": lambda word: op_timeout(
            "--config", in_file(folder, "x.conf", f"op-timeout = {word}\n")
        ),
        "--budget": lambda word: budget("recovers_within", word),
        "-t": of_run,
        "-t in the web form": of_form,
        "budgets": lambda w: by_scenario(f'budgets: {{recovers_within: "{w}"}}').budgets[
            "recovers_within"
        ],
        "client": lambda w: by_scenario(f'client: {{op_timeout: "{w}"}}').client.op_timeout,
        "phases": lambda w: by_scenario(f'phases: {{recovery: "{w}"}}').recovery_s,
        "suite": lambda word: in_suite(folder, f'duration: "{word}"').duration_s or 0.0,
        "plan, budgets": lambda w: in_plan(
            "budgets: {}", f'budgets: {{recovers_within: "{w}"}}'
        ).budgets["recovers_within"],
        "plan, client": lambda w: in_plan("client: {}", f'client: {{op_timeout: "{w}"}}').client[
            "op_timeout"
        ],
    }


DURATIONS = {
    "90": 90.0,
    "90s": 90.0,
    "1m": 60.0,
    "1min": 60.0,
    "1m30s": 90.0,
    "2.5m": 150.0,
    "0.1h": 360.0,
    "2500us": 0.0025,
    "500ms": 0.5,
    ".5s": 0.5,
    "1e1": 10.0,
}
NO_DURATIONS = ["soon", "5%", "-1s", "1m90", "30s1m", "1d", "nan", "inf", "1e99s", "8761h", "5x"]


@pytest.mark.parametrize("word", DURATIONS)
def test_a_duration_is_the_same_everywhere(tmp_path: Path, word: str) -> None:
    """`--budget recovers_within=1m` was refused where a scenario's `1m` was 60 s."""
    read = {name: entry(word) for name, entry in duration_entries(tmp_path).items()}
    assert read == dict.fromkeys(read, DURATIONS[word])


@pytest.mark.parametrize("word", NO_DURATIONS)
def test_what_is_no_duration_is_refused_everywhere(
    tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, which names what was given."""
    for name, entry in duration_entries(tmp_path).items():
        with pytest.raises(REFUSED) as refused:
            entry(word)
        line = (capsys.readouterr().err or str(refused.value)).strip()
        assert word in line, name
        assert "\n" not in line, name


@pytest.mark.parametrize("word", ["90000s", "25h"])
def test_more_than_a_day_is_for_whole_runs(tmp_path: Path, word: str) -> None:
    """`--budget recovers_within=90000s` was taken where a scenario's was refused."""
    for name, entry in duration_entries(tmp_path).items():
        if name.startswith("-t"):
            assert entry(word) == 90_000
            continue
        with pytest.raises(REFUSED, match="longer than a day"):
            entry(word)


@pytest.mark.parametrize("word", ["0", "0s", "0ms", "-5s", "-1"])
def test_a_run_of_no_time_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`-t 0s` was taken, and the run had its usual length."""
    with pytest.raises(SystemExit) as ended:
        of_run(word)
    assert ended.value.code == 2
    line = capsys.readouterr().err.strip()
    assert "--run-time" in line
    assert "above 0" in line or "is negative" in line
    assert "\n" not in line
    with pytest.raises(ValueError, match=r"above 0|is negative"):
        of_form(word)


def test_a_run_time_in_a_config_file_is_no_freer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is refused on the command line is refused there."""
    with pytest.raises(SystemExit) as ended:
        parsed("--config", in_file(tmp_path, "x.conf", "run-time = 0s\n"))
    assert ended.value.code == 2
    assert "0s is too short" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["20", "20s", "3m", "2h", "1h20m", "3h30m10s"])
def test_what_locust_takes_for_a_run_time_means_the_same(word: str) -> None:
    """Its own list of valid formats."""
    from locust.util.timespan import parse_timespan

    assert of_run(word) == of_form(word) == parse_timespan(word)


def in_suite(folder: Path, entry: str) -> Any:
    text = f"name: x\nscenarios: [{{scenario: none, {entry}}}]\n"
    return load_suite(in_file(folder, "suite.yaml", text)).entries[0]


def range_entries(folder: Path) -> dict[str, dict[str, Entry]]:
    """Return by quantity where it can be set, and what reads it there."""
    return {
        "users": {
            "-u": lambda word: read_load(parsed("-u", word), NONE)[0],
            "load": lambda word: by_scenario(f"load: {{users: {word}}}").users,
            "plan": lambda word: in_plan("users: 40", f"users: {word}").load["users"],
        },
        "rate": {
            "--target-rate": lambda word: read_load(parsed(f"--target-rate={word}"), NONE)[1],
            "load": lambda word: by_scenario(f"load: {{target_rate: {word}}}").target_rate,
            "plan": lambda word: in_plan("target_rate: 800.0", f"target_rate: {word}").load[
                "target_rate"
            ],
        },
        "seed": {
            "--seed": lambda word: read_seed(parsed(f"--seed={word}")),
            "suite": lambda word: in_suite(folder, f"seed: {word}").seed,
            "plan": lambda word: in_plan("seed: 1", f"seed: {word}").seed,
        },
        "time scale": {
            "--time-scale": lambda word: read_time_scale(parsed(f"--time-scale={word}")),
            "suite": lambda word: in_suite(folder, f"time_scale: {word}").time_scale,
            "plan": lambda word: in_plan("time_scale: 1.0", f"time_scale: {word}").time_scale,
        },
        "timeout": {
            "--op-timeout": lambda word: op_timeout(f"--op-timeout={word}"),
            "client": lambda w: by_scenario(f"client: {{op_timeout: {w}}}").client.op_timeout,
            "plan": lambda word: in_plan("client: {}", f"client: {{op_timeout: {word}}}").client[
                "op_timeout"
            ],
        },
    }


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("users", "7", 7),
        ("rate", "0", 0),
        ("rate", "700", 700),
        ("seed", "9007199254740993", 9_007_199_254_740_993),
        ("time scale", "0.3", 0.3),
        ("timeout", "1ms", 0.001),
        ("timeout", "10m", 600),
    ],
)
def test_what_lies_in_its_range_does_so_everywhere(
    tmp_path: Path, name: str, word: str, value: float
) -> None:
    """An option and a file read the same."""
    read = {place: entry(word) for place, entry in range_entries(tmp_path)[name].items()}
    assert read == dict.fromkeys(read, value)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("users", "0"),
        ("users", "100001"),
        ("rate", "20000000"),
        ("rate", "-1"),
        ("seed", str(2**63 + 1)),
        ("seed", "-1"),
        ("time scale", "0"),
        ("time scale", "1001"),
        ("timeout", "500us"),
        ("timeout", "11m"),
    ],
)
def test_what_lies_outside_of_its_range_is_refused_everywhere(
    tmp_path: Path, name: str, word: str
) -> None:
    """`--op-timeout 500us` was refused, and a scenario's was taken."""
    for place, entry in range_entries(tmp_path)[name].items():
        with pytest.raises(REFUSED, match="give ") as refused:
            entry(word)
        assert word in str(refused.value), place
        assert "\n" not in str(refused.value), place


SHARES: dict[str, Entry] = {
    "--breaker-slow-rate": lambda word: _breaker(f"--breaker-slow-rate={word}")["slow_call_rate"],
    "--budget": lambda word: budget("error_budget", word),
    "budgets": lambda w: by_scenario(f'budgets: {{error_budget: "{w}"}}').budgets["error_budget"],
    "abort": lambda w: (
        by_scenario(f'abort: {{error_rate: {{above: "{w}", for: 1s}}}}').abort.error_rate.above
    ),
}
RATES: dict[str, Entry] = {
    "--target-rate": lambda word: read_load(parsed(f"--target-rate={word}"), NONE)[1],
    "load": lambda word: by_scenario(f'load: {{target_rate: "{word}"}}').target_rate,
}
RATIOS: dict[str, Entry] = {
    "--time-scale": lambda word: read_time_scale(parsed(f"--time-scale={word}")),
    "--budget": lambda word: budget("retry_amplification", word),
}


def _breaker(*words: str) -> dict[str, float]:
    return dict(read_client_options(parsed(*words), NONE).breaker or {})


@pytest.mark.parametrize(
    ("entries", "word", "value"),
    [
        pytest.param(SHARES, "7%", 0.07, id="a share in percent"),
        pytest.param(SHARES, "0.07", 0.07, id="a share of 1"),
        pytest.param(RATES, "800", 800.0, id="a rate"),
        pytest.param(RATES, "800/s", 800.0, id="a rate with its unit"),
        pytest.param(RATIOS, "0.5", 0.5, id="a ratio"),
        pytest.param(RATIOS, "1.5x", 1.5, id="a ratio with its sign"),
    ],
)
def test_shares_rates_and_ratios_as_well(
    entries: dict[str, Entry], word: str, value: float
) -> None:
    """Each kind of quantity has one grammar."""
    assert {name: entry(word) for name, entry in entries.items()} == dict.fromkeys(entries, value)


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        pytest.param(SHARES, "7s", id="a share of time"),
        pytest.param(SHARES, "120%", id="more than all"),
        pytest.param(RATES, "many", id="a rate in words"),
        pytest.param(RATES, "-1", id="less than nothing"),
        pytest.param(RATIOS, "half", id="a ratio in words"),
    ],
)
def test_what_is_none_of_them_is_refused_everywhere(entries: dict[str, Entry], word: str) -> None:
    """In one line, which names what was given."""
    for name, entry in entries.items():
        with pytest.raises(REFUSED) as refused:
            entry(word)
        assert word in str(refused.value), name
        assert "\n" not in str(refused.value), name

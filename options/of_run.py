"""What the user said of a run: its load, its length, its limits, where it is kept."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from faults.model import DEFAULT_RATE, DEFAULT_USERS
from faults.plan import Plan
from faults.scenario import Scenario
from memquake.limits import parse_budget
from memquake.ranges import SEED, TARGET_RATE, TIME_SCALE, USERS, Range
from memquake.units import (
    parse_count,
    parse_duration,
    parse_number,
    parse_size,
)
from options.words import ConfigError, choice, path, quantity, seconds
from report.reading import read_earlier as read_runs
from users.presets import parse_mix
from verdict.model import EarlierRun

DEFAULT_SEED = 1  # a fixed seed: two runs of one command line break the same node
HEADLESS_SECONDS = 60.0  # a headless run of `none` without -t ends by itself after this
MAX_ROUNDS = 10_000
MAX_RETRIES = 100
_ARRIVALS = ("constant", "poisson")
_PROTECTIONS = ("none", "lock", "lease")


def read_runs_dir(options: Namespace) -> Path:
    """Give the folder of the runs, made when it is missing; ConfigError."""
    folder = path(options, "runs_dir").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"--runs-dir {options.runs_dir}: cannot write there ({error.strerror}); "
            "give a folder you may write to"
        ) from None
    return folder


def read_budgets(options: Namespace, scenario: Scenario) -> dict[str, float]:
    """Give the limits of the scenario and, over them, of the command line."""
    budgets = dict(scenario.budget_limits())
    given = options.budget or []
    for text in [given] if isinstance(given, str) else given:
        name, value = parse_budget(text)
        budgets[name] = value
    return budgets


def read_load(options: Namespace, scenario: Scenario) -> tuple[int, float]:
    """Give users and iterations a second; ConfigError."""
    users = options.num_users if options.num_users is not None else scenario.users or DEFAULT_USERS
    try:
        USERS.read(users)
    except ValueError as why:
        raise ConfigError(f"--users {why}") from None
    if options.target_rate in (None, ""):
        rate = DEFAULT_RATE if scenario.target_rate is None else scenario.target_rate
    else:
        rate = quantity(options, "target_rate", TARGET_RATE)
    return int(users), float(rate)


def read_time_scale(options: Namespace) -> float:
    """Give the factor on the scenario's own times."""
    if options.time_scale in (None, ""):
        return 1.0
    return quantity(options, "time_scale", TIME_SCALE)


def read_seed(options: Namespace) -> int:
    """Give the seed that the command line says, or the usual one."""
    if options.seed in (None, ""):
        return DEFAULT_SEED
    return quantity(options, "seed", SEED)


def read_rounds(options: Namespace) -> int | None:
    """Give how often everything is run, None for until it is stopped."""
    what = f"how many rounds, 1 to {MAX_ROUNDS}"
    rounds = quantity(
        options, "repeat", Range(parse=parse_count, low=1, high=MAX_ROUNDS, what=what)
    )
    if options.loop and rounds != 1:
        raise ConfigError("--loop goes round until it is stopped: leave --repeat out, or --loop")
    return None if options.loop else rounds


def read_retries(options: Namespace) -> int:
    """Give how often a scenario is run again while its run proves nothing."""
    what = f"how many runs more, 0 to {MAX_RETRIES}"
    return quantity(
        options, "retries", Range(parse=parse_count, low=0, high=MAX_RETRIES, what=what)
    )


def read_duration(options: Namespace, plan: Plan | None) -> float | None:
    """Give the seconds of a run without phases, None for until it is stopped."""
    run_time = getattr(options, "run_time", None)
    if plan is None:
        if run_time:
            return float(run_time)
        return HEADLESS_SECONDS if options.headless else None
    if run_time and run_time < plan.duration_s:
        raise ConfigError(
            f"--run-time {run_time:g} s is shorter than the scenario {plan.scenario} "
            f"({plan.duration_s:g} s): leave --run-time out, or shrink it with --time-scale"
        )
    return None


def read_earlier(options: Namespace, scenario: Scenario) -> EarlierRun | None:
    """Give what this scenario is held against, None where nothing was named."""
    if not options.baseline:
        return None
    runs = read_runs(path(options, "baseline"))
    if scenario.name not in runs and not options.suite:
        theirs = ", ".join(runs) or "no scenario that was judged"
        raise ConfigError(
            f"--baseline {options.baseline} is of {theirs}, and this run is of {scenario.name}: "
            "give the outcome of a run of the same scenario"
        )
    return runs.get(scenario.name)


def _whole_seconds(raw: Any) -> int:
    value = parse_duration(raw)
    if value != int(value):
        raise ValueError(f"{raw} is no whole number of seconds")
    return int(value)


def read_user_options(options: Namespace) -> dict[str, Any]:
    """Read what the users do, by the names of LoadSettings."""
    return {
        "mix": parse_mix(options.mix) if options.mix else None,
        "zipf_alpha": quantity(
            options,
            "zipf_alpha",
            Range(parse=parse_number, low=0.01, high=10, what="an exponent from 0.01 to 10"),
        ),
        "protection": choice(options, "protection", _PROTECTIONS),
        "origin_latency_s": quantity(options, "origin_latency", seconds(0, 60)),
        "stampede_ttl_s": quantity(
            options,
            "stampede_ttl",
            Range(parse=_whole_seconds, low=1, high=86_400, what="whole seconds, such as 2 or 2s"),
        ),
        "arrivals": choice(options, "arrivals", _ARRIVALS),
        "value_size": quantity(
            options,
            "value_size",
            Range(
                parse=parse_size,
                low=0,
                high=1_000_000,
                what="bytes from 0 to 1000000, such as 100 or 64KB",
            ),
        ),
    }

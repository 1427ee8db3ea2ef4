"""The limits of the checks, and how a user overrides one.

A budget is `NAME=VALUE` where NAME is the name of a check. This module knows the names, the kind
of each limit and its default; what a limit means is the business of the check. The order here is
the order of every report. It must not know timelines.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from verdict.model import RunFacts


class BudgetError(ValueError):
    """A budget that cannot be used, in one line that says why and what would work."""


class Kind(StrEnum):
    """What a limit counts; the value is the unit written in reports."""

    COUNT = "count"
    SHARE = "share"  # 0-1
    SECONDS = "s"
    RATIO = "x"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One check's limit: `default` in the unit of `kind`, None when it depends on the run."""

    kind: Kind
    default: float | None


def _count(default: float | None = 0.0) -> Limit:
    return Limit(kind=Kind.COUNT, default=default)


def _share(default: float) -> Limit:
    return Limit(kind=Kind.SHARE, default=default)


def _seconds(default: float | None) -> Limit:
    return Limit(kind=Kind.SECONDS, default=default)


def _ratio(default: float) -> Limit:
    return Limit(kind=Kind.RATIO, default=default)


# Where a check has several limits, the budget sets the one named here; the others stay.
LIMITS: Mapping[str, Limit] = {
    "no_wrong_values": _count(),
    "no_lost_writes": _count(),
    "no_lost_updates": _count(),
    "no_stale_reads": _count(),
    "ttl_kept": _count(),
    "no_masked_misses": _share(0.001),
    "no_false_misses": _share(0.001),
    "predictable_errors": _count(),
    "enough_requests": _count(1000.0),  # operations
    "steady_baseline": _share(0.30),  # coefficient of variation of the window p50
    "fault_confirmed": _count(),  # faults that were not
    "load_kept": _share(0.95),  # a floor
    "generator_not_saturated": _seconds(0.020),  # hub lag p99
    "hub_not_blocked": _count(),
    "error_budget": _share(0.001),
    "batches_kept": _share(0.01),
    "connections_kept": _share(0.01),  # new connections for each call to a node
    "load_spread": _share(0.1),  # of a node's even share of the keys; a floor
    "deadline_kept": _count(),
    "breaker_opens_within": _seconds(None),
    "fails_fast_while_open": _share(0.01),
    "batches_fail_fast": _share(0.01),
    "breaker_spares_healthy_nodes": _count(),
    "unaffected_nodes_healthy": _ratio(2.0),  # window p99 against the baseline
    "recovers_within": _seconds(10.0),
    "after_recovery_as_before": _ratio(1.5),  # window p99 against the baseline
    "no_second_dip": _count(),
    "no_reconnect_storm": _count(None),
    "retry_amplification": _ratio(1.2),
    "snapshot_true": _count(),
    "no_leaks": _share(0.10),  # growth of resident memory
    "all_faults_healed": _count(),
    "baseline_kept": _ratio(1.5),  # p50 and p99 against those of an earlier run
}

OPENING_GRACE_S = 1.0
"""A breaker needs failures to open, and the first of them takes a whole op_timeout to come."""

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z%]*)")
_SECONDS_IN = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
_UNITS: Mapping[Kind, Mapping[str, float]] = {
    Kind.SECONDS: _SECONDS_IN,
    Kind.SHARE: {"": 1.0, "%": 0.01},
    Kind.COUNT: {"": 1.0},
    Kind.RATIO: {"": 1.0, "x": 1.0},
}
_EXAMPLES: Mapping[Kind, str] = {
    Kind.SECONDS: "a duration like 2s or 500ms",
    Kind.SHARE: "a share like 5% or 0.05",
    Kind.COUNT: "a whole number like 0 or 10",
    Kind.RATIO: "a ratio like 2 or 1.5x",
}


def known_checks() -> tuple[str, ...]:
    """Give the names of all checks in the order of every report."""
    return tuple(LIMITS)


def limit_of(facts: RunFacts, name: str) -> float:
    """Give the limit that holds in this run: the budget's, else the default."""
    if name in facts.budgets:
        return float(facts.budgets[name])
    default = LIMITS[name].default
    if default is not None:
        return default
    if name == "breaker_opens_within":
        return facts.op_timeout_s + OPENING_GRACE_S
    clients = facts.groups * max(1, len(facts.workers))
    return float(facts.pool_size * clients)  # no_reconnect_storm


def parse_budget(text: str) -> tuple[str, float]:
    """Read `NAME=VALUE` into the check's name and its limit in base units.

    Raises BudgetError with one line for an unknown name or a value of the wrong kind.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise BudgetError(f"budget {text!r}: expected NAME=VALUE, as in recovers_within=5s")
    return name, parse_limit(name, value)


def parse_limit(name: str, value: str | float) -> float:
    """Read one limit of the named check; numbers are taken in base units."""
    if name not in LIMITS:
        raise BudgetError(f"budget {name!r}: no such check; {_nearest(name)}")
    kind = LIMITS[name].kind
    match = _NUMBER.fullmatch(str(value).strip())
    factor = _UNITS[kind].get(match[2]) if match else None
    if match is None or factor is None:
        raise BudgetError(f"budget {name}={value}: expected {_EXAMPLES[kind]}")
    number = float(match[1]) * factor
    if not math.isfinite(number) or number < 0:
        raise BudgetError(f"budget {name}={value}: must not be negative or infinite")
    if kind is Kind.SHARE and number > 1:
        raise BudgetError(f"budget {name}={value}: over 100 %; expected {_EXAMPLES[kind]}")
    if kind is Kind.COUNT and number != int(number):
        raise BudgetError(f"budget {name}={value}: expected {_EXAMPLES[kind]}")
    return number


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), LIMITS, n=3, cutoff=0.5)
    if near:
        return "nearest: " + ", ".join(near)
    return "one of: " + ", ".join(LIMITS)

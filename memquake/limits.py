"""The limits of the checks: names, kinds, defaults, and how a person sets another one.

The one table, for whoever takes a limit (command line, scenario, suite and plan files) and for
whoever judges by it. What a limit means is the business of the check. The order here is the order
of every report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from memquake.nearest import nearest
from memquake.units import parse_count, parse_duration, parse_ratio, parse_share


class LimitError(ValueError):
    """A limit that cannot be used, in one line that says why and what would work."""


class Kind(StrEnum):
    """What a limit counts; the value is the unit written in reports."""

    COUNT = "count"
    SHARE = "share"  # 0-1
    SECONDS = "s"
    RATIO = "x"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One check's limit: `default` in the unit of `kind`, None when it depends on the run.

    With fewer than `needed` samples the check is INCONCLUSIVE, unless it counts findings (a limit
    of 0): one that was made needs no others beside it.
    """

    kind: Kind
    default: float | None
    needed: int = 0


def _count(default: float | None = 0.0, *, needed: int = 0) -> Limit:
    return Limit(kind=Kind.COUNT, default=default, needed=needed)


def _share(default: float, *, needed: int = 0) -> Limit:
    return Limit(kind=Kind.SHARE, default=default, needed=needed)


def _seconds(default: float | None, *, needed: int = 0) -> Limit:
    return Limit(kind=Kind.SECONDS, default=default, needed=needed)


def _ratio(default: float, *, needed: int = 0) -> Limit:
    return Limit(kind=Kind.RATIO, default=default, needed=needed)


RECOVERS_WITHIN_S = 10.0  # a plan must leave room for it

# Where a check has several limits, the budget sets the one named here; the others stay.
LIMITS: Mapping[str, Limit] = {
    "no_wrong_values": _count(needed=1_000),  # verified hits
    "no_lost_writes": _count(needed=100),  # acknowledged writes
    "no_lost_updates": _count(needed=100),  # updates
    "no_stale_reads": _count(needed=1_000),  # checked reads
    "ttl_kept": _count(needed=50),  # keys
    "no_masked_misses": _share(0.001, needed=100),  # calls, keys of batches among them
    "no_false_misses": _share(0.001, needed=1_000),  # checked reads
    "predictable_errors": _count(),
    "enough_requests": _count(1000.0, needed=5),  # operations; steady seconds
    "steady_baseline": _share(0.30),  # coefficient of variation of the window p50
    "fault_confirmed": _count(),  # faults that were not
    "load_kept": _share(0.95),  # a floor
    "generator_not_saturated": _seconds(0.020),  # hub lag p99
    "hub_not_blocked": _count(),
    "error_budget": _share(0.001),
    "batches_kept": _share(0.01, needed=50),  # batches
    "connections_kept": _share(0.01, needed=1_000),  # new connections for each call to a node
    "load_spread": _share(0.1, needed=300),  # of a node's even share of the keys; a floor
    "deadline_kept": _count(),
    "breaker_opens_within": _seconds(None, needed=20),  # calls to the node
    "fails_fast_while_open": _share(0.01, needed=100),  # calls to the node
    "batches_fail_fast": _share(0.01, needed=50),  # batches
    "breaker_spares_healthy_nodes": _count(),
    "unaffected_nodes_healthy": _ratio(2.0, needed=5),  # window p99 against the baseline
    "recovers_within": _seconds(RECOVERS_WITHIN_S),
    "after_recovery_as_before": _ratio(1.5, needed=5),  # window p99 against the baseline
    "no_second_dip": _count(),
    "no_reconnect_storm": _count(None),
    "retry_amplification": _ratio(1.2),
    "snapshot_true": _count(),
    "no_leaks": _share(0.10),  # growth of resident memory
    "all_faults_healed": _count(),
    "baseline_kept": _ratio(1.5, needed=5),  # p50 and p99 against those of an earlier run
}

_PARSERS: Mapping[Kind, Callable[[Any], float]] = {
    Kind.SECONDS: parse_duration,
    Kind.SHARE: parse_share,
    Kind.COUNT: parse_count,
    Kind.RATIO: parse_ratio,
}


def known_checks() -> tuple[str, ...]:
    """Return the names of all checks in the order of every report."""
    return tuple(LIMITS)


def parse_limit(name: str, raw: Any) -> float:
    """Return a check's limit in base units. Raises LimitError."""
    if name not in LIMITS:
        raise LimitError(f"unknown budget {name!r} ({nearest(name, LIMITS)})")
    try:
        return float(_PARSERS[LIMITS[name].kind](raw))
    except ValueError as why:
        raise LimitError(str(why)) from None


def parse_budget(text: str) -> tuple[str, float]:
    """Return the check's name and its limit in base units from `NAME=VALUE`. Raises LimitError."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise LimitError(f"--budget {text!r}: give NAME=VALUE, as in recovers_within=5s")
    try:
        return name, parse_limit(name, value)
    except LimitError as why:
        raise LimitError(f"--budget {name}={value}: {why}") from None

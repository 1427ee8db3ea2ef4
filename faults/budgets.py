"""The names a scenario's budgets may have, and what each limit counts.

The names are those of the checks. The checks themselves live above the faults, so the names are
kept here once more as data; a test holds the two lists together.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from faults.quantities import parse_count, parse_duration, parse_ratio, parse_share

DEFAULT_RECOVERS_WITHIN_S = 10.0  # the default limit of `recovers_within`

COUNTS: Mapping[str, str] = {
    "no_wrong_values": "count",
    "no_lost_writes": "count",
    "no_lost_updates": "count",
    "no_stale_reads": "count",
    "ttl_kept": "count",
    "no_masked_misses": "share",
    "no_false_misses": "share",
    "predictable_errors": "count",
    "enough_requests": "count",
    "steady_baseline": "share",
    "fault_confirmed": "count",
    "load_kept": "share",
    "generator_not_saturated": "s",
    "hub_not_blocked": "count",
    "error_budget": "share",
    "batches_kept": "share",
    "connections_kept": "share",
    "load_spread": "share",
    "deadline_kept": "count",
    "breaker_opens_within": "s",
    "fails_fast_while_open": "share",
    "batches_fail_fast": "share",
    "breaker_spares_healthy_nodes": "count",
    "unaffected_nodes_healthy": "x",
    "recovers_within": "s",
    "after_recovery_as_before": "x",
    "no_second_dip": "count",
    "no_reconnect_storm": "count",
    "retry_amplification": "x",
    "snapshot_true": "count",
    "no_leaks": "share",
    "all_faults_healed": "count",
    "baseline_kept": "x",
}

_PARSERS: Mapping[str, Callable[[Any], float]] = {
    "s": parse_duration,
    "share": parse_share,
    "count": parse_count,
    "x": parse_ratio,
}


def parse_limit(name: str, raw: Any) -> float:
    """Read a limit in base units; ValueError in words fit for a user."""
    parse = _PARSERS.get(COUNTS.get(name, ""))
    if parse is not None:
        return parse(raw)
    for attempt in (parse_duration, parse_share, parse_ratio):
        try:
            return attempt(raw)
        except ValueError:
            continue
    raise ValueError(f"{raw!r} is no limit (a duration, a share or a number)")


def nearest(word: str, known: Collection[str]) -> str:
    """Give `nearest: a, b`, or all that is known where nothing is near."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=3, cutoff=0.5)
    return f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(sorted(known))}"

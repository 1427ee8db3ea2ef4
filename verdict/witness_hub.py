"""The hub as a witness: whether the client kept the whole process from running.

A watchdog in each load process has looked at every stall and told the client's from the machine's
(session.stalls); here the client's are counted. Without a watchdog the lag of the hub's ticker can
still say that there was no stall at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from telemetry.histogram import lowest_us
from telemetry.window import Window
from verdict.answers import held, inconclusive
from verdict.evidence import disturbances, lost_workers
from verdict.model import CheckResult, Contributor
from verdict.view import View

STALL_US = 100_000


def hub_not_blocked(view: View) -> CheckResult:
    """Never block the event loop for over 100 ms while the process has the CPU."""
    name = "hub_not_blocked"
    limit = view.limit(name)
    if silent := [worker for worker in view.facts.workers if worker.silenced]:
        first = silent[0]
        why = f"{first.id}: the client {first.silenced}, which was heard of no more"
        found = [
            Contributor(outcome=f"{w.id}: the client {w.silenced}", from_s=w.lost_at_s, count=1)
            for w in silent
        ]
        count = len(silent)
        return held(name, False, why, observed=count, limit=limit, evidence=lambda: found)
    living = [worker for worker in view.facts.workers if worker.lost_at_s is None]
    if not living:
        why = view.because("no load process was left to ask")
        return inconclusive(name, why, limit=limit, evidence=lambda: lost_workers(view))
    seen = sum(int(worker.stalls.get("client", 0)) for worker in living)
    others = sum(int(worker.stalls.get("others", 0)) for worker in living)
    kept = [stall for worker in living for stall in worker.stalls.get("kept", ())]
    if seen > limit:
        why = f"{seen} stalls of over 100 ms inside the client"
        return held(
            name, False, why, observed=seen, limit=limit, evidence=lambda: _stalls(kept, seen)
        )
    unwatched = [worker.id for worker in living if not worker.stalls.get("watched")]
    if unwatched and any(map(_has_stalled, view.facts.windows)):
        why = f"the hub of {', '.join(unwatched)} stalled, and nobody saw what it was doing"
        stalled = [s for s, window in view.windows.items() if _has_stalled(window)]
        return inconclusive(
            name,
            view.because(why),
            observed=seen,
            limit=limit,
            evidence=lambda: disturbances(view, stalled),
        )
    why = f"{seen} stalls of over 100 ms inside the client, {others} that were not its doing"
    return held(name, True, why, observed=seen, limit=limit)


def _has_stalled(window: Window) -> bool:
    return bool(window.lag) and lowest_us(max(window.lag)) >= STALL_US


def _stalls(kept: Sequence[Mapping[str, Any]], seen: int) -> Sequence[Contributor]:
    """Give the places of the client that held the hub longest altogether."""
    by_place: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for stall in kept:
        by_place.setdefault((stall.get("place", ""), stall.get("how", "")), []).append(stall)
    ranked = sorted(by_place.items(), key=lambda item: -sum(map(_length_s, item[1])))
    found = [
        Contributor(
            outcome=f"{how or 'held the hub'} at {place or 'an unknown place'}",
            from_s=min(each.get("at_s", 0.0) for each in stalls),
            to_s=max(each.get("at_s", 0.0) + _length_s(each) for each in stalls),
            count=len(stalls),
            share=len(stalls) / max(seen, len(kept)),
            example=max(stalls, key=_length_s),
        )
        for (place, how), stalls in ranked
    ]
    return found or [Contributor(outcome="stalls inside the client", count=seen)]


def _length_s(stall: Mapping[str, Any]) -> float:
    return float(stall.get("length_s", 0.0))

"""The hub as a witness: whether the client kept the whole process from running.

A watchdog in each load process has looked at every stall and told the client's from the machine's
(session.stalls); here the client's are counted. Without a watchdog the lag of the hub's ticker can
still say that there was no stall at all.
"""

from __future__ import annotations

from telemetry.histogram import lowest_us
from verdict.answers import held, inconclusive
from verdict.correctness import evidence_line
from verdict.model import CheckResult
from verdict.view import View

STALL_US = 100_000


def hub_not_blocked(view: View) -> CheckResult:
    """Never block the event loop for over 100 ms while the process has the CPU."""
    name = "hub_not_blocked"
    limit = view.limit(name)
    living = [worker for worker in view.facts.workers if worker.lost_at_s is None]
    if not living:
        return inconclusive(name, view.because("no load process was left to ask"), limit=limit)
    seen = sum(int(worker.stalls.get("client", 0)) for worker in living)
    others = sum(int(worker.stalls.get("others", 0)) for worker in living)
    kept = [stall for worker in living for stall in worker.stalls.get("kept", ())]
    if seen > limit:
        shown = f", the first: {evidence_line(kept[0])}" if kept else ""
        why = f"{seen} stalls of over 100 ms inside the client{shown}"
        return held(name, False, why, observed=seen, limit=limit)
    unwatched = [worker.id for worker in living if not worker.stalls.get("watched")]
    if unwatched and _has_stalled(view):
        why = f"the hub of {', '.join(unwatched)} stalled, and nobody saw what it was doing"
        return inconclusive(name, view.because(why), observed=seen, limit=limit)
    why = f"{seen} stalls of over 100 ms inside the client, {others} that were not its doing"
    return held(name, True, why, observed=seen, limit=limit)


def _has_stalled(view: View) -> bool:
    return any(
        lowest_us(max(window.lag)) >= STALL_US for window in view.facts.windows if window.lag
    )

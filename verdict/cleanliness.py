"""Checks of what is left behind: descriptors, greenlets, connections, memory, faults.

Measured after the clients were closed. A process that was lost cannot be asked and is left out.
"""

from __future__ import annotations

from verdict.answers import answer, held, inconclusive, not_applicable, percent, worst
from verdict.model import CheckResult, Ruling, WorkerFacts
from verdict.view import View

DESCRIPTOR_SLACK = 3  # a log file, a selector, a socket of the report in flight
GREENLET_SLACK = 5  # Locust's own come and go
CONNECTION_SLACK = 3  # the harness's direct connections
MEMORY_SLACK_BYTES = 32 * 1024 * 1024
"""Beside the 10 %: what an allocator keeps and a warm interpreter needs."""


def no_leaks(view: View) -> CheckResult:
    """Leave nothing behind: descriptors, greenlets, slots, connections as before, RSS + 10 %."""
    name = "no_leaks"
    living = [worker for worker in view.facts.workers if worker.lost_at_s is None]
    if not living:
        return inconclusive(name, view.because("no load process was left to ask"))
    parts = [part for worker in living for part in _worker_parts(view, worker)]
    parts += _connection_parts(view)
    result = worst(name, parts)
    if result.verdict is not Ruling.PASS:
        return result
    grown = max(_growth(worker) for worker in living)
    memory = f"{percent(grown)} over" if grown > 0 else "no larger than"
    why = f"nothing left over in {', '.join(w.id for w in living)}; memory {memory} its baseline"
    return answer(name, Ruling.PASS, why, observed=max(0.0, grown), limit=view.limit(name))


def _growth(worker: WorkerFacts) -> float:
    return worker.rss_end / worker.rss_baseline - 1 if worker.rss_baseline else 0.0


def _worker_parts(view: View, worker: WorkerFacts) -> list[CheckResult]:
    name = "no_leaks"
    parts = []
    for what, slack in (("fds", DESCRIPTOR_SLACK), ("greenlets", GREENLET_SLACK)):
        if what not in worker.before or what not in worker.after:
            parts.append(inconclusive(name, f"{worker.id}: {what} were not counted"))
            continue
        extra = worker.after[what] - worker.before[what]
        why = f"{worker.id}: {extra:.0f} {what} more than before the run"
        if what == "greenlets" and worker.left_running:
            why += f": {', '.join(worker.left_running)}"
        parts.append(
            held(name, extra <= slack, why, observed=max(0, extra), limit=slack, unit="count")
        )
    if worker.slots_in_use is not None:
        held_slots = worker.slots_in_use
        why = f"{worker.id}: {held_slots} pool slots in use with no call under way"
        parts.append(held(name, held_slots == 0, why, observed=held_slots, limit=0, unit="count"))
    if not worker.rss_baseline or not worker.rss_end:
        parts.append(inconclusive(name, f"{worker.id}: memory was not measured"))
        return parts
    limit = view.limit(name)
    allowed = worker.rss_baseline * (1 + limit) + MEMORY_SLACK_BYTES
    grown = _growth(worker)
    mib = 1024 * 1024
    why = f"{worker.id}: memory {worker.rss_baseline / mib:.0f} to {worker.rss_end / mib:.0f} MiB"
    parts.append(held(name, worker.rss_end <= allowed, why, observed=max(0, grown), limit=limit))
    return parts


def _connection_parts(view: View) -> list[CheckResult]:
    name = "no_leaks"
    counted = view.facts.server_connections
    missing = [node for node in view.facts.nodes if node not in counted]
    parts: list[CheckResult] = []
    if not view.facts.connections_are_ours:
        return parts  # the descriptors of the processes that are left tell the same
    if missing:
        why = f"connections were not counted on {', '.join(missing)}"
        parts.append(inconclusive(name, view.because(why)))
    for node, (before, after) in counted.items():
        extra = after - before
        why = f"{node}: {extra} connections more than before the run"
        parts.append(
            held(
                name,
                extra <= CONNECTION_SLACK,
                why,
                observed=max(0, extra),
                limit=CONNECTION_SLACK,
                unit="count",
            )
        )
    return parts


def all_faults_healed(view: View) -> CheckResult:
    """Heal every fault that was injected, read it back as gone, and leave nothing of ours."""
    name = "all_faults_healed"
    limit = view.limit(name)
    facts = view.facts
    if not facts.faults:
        return not_applicable(name, "no fault was planned")
    begun = [record for record in facts.faults if record.injected_at_s is not None]
    left = [
        f"{record.id} on {', '.join(record.nodes)} was not seen to heal"
        + (f" ({record.why_not})" if record.why_not else "")
        for record in begun
        if record.healed_at_s is None
    ]
    left += [f"left over: {item}" for item in facts.leftovers]
    why = "; ".join(left[:3]) if left else f"{len(begun)} of {len(begun)} healed, nothing left over"
    return held(name, len(left) <= limit, why, observed=len(left), limit=limit)

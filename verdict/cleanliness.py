"""Checks of what is left behind: descriptors, greenlets, connections, memory, faults.

Measured after the clients were closed. A process that was lost cannot be asked and is left out.
"""

from __future__ import annotations

import dataclasses

from verdict.answers import Evidence, answer, held, inconclusive, not_applicable, percent, worst
from verdict.compare import taken_back
from verdict.evidence import lost_workers, unhealed
from verdict.model import CheckResult, Contributor, Ruling, WorkerFacts
from verdict.view import View

DESCRIPTOR_SLACK = 3  # a log file, a selector, a socket of the report in flight
GREENLET_SLACK = 5  # Locust's own come and go
CONNECTION_SLACK = 3  # the harness's direct connections
OWN_CONNECTIONS = 2  # of a load process: its ledger's, and the one that asks
FEWEST_BATCHES = 8  # at once: as many as the ledger has users
HEALED_S = 5.0  # by then what a fault has held is let go
MEMORY_SLACK_BYTES = 32 * 1024 * 1024
"""Beside the 10 %: what an allocator keeps and a warm interpreter needs."""


def no_leaks(view: View) -> CheckResult:
    """Leave nothing behind: descriptors, greenlets, slots, connections as before, RSS + 10 %."""
    name = "no_leaks"
    living = [worker for worker in view.facts.workers if worker.lost_at_s is None]
    if not living:
        why = view.because("no load process was left to ask")
        return inconclusive(name, why, evidence=lambda: lost_workers(view))
    parts = [part for worker in living for part in _worker_parts(view, worker)]
    parts += [*_connection_parts(view), *_pool_parts(view)]
    result = worst(name, parts)
    if result.verdict is not Ruling.PASS:
        return dataclasses.replace(result, why=result.why + _trouble_closing(view))
    grown = max(_growth(worker) for worker in living)
    memory = f"{percent(grown)} over" if grown > 0 else "no larger than"
    why = f"nothing left over in {', '.join(w.id for w in living)}; memory {memory} its baseline"
    return answer(name, Ruling.PASS, why, observed=max(0.0, grown), limit=view.limit(name))


def _trouble_closing(view: View) -> str:
    """Return why a client was not closed, where that was so: what is left over may be its doing."""
    said = [str(f.get("error")) for f in view.facts.findings if f.get("kind") == "close_failed"]
    return f"; {said[0]}" if said else ""


def _growth(worker: WorkerFacts) -> float:
    return worker.rss_end / worker.rss_baseline - 1 if worker.rss_baseline else 0.0


def _worker_parts(view: View, worker: WorkerFacts) -> list[CheckResult]:
    parts = [
        _counted_part(view, worker, what, slack)
        for what, slack in (("fds", DESCRIPTOR_SLACK), ("greenlets", GREENLET_SLACK))
    ]
    if worker.slots_in_use is not None:
        slots = worker.slots_in_use
        why = f"{worker.id}: {slots} pool slots in use with no call under way"
        seen = left_behind(view, f"pool slots of {worker.id} in use", slots)
        parts.append(_held_count(abs(slots), 0, why, seen))
    parts.append(_memory_part(view, worker))
    return parts


def _counted_part(view: View, worker: WorkerFacts, what: str, slack: int) -> CheckResult:
    """Judge descriptors or greenlets of a load process."""
    name = "no_leaks"
    if what not in worker.before or what not in worker.after:
        missing = left_behind(view, f"{what} of {worker.id}: not counted", None)
        return inconclusive(name, f"{worker.id}: {what} were not counted", evidence=missing)
    running = list(worker.left_running) if what == "greenlets" else []
    extra = worker.after[what] - worker.before[what]
    why = f"{worker.id}: {extra:.0f} {what} more than before the run"
    if running:
        why += f": {', '.join(running)}"
    seen = left_behind(
        view,
        f"{what} of {worker.id} beyond those before the run",
        int(extra),
        before=worker.before[what],
        after=worker.after[what],
        left_running=running,
    )
    return _unless_shared(view, _held_count(extra, slack, why, seen))


def _held_count(extra: float, allowed: int, why: str, seen: Evidence) -> CheckResult:
    """Return whether no more of something was left than may be."""
    observed = max(0, extra)
    return held(
        "no_leaks",
        extra <= allowed,
        why,
        observed=observed,
        limit=allowed,
        unit="count",
        evidence=seen,
    )


def _memory_part(view: View, worker: WorkerFacts) -> CheckResult:
    """Judge the resident memory of a load process."""
    name = "no_leaks"
    if not worker.rss_baseline or not worker.rss_end:
        seen = left_behind(view, f"memory of {worker.id}: not measured", None)
        return inconclusive(name, f"{worker.id}: memory was not measured", evidence=seen)
    limit = view.limit(name)
    allowed = worker.rss_baseline * (1 + limit) + MEMORY_SLACK_BYTES
    mib = 1024 * 1024
    why = f"{worker.id}: memory {worker.rss_baseline / mib:.0f} to {worker.rss_end / mib:.0f} MiB"
    part = held(
        name,
        worker.rss_end <= allowed,
        why,
        observed=max(0, _growth(worker)),
        limit=limit,
        evidence=left_behind(
            view,
            f"bytes of {worker.id}'s memory over its baseline",
            int(worker.rss_end - worker.rss_baseline),
            before=worker.rss_baseline,
            after=worker.rss_end,
        ),
    )
    return _unless_shared(view, part)


def _unless_shared(view: View, part: CheckResult) -> CheckResult:
    """Hold against nobody what users of the user's own may have left in the same process."""
    foreign = view.facts.foreign_users
    if part.verdict is not Ruling.FAIL or not foreign:
        return part
    why = f"{part.why}; {', '.join(foreign)} of your own ran in the same process"
    return dataclasses.replace(part, verdict=Ruling.INCONCLUSIVE, why=why)


def left_behind(
    view: View, what: str, count: int | None, node: str = "", **example: object
) -> Evidence:
    """Give what was left when the load was over and the clients were closed."""
    end = view.phases.load_end
    found = Contributor(outcome=what, node=node, from_s=end, count=count, example=example)
    return lambda: (found,)


def _connection_parts(view: View) -> list[CheckResult]:
    name = "no_leaks"
    counted = view.facts.server_connections
    missing = [node for node in view.facts.nodes if node not in counted]
    parts: list[CheckResult] = []
    if not view.facts.connections_are_ours:
        return parts  # the descriptors of the processes that are left tell the same
    if missing:
        why = f"connections were not counted on {', '.join(missing)}"
        seen = left_behind(view, "connections were not counted", None, node=missing[0])
        parts.append(inconclusive(name, view.because(why), evidence=seen))
    for node, (before, after) in counted.items():
        extra = after - before
        why = f"{node}: {extra} connections more than before the run"
        what = "connections more than before the run"
        seen = left_behind(view, what, extra, node=node, before=before, after=after)
        parts.append(_held_count(extra, CONNECTION_SLACK, why, seen))
    return parts


def _pool_parts(view: View) -> list[CheckResult]:
    """Judge what pools held open when no call was under way and nothing had been closed.

    A pool may have grown to what the calls needed that were under way at once, and one that is
    larger from the start is its own measure. A connection beyond both is one that was lost with a
    call: no other will use it. Nothing is said of it where a fault was still on at the end, or just
    before: connections that a fault has held end a little later.
    """
    last_heal = view.phases.last_heal
    settled = view.phases.load_end - HEALED_S
    if not view.facts.connections_are_ours or (
        view.phases.spans and (last_heal is None or last_heal > settled)
    ):
        return []
    parts = []
    for node, (before, _) in view.facts.server_connections.items():
        asked = [w.open_at_quiesce[node] for w in view.facts.workers if node in w.open_at_quiesce]
        usual = [
            stats["curr_connections"]
            for second in view.phases.baseline
            if "curr_connections" in (stats := view.windows[second].server.get(node, {}))
        ]
        if not asked or not usual:
            continue
        left, most = max(asked), max(usual)
        allowed = max(most, before + _needed(view)) + CONNECTION_SLACK
        why = f"{node}: {left} connections with no call under way, {most} in the baseline"
        why += f", {allowed} allowed"
        seen = left_behind(
            view,
            "connections that no call needs, before the client was closed",
            left - most,
            node=node,
            baseline=most,
            after=left,
            calls_at_once=sum(worker.peak_calls for worker in view.facts.workers),
        )
        part = _held_count(left, allowed, why, seen)
        if left > allowed >= min(asked):  # each process asks for itself, when its users have ended
            part = taken_back(part, "users of another process may have been there still")
        parts.append(part)
    return parts


def _needed(view: View) -> int:
    """Return how many connections to one node pools may have come to hold, and the harness has.

    That is one for each call that was under way at once, and a quarter more, for a client with a
    pool for batches beside that for single keys: few users send batches. Users that came after the
    baseline may have connections of their own.
    """
    users = [view.windows[second].users for second in view.phases.baseline]
    later = max((window.users for window in view.facts.windows), default=0) - min(users, default=0)
    return later + sum(
        worker.peak_calls + max(FEWEST_BATCHES, worker.peak_calls // 4) + OWN_CONNECTIONS
        for worker in view.facts.workers
    )


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
    over = [Contributor(outcome=f"left over: {item}") for item in facts.leftovers]
    return held(
        name,
        len(left) <= limit,
        why,
        observed=len(left),
        limit=limit,
        evidence=lambda: (*unhealed(view), *over),
    )

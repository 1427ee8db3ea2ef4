"""From a finished run to the facts a verdict is made from. Reads, arranges, decides nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from client.breaker_settings import BreakerSettings
from faults.journal import PhaseRecord
from report.typed_json import as_data
from session.process_end import LOCAL, end_of
from telemetry.timeline import Timeline
from users.findings import BY_NODE
from users.identity import agreed
from verdict.model import LedgerFacts, RunFacts, WorkerFacts
from verdict.short_faults import confirmed_by_calls

UNTOLD_PROBES = 3  # granted to a client of whose breaker nothing is known

if TYPE_CHECKING:
    from session.run import MasterRun


def run_facts(run: MasterRun) -> RunFacts:
    """Give everything the checks may look at."""
    settings = run.settings
    options = settings.client_options
    records = list(run.journal.phases) if run.scenario is not None else []
    void_s = _void_from(run)
    facts = RunFacts(
        scenario=settings.scenario.name,
        seed=settings.seed,
        client=settings.client,
        nodes=[node.name for node in run.cluster.nodes],
        users=run.expected_users,
        target_rate=settings.target_rate,
        op_timeout_s=options.op_timeout,
        pool_size=options.pool_size,
        started=run.folder.started,
        duration_s=round(min(run.ended_s, void_s), 3),
        phases=_closed(records, run.ended_s) if void_s == math.inf else [],
        faults=list(run.journal.faults) if run.scenario and void_s == math.inf else [],
        windows=[window for window in run.timeline.windows() if window.end <= void_s],
        workers=[_worker(run, member.id) for member in run.fleet.members.values()],
        budgets=dict(settings.budgets),
        half_open_probes=_probes(run),
        wrong_values=list(run.timeline.wrong_values),
        findings=list(run.timeline.findings.kept),
        samples=list(run.timeline.samples.kept),
        timeline_growth=_timeline_growth(run),
        errors=list(run.timeline.errors.kept),
        found=found_counts(run.timeline),
        leftovers=run.driver.leftovers() if run.driver and void_s == math.inf else [],
        server_connections={
            name: (before, run.servers.connections_after[name])
            for name, before in run.servers.connections_before.items()
            if name in run.servers.connections_after
        },
        uncounted=dict(run.servers.uncounted),
        node_events=run.monitor.events(run.epoch or 0.0),
        stopped_early=run.stopped_early,
        is_void=void_s != math.inf,
        # Others may connect to others' nodes, and users that ride along to any; those of a worker
        # that is gone are nobody's leak.
        connections_are_ours=settings.addresses is None
        and not run.foreign_users
        and run.epoch is not None
        and all(member.lost_at_s is None for member in run.fleet.members.values()),
        groups=run.groups,
        **identity(run),
        earlier=settings.earlier,
    )
    return confirmed_by_calls(facts)


def found_counts(timeline: Timeline) -> dict[str, dict[str, int]]:
    """Return how often each kind of wrong value, finding and error was seen, kept or not."""
    return {
        "wrong_value": dict(timeline.wrong.counts),
        "finding": dict(timeline.findings.counts),
        "error": dict(timeline.errors.counts),
    }


def identity(run: MasterRun) -> dict[str, Any]:
    """Return who the client under test is and what ran it, as all load processes tell it."""
    members = list(run.fleet.members.values())
    return {
        "client_under_test": agreed([member.client for member in members]),
        "versions": {
            **agreed([member.versions for member in members]),
            "memcached": ", ".join(sorted(set(run.servers.versions.values()))),
        },
    }


def _void_from(run: MasterRun) -> float:
    """Give from where on nothing counts: a server of ours died, or a fault of that run began."""
    if run.void_from_s is None:
        return math.inf
    injected = [f.injected_at_s for f in run.journal.faults if f.injected_at_s is not None]
    return math.floor(min([run.void_from_s, *injected]))


def _probes(run: MasterRun) -> int:
    """Give how many probes at once are no fault: the client's own setting where it is known."""
    if run.settings.client != "memquake":
        return UNTOLD_PROBES
    return BreakerSettings.of(run.settings.client_options.breaker).half_open_probes


def _closed(phases: list[PhaseRecord], end_s: float) -> list[PhaseRecord]:
    """Give every phase an end, the run's own when it was cut off."""
    return [
        PhaseRecord(phase.name, phase.start_s, end_s if phase.end_s is None else phase.end_s)
        for phase in phases
    ]


def _rss_end(run: MasterRun, worker: str, extra: dict[str, Any]) -> float:
    """Give a worker's memory at the end, in a local run without the timeline's own growth."""
    end = float(extra.get("rss_end", 0.0))
    if worker != LOCAL or not end:
        return end
    return max(0.0, end - _timeline_growth(run))


def _timeline_growth(run: MasterRun) -> float:
    """Return by how much the timeline grew since the memory was marked, in bytes."""
    return max(0.0, float(run.timeline.bytes_held() - run.marked_bytes))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _ledger(told: Any) -> LedgerFacts | None:
    if not told:
        return None
    found = dict(told)
    found["places"] = [(str(k), str(node), int(s), int(n)) for k, node, s, n in told["places"]]
    for name in BY_NODE:
        found[name] = [(str(node), int(second), int(n)) for node, second, n in told[name]]
    return LedgerFacts(**found)


def _worker(run: MasterRun, worker: str) -> WorkerFacts:
    member = run.fleet.members[worker]
    seen = run.collector.workers.get(worker)
    # As it will be read back from the folder: a verdict made later shall find the same.
    extra: dict[str, Any] = as_data((seen and seen.final) or {})
    if run.epoch is None:
        extra = {}  # users were still filling their keys: what they held then is no leak
    end = None if member.lost_at_s is None else end_of(run.folder.path, worker)
    return WorkerFacts(
        id=worker,
        ended="" if end is None or end.is_silent else end.words,
        silenced="" if end is None or not end.is_silent else end.words,
        operations=seen.operations if seen else 0,
        joined_at_s=member.joined_at_s,
        lost_at_s=member.lost_at_s,
        away=tuple(member.away),
        unaccounted=max(0, seen.unaccounted) if seen else 0,
        clock_error_s=_finite(seen.clock_error_s) if seen else 0.0,
        before=extra.get("before", {}),
        left_running=tuple(extra.get("left_running", ())),
        after=extra.get("after", {}),
        rss_baseline=float(extra.get("rss_baseline", 0.0)),
        rss_end=_rss_end(run, worker, extra),
        slots_in_use=extra.get("slots_in_use"),
        hung_calls=int(extra.get("hung_calls", 0)),
        stalls=extra.get("stalls", {}),
        ledger=_ledger(extra.get("ledger")),
        keys_placed=extra.get("keys_placed", {}),
        peak_calls=int(extra.get("peak_calls", 0)),
        open_at_quiesce=extra.get("open_at_quiesce", {}),
        past_proxies=extra.get("past_proxies"),
        connections_held=extra.get("connections_held", {}),
        strays=int(extra.get("strays", 0)),
    )

"""The live state of a run as plain data, for the page, the tab and the terminal alike."""

from __future__ import annotations

from typing import Any

from telemetry.live import recent

RECENT_S = 3  # figures are of the last three full seconds: steady to read, quick to follow
SERIES_S = 180  # the page's charts
RUN_FILES = (
    "report.html",
    "verdict.json",
    "junit.xml",
    "findings.jsonl",
    "facts.json.gz",
    "plan.yaml",
    "journal.jsonl",
    "timeline.jsonl",
)


def live_state(session: Any, *, series: bool = False) -> dict[str, Any]:
    """Describe the current or the last run of a master session; plain types only."""
    run = session.run
    settings = session.settings if run is None else run.settings
    state: dict[str, Any] = {
        "scenario": settings.scenario.name,
        "client": settings.client,
        "seed": settings.seed,
        "phase": "idle" if run is None else run.phase,
        "t": 0.0,
        "planned_s": None,
        "phases": [],
        "faults": [],
        "nodes": [{"name": name} for name in settings.node_names],
        "numbers": {},
        "series": [],
        "last": last_run(session),
    }
    if run is None:
        return state
    now = max(0.0, run.ended_s if run.finishing else run.now_s)
    numbers = recent(run.timeline, RECENT_S, now_s=now)
    state.update(
        t=round(now, 1),
        planned_s=run.planned_s,
        phases=phases(run),
        faults=faults(run),
        numbers={
            "ops": numbers.operations_per_s,
            "keys": numbers.keys_per_s,
            "error_rate": numbers.error_rate,
            "hit_ratio": numbers.hit_ratio,
            "service_p50_ms": numbers.service_p50_ms,
            "service_p99_ms": numbers.service_p99_ms,
            "response_p99_ms": numbers.response_p99_ms,
        },
        nodes=nodes(numbers, settings.node_names, state_of_faults(run)),
        series=run.series(SERIES_S) if series else [],
    )
    return state


def phases(run: Any) -> list[dict[str, Any]]:
    """Give the planned phases with their starts and ends in seconds of the run."""
    plan = run.settings.plan
    if plan is None:
        return []
    ends = [plan.stabilization_s, plan.stabilization_s + plan.testing_s, plan.duration_s]
    starts = [0.0, *ends[:2]]
    names = ("stabilization", "testing", "recovery")
    return [
        {"name": n, "start_s": a, "end_s": b} for n, a, b in zip(names, starts, ends, strict=True)
    ]


def faults(run: Any) -> list[dict[str, Any]]:
    """Give every planned fault with what has become of it."""
    plan = run.settings.plan
    if plan is None:
        return []
    records = {record.id: record for record in run.journal.faults}
    rows = []
    for fault in plan.faults:
        record = records.get(fault.id)
        if record is None or record.injected_at_s is None:
            state = "planned"
        elif record.healed_at_s is not None:
            state = "healed"
        else:
            state = "active" if record.confirmed else "injected"
        rows.append(
            {
                "id": fault.id,
                "kind": fault.kind,
                "nodes": list(fault.nodes),
                "start_s": plan.stabilization_s + fault.at_s,
                "end_s": plan.stabilization_s + fault.end_s,
                "state": state,
                "emulated_by": fault.emulated_by,
            }
        )
    return rows


def state_of_faults(run: Any) -> dict[str, str]:
    """Give node name -> kind of the fault it suffers now."""
    suffering: dict[str, str] = {}
    for row in faults(run):
        if row["state"] in ("active", "injected"):
            for node in row["nodes"]:
                suffering[node] = row["kind"]
    return suffering


def nodes(numbers: Any, names: Any, suffering: dict[str, str]) -> list[dict[str, Any]]:
    """Give a row a node."""
    seconds = max(1, numbers.seconds)
    rows = []
    for name in names:
        live = numbers.nodes.get(name)
        rows.append(
            {
                "name": name,
                "fault": suffering.get(name, ""),
                "breaker": live.breaker if live else "",
                "in_use": live.in_use if live else None,
                "idle": live.idle if live else None,
                "hits": round(live.hits / seconds) if live else 0,
                "errors": round(live.errors / seconds) if live else 0,
                "p50_ms": live.service_p50_ms if live else None,
                "p99_ms": live.service_p99_ms if live else None,
            }
        )
    return rows


def last_run(session: Any) -> dict[str, Any] | None:
    """Give the last finished run: folder, verdict, why."""
    run = session.run
    if run is None or not run.finished.is_set() or run.verdict is None:
        return None
    verdict = run.verdict
    return {
        "run": run.folder.path.name,
        "files": [name for name in RUN_FILES if (run.folder.path / name).exists()],
        "verdict": str(verdict.ruling),
        "bad": [
            {"name": c.name, "verdict": str(c.verdict), "why": c.why}
            for c in verdict.checks
            if str(c.verdict) in ("FAIL", "INCONCLUSIVE")
        ],
    }

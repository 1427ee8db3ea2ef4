"""The state of the moment for Prometheus: phase, faults in force, finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.exporter import MetricsPortError, MetricsServer, serve
from telemetry.prometheus import ActiveToxic, LiveState, Metrics
from telemetry.timeline import Timeline

if TYPE_CHECKING:
    from session.master import MasterSession
    from session.run import MasterRun


def make_metrics(session: MasterSession) -> Metrics:
    """Give the metrics of a master session, read anew at every scrape."""

    def source() -> tuple[Timeline | None, LiveState]:
        run = session.run
        if run is None:
            return None, LiveState(runs=dict(session.runs_ended))
        return run.timeline, live_state(run, session)

    return Metrics(source)


def live_state(run: MasterRun, session: MasterSession) -> LiveState:
    """Describe a run as it is now."""
    now = run.now_s
    return LiveState(
        scenario=run.settings.scenario.name,
        phase=run.phase,
        active=run.epoch is not None and not run.finished.is_set(),
        phase_durations_s={
            phase.name: max(0.0, (now if phase.end_s is None else phase.end_s) - phase.start_s)
            for phase in run.journal.phases
        },
        toxics=_toxics(run),
        runs=dict(session.runs_ended),
    )


def _toxics(run: MasterRun) -> tuple[ActiveToxic, ...]:
    plan = run.settings.plan
    if plan is None:
        return ()
    attributes = {fault.id: fault.attributes for fault in plan.faults}
    return tuple(
        ActiveToxic(server=node, kind=record.kind, attributes=attributes.get(record.id, {}))
        for record in run.journal.faults
        if record.injected_at_s is not None and record.healed_at_s is None
        for node in record.nodes or ("",)
    )


def serve_metrics(session: MasterSession, metrics: Metrics) -> MetricsServer | None:
    """Serve /metrics on --prometheus-port when it was given; ends the process when it is taken."""
    port = session.settings.prometheus_port
    if port is None:
        return None
    try:
        return serve(metrics, port)
    except MetricsPortError as error:
        session.close()
        session.give_up(str(error))
        return None

"""One run on the master, from the message that prepares the workers to the finished folder.

Order: tell the workers, wait for their users, set second 0, drive the scenario, stop the load,
await the last reports, judge, write. Whatever interrupts it, `finish` runs once, heals, and leaves
a folder behind.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from locust.runners import MasterRunner

from cluster.errors import ClusterError
from cluster.node import Node
from cluster.probe import StatsReader
from faults.driver import FaultDriver
from faults.guard import Guard
from faults.journal import Journal
from faults.planfile import endless_to_yaml, plan_to_yaml
from faults.runner import ScenarioRunner
from report.outcome import write_outcome
from session import messages, riders
from session.command import run_options
from session.dispatching import spawned_users
from session.facts import identity, run_facts
from session.failure import say
from session.fleet import Fleet
from session.folder import RunFolder
from session.machine import watch_machine
from session.node_monitor import NodeMonitor
from session.patience import Patience
from session.process_end import kill_silenced
from session.room import refuse_what_does_not_fit
from session.watch import (
    ServerLooks,
    counted,
    is_silent,
    look_at_all,
    look_at_the_end,
    look_before_the_run,
    lost_while_preparing,
    server_versions,
    watch_servers,
    watch_workers,
    without_statistics,
)
from settings import Settings
from telemetry.collector import Collector
from telemetry.live import REPORT_LAG_S
from telemetry.timeline import Timeline, TimelineWriter
from users import foreign
from verdict.model import RunFacts, Verdict
from verdict.verdict import judge

logger = logging.getLogger("locust.memquake")

LEAD_S = 0.3  # from "go" to second 0: the message has to be everywhere by then
DEATH_NOTICED_S = 2.5  # a look a second, half a second for servers that are slow to answer
UNCOUNTED = (
    "A proxy in front of others? What only the servers' own counts tell is not judged: "
    "retry_amplification, connections_kept, no_reconnect_storm, and why a write is gone"
)
CONNECTIONS = "curr_connections"
WHOLE_S = 3_600.0  # a scenario up to this long is kept second by second
AROUND_S = 300.0  # of a longer one, what lies so near to an edge of a fault
MARK_AFTER_S = 5.0  # memory baseline of a run without phases
FINAL_GRACE_S = 14.0  # beyond the deadline of calls: ending users, closing, reports, repeats


class RunError(Exception):
    """The run cannot start. One line."""


def _scenario_of(
    settings: Settings, driver: FaultDriver | None, journal: Journal
) -> ScenarioRunner | None:
    if driver is None or settings.plan is None:
        return None
    driver.use(journal)
    return ScenarioRunner(settings.plan, driver, journal)


class MasterRun:
    """One run. Seconds count from `epoch`, a moment of this process's monotonic clock."""

    def __init__(
        self,
        *,
        environment: Any,
        settings: Settings,
        cluster: Any,
        collector: Collector,
        driver: FaultDriver | None,
        guard: Guard,
        expected_users: int,
        spawn_rate: float,
    ) -> None:
        self.environment = environment
        self.runner = environment.runner
        self.settings = settings
        self.cluster = cluster
        self.collector = collector
        self.driver = driver
        self.guard = guard
        self.expected_users = expected_users  # exact once Locust has spawned all
        self.foreign_users = foreign.names_of(environment.user_classes)
        self._patience = Patience(spawn_rate)
        self.folder = RunFolder(settings.runs_dir, settings.scenario.name)
        self.folder.hold()
        self.id = self.folder.id
        self.fleet = Fleet(
            {kind.__name__: getattr(kind, "pace", 1.0) for kind in environment.user_classes},
            riders.NAMES,
        )
        self.timeline = Timeline()
        self.writer = TimelineWriter(self.folder.file("timeline.jsonl"), self.timeline)
        self.monitor = NodeMonitor()
        self.servers = ServerLooks()
        self.look_gate = BoundedSemaphore()
        self.reader = StatsReader()
        self._faults_on = False  # as the workers have been told
        self.journal = Journal(self.folder.file("journal.jsonl"), on_fault=self._tell_of_faults)
        guard.journal(self.folder.file("journal.jsonl"))
        self.scenario = _scenario_of(settings, driver, self.journal)
        self.epoch: float | None = None
        self.ended_s = 0.0
        self.void_from_s: float | None = None  # from here on the cluster itself was broken
        self.marked_bytes = 0  # of the timeline, when the workers took their baseline of memory
        self.stopped_early = ""
        self.failure = ""
        self.finishing = False
        self.finished = Event()
        self.facts: RunFacts | None = None
        self.verdict: Verdict | None = None
        self.unwritten: list[str] = []  # what the folder lacks, a line each
        self.counted = False  # whether the session has taken the verdict over
        self.spawned = Event()
        self.spawned_users: dict[str, int] = {}  # by class, when the load ended
        self._points: dict[int, dict[str, float]] = {}
        self._greenlets: list[Any] = []
        self._driving: Any = None

    # -- what the rest of the program asks --------------------------------------------------

    @property
    def now_s(self) -> float:
        """Seconds since second 0; negative before it, 0 before it is known."""
        return 0.0 if self.epoch is None else time.monotonic() - self.epoch

    @property
    def stop_timeout(self) -> float:
        """Seconds that users of the user's own have for the task they are in at the end."""
        return float(self.environment.stop_timeout) if self.foreign_users else 0.0

    @property
    def groups(self) -> int:
        """How many groups of users there are, each with a client of its own in every process."""
        return 1 if self.settings.plan is None else self.settings.plan.groups

    @property
    def nodes(self) -> list[Node]:
        """The nodes as this run's clients are given them."""
        doors = 1 if self.settings.plan is None else self.settings.plan.doors
        return [node.seen_by(doors) for node in self.cluster.nodes]

    @property
    def phase(self) -> str:
        """Name of what is going on, for people."""
        if self.finished.is_set():
            return "finished"
        if self.finishing:
            return "finishing"
        if self.epoch is None:
            return "preparing"
        return (self.scenario.phase or "starting") if self.scenario else "running"

    @property
    def planned_s(self) -> float | None:
        """How long the load is to last, None when somebody has to stop it."""
        plan = self.settings.plan
        return plan.duration_s if plan is not None else self.settings.duration_s

    @property
    def is_over_when_stopped(self) -> bool:
        """Whether a stop from outside is this run's end: it has begun, and no end was planned."""
        duration = self.settings.duration_s
        has_begun_plainly = self.settings.plan is None and self.epoch is not None
        return has_begun_plainly and (duration is None or self.now_s >= duration)

    def series(self, seconds: int) -> list[dict[str, float]]:
        """Give operations, errors and p99 of the last `seconds` full seconds, for the page."""
        until_s = self.ended_s if self.finishing else self.now_s - REPORT_LAG_S
        end = 0 if self.epoch is None else max(0, int(until_s))
        for second in range(max(0, end - seconds), end):
            # A second changes while late reports come in; older ones are kept as computed.
            if second not in self._points or second > end - 4:
                line = self.timeline.to_line(self.timeline.window(second))
                self._points[second] = {
                    "t": second,
                    "ops": sum(line["operations"].values()),
                    "errors": sum(line["errors"].values()),
                    "p99_ms": (line["service_p99_us"] or 0) / 1000,
                }
        for old in [second for second in self._points if second < end - seconds]:
            del self._points[old]
        return [self._points[second] for second in sorted(self._points)]

    # -- the way of a run -------------------------------------------------------------------

    def prepare(self) -> None:
        """Write the plan and tell every worker what to build."""
        self._write_plan()
        if self.driver is not None:
            self.driver.heal_all("before the start")
        self.collector.begin(self.id, self.timeline)
        self.servers.uncounted = without_statistics(self.cluster.nodes)
        for name, why in self.servers.uncounted.items():
            say(f"{name} does not count as memcached does: {why}. {UNCOUNTED}")
        looks = look_at_all(self)
        self.servers.connections_before = counted(looks, CONNECTIONS)
        self.servers.items_before = counted(looks, "curr_items")
        self.servers.versions = server_versions(self.cluster.nodes)
        try:
            refuse_what_does_not_fit(self)
        except ClusterError as error:
            self.failure = str(error)  # whoever ends this run writes no verdict
            raise
        self._greenlets = [gevent.spawn(watch_servers, self)]
        self.runner.send_message(messages.RUN, self.run_message())

    def run_message(self) -> dict[str, Any]:
        """Give what a worker needs to know, in plain types."""
        settings = self.settings
        options = settings.client_options
        return {
            "run": self.id,
            "folder": str(self.folder.path.resolve()),
            "nodes": [node.to_wire() for node in self.nodes],
            "access": settings.access.to_wire(),
            "client_spec": settings.client,
            "groups": self.groups,
            "begun": self.epoch is not None,
            "faults_on": self.journal.is_fault_on,
            "moved": [],  # nodes whose names have changed
            "client": {
                "pool_size": options.pool_size,
                "op_timeout": options.op_timeout,
                "connect_timeout": options.connect_timeout,
                "ring": options.ring,
                "failover": options.failover,
                "gutter_nodes": list(options.gutter_nodes),
                "breaker": dict(options.breaker or {}),
                "guard_share": options.guard_share,
            },
            "paced": settings.target_rate > 0,
            "rate_a_user": settings.target_rate / max(1, self.expected_users),
            "seed": settings.seed,
            "load": dict(settings.load),
        }

    def drive(self) -> None:
        """Run to the planned end; returns when the load should stop. Raises RunError."""
        self._driving = gevent.getcurrent()
        self._await_users()
        look_at_all(self)
        look_before_the_run(self)
        if self.failure:
            raise RunError(self.failure)
        self.epoch = time.monotonic() + LEAD_S
        self.journal.begin(self.epoch)
        self.guard.journal(self.folder.file("journal.jsonl"), self.epoch)
        self.journal.note(
            "run",
            scenario=self.settings.scenario.name,
            client=self.settings.client,
            **identity(self),
        )
        self.timeline.start(self.epoch)
        self._protect_faults()
        rates = self.fleet.split(self.settings.target_rate)
        for member in self.fleet.alive:
            data = {"run": self.id, "epoch": self.epoch, "rates": rates[member.id]}
            self._send(messages.GO, data, member.id)
        self._greenlets += [gevent.spawn(watch, self) for watch in (watch_workers, watch_machine)]
        gevent.sleep(max(0.0, self.epoch - time.monotonic()))
        if self.scenario is not None:
            self.scenario.run(self.epoch, self._on_phase)
        else:
            self._run_plain()

    def _tell_of_faults(self) -> None:
        """Tell every worker when the nodes are whole no more, and when they are again."""
        if self.journal.is_fault_on != self._faults_on:
            self._faults_on = not self._faults_on
            self.runner.send_message(messages.FAULTS, {"run": self.id, "on": self._faults_on})

    def _protect_faults(self) -> None:
        """Keep the seconds around faults one by one: all of a scenario of usual length."""
        plan = self.settings.plan
        if plan is None:
            return
        if plan.duration_s <= WHOLE_S:
            self.timeline.protect(0.0, math.inf)
            return
        for fault in plan.faults:
            for edge in (fault.at_s, fault.end_s):
                at = plan.stabilization_s + edge
                self.timeline.protect(at - AROUND_S, at + AROUND_S)

    def _run_plain(self) -> None:
        assert self.epoch is not None
        duration = self.settings.duration_s
        mark_at = MARK_AFTER_S if duration is None else min(MARK_AFTER_S, duration / 2)
        gevent.sleep(mark_at)
        self._mark()
        while duration is None or self.now_s < duration:
            gevent.sleep(0.5 if duration is None else min(0.5, max(0.0, duration - self.now_s)))

    def all_spawned(self, counts: Mapping[str, int]) -> None:
        """Take Locust's word that all users have been started: how many of each class."""
        if self.epoch is None:
            self.expected_users = foreign.count_ours(counts, self.environment.user_classes)
            if not self.expected_users:
                names = ", ".join(self.foreign_users) or "none"
                self.failure = f"of the users started none is memquake's ({names}): start more"
        self.spawned.set()

    def _await_users(self) -> None:
        while not (self.spawned.is_set() and self.fleet.all_ready(self.expected_users)):
            if problems := self.fleet.problems():
                raise RunError(problems[0])
            if self.failure:
                raise RunError(self.failure)
            if gone := lost_while_preparing(self):
                raise RunError(f"worker {gone} went away while users were being prepared")
            if self._patience.is_over(self.fleet.progress):
                raise RunError(
                    f"{self.fleet.lacking(self.expected_users)}, and nothing has moved for "
                    f"{self._patience.limit_s:g} s: start fewer users, or look at the workers' "
                    "own output"
                )
            gevent.sleep(0.05)

    def _on_phase(self, name: str) -> None:
        if name == "testing":
            self._mark()

    def _mark(self) -> None:
        self.marked_bytes = self.timeline.bytes_held()
        for member in self.fleet.alive:
            self._send(messages.MARK, {"run": self.id}, member.id)

    def count_connections(self) -> None:
        """Have the load processes count what their clients hold: some node takes no more."""
        for member in self.fleet.alive:
            self._send(messages.COUNT, {"run": self.id}, member.id)

    def _send(self, name: str, data: Mapping[str, Any], worker: str) -> None:
        self.runner.send_message(name, dict(data), client_id=worker)

    def heard(self, worker: str, data: Mapping[str, Any]) -> None:
        """Take a worker's word about its users; late ones are told to go at once."""
        known = worker in self.fleet.members
        changed = self.fleet.heard(
            worker, data["users"], data["ready"], data["problem"], data["stored"]
        )
        member = self.fleet.members[worker]
        member.client = data.get("client", member.client)
        member.versions = data.get("versions", member.versions)
        if self.epoch is None or self.finishing:
            return
        # What it said while it was cut off comes first; it is back when its reports are.
        if not is_silent(self, worker) and self.fleet.returned(worker, self.now_s):
            self.journal.note("worker_returned", worker=worker)
            changed = True
        if not known:
            self.fleet.joined(worker, self.now_s)
            rates = self.fleet.split(self.settings.target_rate).get(worker, {})
            self._send(messages.GO, {"run": self.id, "epoch": self.epoch, "rates": rates}, worker)
            self.journal.note("worker_joined", worker=worker)
        if changed:
            self.share_rate()

    def cannot_serve(self, worker: str, why: str) -> None:
        """Take note of a worker that cannot start its part; the run is over if it has not begun."""
        if self.epoch is None:
            self.failure = f"worker {worker}: {why}"
        else:
            self.journal.note("worker_refused", worker=worker, why=why)

    def share_rate(self) -> None:
        """Tell every worker its part of the target rate."""
        for worker, rates in self.fleet.split(self.settings.target_rate).items():
            self._send(messages.RATE, {"run": self.id, "rates": rates}, worker)

    def cut_off(self, why: str, *, void: bool = False) -> None:
        """End the load before its time; the first reason stays.

        A run that is `void` lost a server of the harness's own: nothing since then, and no fault
        that was on, says anything about the client.
        """
        if void and self.void_from_s is None:
            self.void_from_s = max(0.0, self.now_s - DEATH_NOTICED_S)
        if not self.stopped_early:
            self.stopped_early = why
            self.journal.note("cut_off", why=why)
        if self._driving is not None and not self.finishing:
            self._driving.kill(block=False)

    # -- the end ----------------------------------------------------------------------------

    def finish(self, stopped_early: str = "") -> None:
        """Heal, stop the load, await the last reports, judge and write; once, whoever calls."""
        if self.finishing:
            self.finished.wait()
            return
        self.finishing = True
        if stopped_early and not self.stopped_early:
            self.stopped_early = stopped_early
        try:
            self._finish()
        except BaseException as error:
            self._close_journal("failed", why=f"{type(error).__name__}: {error}")
            raise
        finally:
            self.reader.close()
            self.folder.let_go()
            self.finished.set()

    def _finish(self) -> None:
        if self._driving is not None and self._driving is not gevent.getcurrent():
            self._driving.kill(block=True)  # its way out heals
        self.ended_s = max(0.0, self.now_s)
        if self.driver is not None:
            self.driver.heal_all("end of the run")
        alive = [member.id for member in self.fleet.alive]
        self.spawned_users = spawned_users(self.runner)
        for worker in alive:
            self._send(messages.FINISH, {"run": self.id}, worker)
        limit = 1.1 * self.settings.client_options.op_timeout + FINAL_GRACE_S + self.stop_timeout
        missing = self.collector.wait_final(alive, limit)
        for worker in missing:
            seen = self.collector.last_seen(worker)
            at_s = self.ended_s if seen is None or self.epoch is None else seen - self.epoch
            self.fleet.lost(worker, at_s)
        gevent.killall(self._greenlets, block=True)
        self.servers.connections_after = counted(look_at_the_end(self), CONNECTIONS)
        try:
            self.writer.close()
        except OSError as error:
            self.cut_off(f"timeline.jsonl cannot be written: {error}")
        if not self.failure:
            self.facts = run_facts(self)
            for gone in self.fleet.members.keys() - set(alive) | set(missing):
                kill_silenced(self.folder.path, gone)
            self.verdict = judge(self.facts)
            self.unwritten = write_outcome(
                self.folder.path, self.facts, self.verdict, report=self.settings.write_report
            )
            try:
                self.folder.point_latest_here()
            except OSError as error:
                logger.warning("memquake: %s/latest cannot be set: %s", self.folder.runs_dir, error)
            self._close_journal("ended", verdict=str(self.verdict.ruling))
        else:
            self._close_journal("failed", why=self.failure)

    def give_up(self) -> None:
        """Say that this process ends before the run was finished; fine when it was."""
        if not self.finished.is_set():
            why = self.failure or self.stopped_early or "the process ended before the run did"
            self._close_journal("failed", why=why)

    def _close_journal(self, how: str, **detail: Any) -> None:
        """Write how the run ended: what lacks such a word was broken off."""
        self.journal.note(how, **detail)
        self.journal.close()
        self.guard.journal(None)

    def _write_plan(self) -> None:
        settings, plan = self.settings, self.settings.plan
        workers = self.runner.worker_count if isinstance(self.runner, MasterRunner) else 0
        made_with = run_options(self.environment.parsed_options, settings, workers=workers)
        if plan is not None:
            text = plan_to_yaml(plan, made_with)
        else:
            text = endless_to_yaml(settings.scenario.name, settings.seed, made_with)
        self.folder.write_text("plan.yaml", text)

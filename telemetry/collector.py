"""The master's half of the reports: each is applied once, in order, and answered.

What was lost or came twice is telemetry.delivery's business.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent

from telemetry.channel import ACK, PING, PONG, REPORT, Clock, Runner, Sleep, listen, send
from telemetry.delivery import Inbox
from telemetry.timeline import Timeline

logger = logging.getLogger(__name__)

POLL_S = 0.02


@dataclass(slots=True)
class _Stream:
    """One incarnation of a worker."""

    inbox: Inbox = field(default_factory=Inbox)
    operations: int = 0
    newest: int = 0
    totals: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class WorkerRecord:
    """What the master knows of one load process in the current run."""

    id: str
    last_seen: float  # master's monotonic clock
    streams: dict[str, _Stream] = field(default_factory=dict)
    final: dict[str, Any] | None = None  # the extra data of its last report
    clock_offset_s: float = 0.0
    clock_error_s: float = 0.0

    @property
    def operations(self) -> int:
        """Operations its reports brought into the timeline."""
        return sum(stream.operations for stream in self.streams.values())

    @property
    def totals(self) -> dict[str, int]:
        """Its own running totals, by the newest report that arrived."""
        result: dict[str, int] = {}
        for stream in self.streams.values():
            for name, count in stream.totals.items():
                result[name] = result.get(name, 0) + count
        return result

    @property
    def unaccounted(self) -> int:
        """Operations in its own totals that no report brought."""
        return self.totals.get("operations", 0) - self.operations


class Collector:
    """The master's half: applies each report once, in order, and answers it.

    Make it when the process starts, so that clocks can be compared before the first run; each
    `begin` turns to a new run and lets go of the one before.
    """

    def __init__(
        self,
        runner: Runner,
        timeline: Timeline | None = None,
        *,
        run: str = "",
        clock: Clock = time.monotonic,
        sleep: Sleep = gevent.sleep,
    ) -> None:
        self.workers: dict[str, WorkerRecord] = {}
        self.identity = uuid.uuid4().hex  # of this master; one that is started anew is another
        self._runner = runner
        self._timeline = timeline
        self._run = run
        self._clock = clock
        self._sleep = sleep
        listen(runner, PING, self._on_ping)
        listen(runner, REPORT, self._on_report)

    def begin(self, run: str, timeline: Timeline) -> None:
        """Collect for this run from now on; reports of any other are answered as foreign."""
        self._run, self._timeline, self.workers = run, timeline, {}

    def last_seen(self, worker: str) -> float | None:
        """Give when the worker last reported, in the master's monotonic clock."""
        record = self.workers.get(worker)
        return None if record is None else record.last_seen

    def wait_final(self, worker_ids: Iterable[str], timeout: float) -> list[str]:
        """Wait until these workers' last reports are here. Give those still missing."""
        wanted = list(worker_ids)
        limit = self._clock() + timeout
        while missing := [worker for worker in wanted if not self.has_final(worker)]:
            if self._clock() >= limit:
                break
            self._sleep(POLL_S)
        return missing

    def has_final(self, worker: str) -> bool:
        """Return whether a worker's last report is here: then it may be gone and is not lost."""
        record = self.workers.get(worker)
        return record is not None and record.final is not None

    def _on_ping(self, sender: str, data: dict[str, Any]) -> None:
        answer = {"t0": data["t0"], "t1": self._clock(), "master": self.identity}
        send(self._runner, PONG, answer, to=sender)

    def _on_report(self, sender: str, data: dict[str, Any]) -> None:
        answer = {"run": data["run"], "from": data["from"], "n": 0, "foreign": False}
        if self._timeline is None or data["run"] != self._run:
            send(self._runner, ACK, {**answer, "foreign": True}, to=sender)
            return
        record = self.workers.get(sender)
        if record is None:
            record = self.workers[sender] = WorkerRecord(sender, self._clock())
        record.last_seen = self._clock()
        stream = record.streams.setdefault(data["from"], _Stream())
        if data["n"] > stream.newest:
            stream.newest, stream.totals = data["n"], dict(data["totals"])
            clock = data.get("clock", {})
            record.clock_offset_s = clock.get("offset_s", record.clock_offset_s)
            record.clock_error_s = clock.get("error_s", record.clock_error_s)
        for report in stream.inbox.accept(data["n"], data):
            self._apply(record, stream, report, self._timeline)
        send(self._runner, ACK, {**answer, "n": stream.inbox.applied}, to=sender)

    @staticmethod
    def _apply(
        record: WorkerRecord, stream: _Stream, report: Mapping[str, Any], timeline: Timeline
    ) -> None:
        try:
            timeline.merge(record.id, report["body"])
            stream.operations += report["body"]["operations"]
        except Exception:  # the reports after it still count; its operations stay unaccounted
            logger.exception("a report of %s could not be merged", record.id)
        if report["final"]:
            record.final = dict(report.get("extra", {}))

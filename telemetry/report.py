"""Reports from load processes to the master, over Locust's messages.

`Reporter` and `ClockSync` live in each load process, `Collector` on the master; in a local run all
three share one runner, whose messages loop back at once. Its rule: delivery is telemetry.delivery's
business, arithmetic of clocks is telemetry.clocks'; here is only who says what to whom. Messages:
`mq_report` {run, from, n, body, totals, final, extra, clock} and `mq_ack` {run, from, n, foreign},
`mq_ping` {t0} and `mq_pong` {t0, t1, master}.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import gevent
from locust.exception import RPCError, RPCSendError
from locust.runners import LocalRunner

from telemetry.clocks import ClockEstimate
from telemetry.delivery import Inbox, Outbox
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline

logger = logging.getLogger(__name__)

REPORT, ACK, PING, PONG = "mq_report", "mq_ack", "mq_ping", "mq_pong"

REPORT_EVERY_S = 1.0
FINAL_WAIT_S = 5.0  # then the master has gone, or is lost in work of its own
FINAL_RESEND_S = 1.0
POLL_S = 0.02

FIRST_PINGS = 5  # the first round trips of a process are its slowest
FIRST_PING_EVERY_S = 0.1
PING_EVERY_S = 5.0

Clock = Callable[[], float]
Sleep = Callable[[float], Any]


class Runner(Protocol):
    """The part of a Locust runner that is used here."""

    def register_message(
        self, msg_type: str, listener: Callable[..., None], concurrent: bool = False
    ) -> None:
        """Have `listener(environment=, msg=)` called for such messages."""

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        """Send to the master, or from it to one worker or all."""


Handler = Callable[[str, dict[str, Any]], None]

_handlers: WeakKeyDictionary[Any, dict[str, Handler]] = WeakKeyDictionary()


def _listen(runner: Runner, name: str, handler: Handler) -> None:
    """Have `handler(sender, data)` called for messages of that name, in place of an older one.

    A runner accepts one listener for a name, ever, while runs come and go in one process. So each
    name is registered once and passed on to whoever asked last.
    """
    current = _handlers.setdefault(runner, {})
    if name not in current:

        def dispatch(msg: Any, **_: Any) -> None:
            current[name](msg.node_id, msg.data)

        runner.register_message(name, dispatch)
    current[name] = handler


def _send(runner: Runner, name: str, data: dict[str, Any], to: str | None = None) -> bool:
    """Send, or say that it did not work: every message here is repeated when it matters."""
    try:
        runner.send_message(name, data, client_id=to)
    except (RPCError, RPCSendError) as error:  # the second is no subclass of the first
        logger.warning("could not send %s: %s", name, error)
        return False
    return True


class ClockSync:
    """The offset of this process's monotonic clock to the master's, kept fresh.

    `master ~= local + offset_s`, off by at most `error_s`. In a local run both are 0. When another
    master answers than the first one, `on_other_master()` is called, once, and the clock stays.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        clock: Clock = time.monotonic,
        spawn: Callable[..., Any] = gevent.spawn,
        sleep: Sleep = gevent.sleep,
        on_other_master: Callable[[], None] | None = None,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._sleep = sleep
        self._on_other_master = on_other_master
        self._master: str | None = None  # who answered first
        self._estimate = ClockEstimate()
        self._followed: tuple[Recorder, float] | None = None
        self._is_local = isinstance(runner, LocalRunner)
        if not self._is_local:
            _listen(runner, PONG, self._on_pong)
            spawn(self._run)

    @property
    def offset_s(self) -> float:
        """Seconds to add to the local clock to get the master's."""
        return 0.0 if self._is_local else self._estimate.offset_s

    @property
    def error_s(self) -> float:
        """Bound of the offset's error; infinite before the master has answered."""
        return 0.0 if self._is_local else self._estimate.error_s

    def follow(self, recorder: Recorder, epoch_master: float) -> None:
        """Keep the recorder's second 0 at that moment of the master's clock."""
        self._followed = (recorder, epoch_master)
        recorder.rebase(epoch_master - self.offset_s)

    def unfollow(self) -> None:
        """Leave the recorder alone again."""
        self._followed = None

    def ping(self) -> None:
        """Ask the master for its time."""
        now = self._clock()
        self._estimate.asked(now)
        _send(self._runner, PING, {"t0": now})

    def _run(self) -> None:
        while True:
            self.ping()
            first = self._estimate.answers < FIRST_PINGS
            self._sleep(FIRST_PING_EVERY_S if first else PING_EVERY_S)

    def _on_pong(self, sender: str, data: dict[str, Any]) -> None:
        master = data.get("master", "")
        if self._master is None:
            self._master = master
        if master != self._master:
            # Its clock is another one, and it knows nothing of this process.
            tell, self._on_other_master = self._on_other_master, None
            if tell is not None:
                tell()
            return
        if self._estimate.answered(data["t0"], data["t1"], self._clock()) and self._followed:
            recorder, epoch_master = self._followed
            recorder.rebase(epoch_master - self.offset_s)


class Reporter:
    """Sends what a recorder collected, once a second, until the master has it.

    `run` names the run. Each Reporter is an incarnation of its own: its numbers start anew, so a
    restarted process cannot be taken for the one before it.
    """

    def __init__(
        self,
        runner: Runner,
        recorder: Recorder,
        *,
        run: str,
        clock_sync: ClockSync | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = gevent.sleep,
    ) -> None:
        self.incarnation = uuid.uuid4().hex
        self.foreign = False  # the master knows nothing of this run any more
        self._runner = runner
        self._recorder = recorder
        self._run = run
        self._clock_sync = clock_sync
        self._clock = clock
        self._sleep = sleep
        self._outbox = Outbox(clock)
        self._final = False
        _listen(runner, ACK, self._on_ack)

    def run(self) -> None:
        """Report every second until `finish` is called. Meant for a greenlet of its own."""
        while not self._final and not self.foreign:
            try:
                self.report()
            except Exception:  # a report that breaks must not end all later ones
                logger.exception("a report to the master failed")
            self._sleep(REPORT_EVERY_S)

    def report(self) -> None:
        """Take what is new and send it, along with what went unanswered."""
        if not self._final:
            self._put(final=False, extra=None)
            self._send_due()

    def finish(self, extra: Mapping[str, Any]) -> bool:
        """Send the last report with `extra` (plain types) and await its answer, bounded.

        Give whether the master has everything.
        """
        if not self._final:
            self._final = True
            self._put(final=True, extra=dict(extra))
        limit = self._clock() + FINAL_WAIT_S
        resend_at = self._clock() + FINAL_RESEND_S
        self._send_due(resend=True)
        while not self._outbox.is_empty and not self.foreign:
            now = self._clock()
            if now >= limit:
                break
            if now >= resend_at:
                self._send_due(resend=True)
                resend_at = now + FINAL_RESEND_S
            self._sleep(POLL_S)
        return self._outbox.is_empty and not self.foreign

    def _put(self, *, final: bool, extra: dict[str, Any] | None) -> None:
        body = self._recorder.take()
        message: dict[str, Any] = {"body": body, "totals": self._recorder.totals(), "final": final}
        if extra is not None:
            message["extra"] = extra
        if self._clock_sync is not None:
            sync = self._clock_sync
            message["clock"] = {"offset_s": sync.offset_s, "error_s": sync.error_s}
        self._outbox.put(message)

    def _send_due(self, *, resend: bool = False) -> None:
        for number, report in self._outbox.due(resend=resend):
            message = {"run": self._run, "from": self.incarnation, "n": number, **report}
            if not _send(self._runner, REPORT, message):
                return

    def _on_ack(self, sender: str, data: dict[str, Any]) -> None:
        if data["run"] == self._run and data["from"] == self.incarnation:
            self.foreign = self.foreign or bool(data.get("foreign"))
            self._outbox.acknowledge(self._outbox.last if self.foreign else data["n"])


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
        _listen(runner, PING, self._on_ping)
        _listen(runner, REPORT, self._on_report)

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
        while missing := [worker for worker in wanted if not self._has_final(worker)]:
            if self._clock() >= limit:
                break
            self._sleep(POLL_S)
        return missing

    def _has_final(self, worker: str) -> bool:
        record = self.workers.get(worker)
        return record is not None and record.final is not None

    def _on_ping(self, sender: str, data: dict[str, Any]) -> None:
        answer = {"t0": data["t0"], "t1": self._clock(), "master": self.identity}
        _send(self._runner, PONG, answer, to=sender)

    def _on_report(self, sender: str, data: dict[str, Any]) -> None:
        answer = {"run": data["run"], "from": data["from"], "n": 0, "foreign": False}
        if self._timeline is None or data["run"] != self._run:
            _send(self._runner, ACK, {**answer, "foreign": True}, to=sender)
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
        _send(self._runner, ACK, {**answer, "n": stream.inbox.applied}, to=sender)

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

"""A load process's half of the reports: what a recorder collected, once a second, to the master.

What is sent again and when is telemetry.delivery's business; the master's half is
telemetry.collector's.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any

import gevent

from telemetry.channel import ACK, REPORT, Clock, Runner, Sleep, listen, send
from telemetry.clock_sync import ClockSync
from telemetry.delivery import Outbox
from telemetry.recorder import Recorder

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
FINAL_WAIT_S = 5.0  # then the master has gone, or is lost in work of its own
FINAL_RESEND_S = 1.0
POLL_S = 0.02


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
        listen(runner, ACK, self._on_ack)

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
            if not send(self._runner, REPORT, message):
                return

    def _on_ack(self, sender: str, data: dict[str, Any]) -> None:
        if data["run"] == self._run and data["from"] == self.incarnation:
            self.foreign = self.foreign or bool(data.get("foreign"))
            self._outbox.acknowledge(self._outbox.last if self.foreign else data["n"])

"""How a load process learns the master's time. The arithmetic is telemetry.clocks' business."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
from locust.runners import LocalRunner

from telemetry.channel import PING, PONG, Clock, Runner, Sleep, listen, send
from telemetry.clocks import ClockEstimate
from telemetry.recorder import Recorder

FIRST_PINGS = 5  # the first round trips of a process are its slowest
FIRST_PING_EVERY_S = 0.1
PING_EVERY_S = 5.0


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
            listen(runner, PONG, self._on_pong)
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
        send(self._runner, PING, {"t0": now})

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

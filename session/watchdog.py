"""A thread that sees the hub stand still, and notes what its thread was doing then.

A real thread, not a greenlet: it must run when the hub does not. It looks every few milliseconds
whether the hub's ticker has had its turn; when it has not, it samples the stack and the state of
the hub's thread until the ticker is back, and reads what the system counts of both threads. What
that means is for `session.stalls` to say. Nothing that gevent has patched may be used in here, no
lock is taken, and no frame is kept beyond its stall.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from gevent.monkey import get_original

from session.frames import Owners
from session.stalls import STALL_S, Blame, Finding, Sample, Stall, Times, judge_stall, settle

LOOK_EVERY_S = 0.02
LATE_S = 0.025  # the ticker's 10 ms, and what a busy hub is late with nothing wrong
SAMPLE_EVERY_S = 0.01
STOLEN_EVERY_LOOKS = 10  # a larger file, and it is only needed roughly
SAMPLES_KEPT = 200  # of one stall; two seconds tell the same as two minutes
FINDINGS_KEPT = 1_000
TOLD = 20  # the first ones tell what happened
END_WITHIN_S = 1.0

_sleep: Callable[[float], None] = get_original("time", "sleep")
_start_thread: Callable[..., int] = get_original("_thread", "start_new_thread")
_thread_id: Callable[[], int] = get_original("_thread", "get_ident")
_native_id: Callable[[], int] = get_original("_thread", "get_native_id")


class Watchdog:
    """Watches the hub of the thread that makes it. `ticked_at` gives the ticker's last turn.

    `parts` are what belongs to the client: its objects, and names of its modules.
    """

    def __init__(self, ticked_at: Callable[[], float], tick_s: float, parts: Iterable[Any]) -> None:
        self._ticked_at = ticked_at
        self._tick_s = tick_s
        self._owners = Owners(parts)
        self._hub_thread = _thread_id()
        self._hub_native = _native_id()
        self._findings: list[Finding] = []
        self._missed = 0  # findings beyond those kept
        self._is_wanted = False
        self._has_ended = True
        self._system: _System | None = None
        self._collected = 0.0
        self._collecting_since = 0.0

    def start(self) -> None:
        """Begin to watch; without the system's own counts (no /proc) nothing is watched."""
        try:
            self._system = _System(self._hub_native)
        except OSError:
            return
        gc.callbacks.append(self._on_collection)
        self._is_wanted, self._has_ended = True, False
        _start_thread(self._run, ())

    def stop(self) -> None:
        """End the thread and wait for it, a bounded time. Safe to call again."""
        self._is_wanted = False
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)
        limit = time.monotonic() + END_WITHIN_S
        while not self._has_ended and time.monotonic() < limit:
            gevent.sleep(LOOK_EVERY_S)

    def report(self, epoch: float) -> dict[str, Any]:
        """Give what was seen, in plain types; times count from `epoch`."""
        found, others = settle(self._findings)
        return {
            "watched": self._system is not None,
            "client": len(found),
            "others": others + self._missed,
            "kept": [finding.to_wire(epoch) for finding in found[:TOLD]],
        }

    def _on_collection(self, phase: str, _: Mapping[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._collecting_since = now
        elif self._collecting_since:
            self._collected += now - self._collecting_since

    # Everything below runs in the watchdog's own thread ---------------------------------------

    def _run(self) -> None:
        system = self._system
        assert system is not None
        try:
            system.begin()
            before = system.times(self._collected)
            while self._is_wanted:
                _sleep(LOOK_EVERY_S)
                if time.monotonic() - self._ticked_at() < LATE_S:
                    fresh = system.times(self._collected)
                    # Reading may itself have had to wait for the end of a stall.
                    if time.monotonic() - fresh.begun < LATE_S:
                        before = fresh
                else:
                    before = self._watch_stall(system, before)
        except (OSError, ValueError):
            self._system = None  # the system's counts are gone: what was not seen is not told
        finally:
            system.close()
            self._has_ended = True

    def _watch_stall(self, system: _System, before: Times) -> Times:
        """Sample until the ticker is back; give the totals from then on."""
        last = self._ticked_at()
        samples: list[Sample] = []
        while (ticked := self._ticked_at()) == last and self._is_wanted:
            if len(samples) < SAMPLES_KEPT:
                samples.append(self._sample(system))
            _sleep(SAMPLE_EVERY_S)
        after = system.times(self._collected, with_stolen=True)
        length_s = ticked - last - self._tick_s
        stall = Stall(at=last, length_s=length_s, before=before, after=after, samples=samples)
        finding = judge_stall(stall)
        if finding.blame is not Blame.OTHERS and len(self._findings) < FINDINGS_KEPT:
            self._findings.append(finding)
        elif length_s > STALL_S:
            self._missed += 1
        return after

    def _sample(self, system: _System) -> Sample:
        # The stack first: reading a file lets the other thread go on, and this one may just have
        # got its turn at the very end of what kept it out.
        at = time.monotonic()
        # Looking at a stack makes frame objects, which may start a collection, whose callbacks let
        # the hub's thread run in the midst of it: the stack that is looked at is then gone, and
        # this process with it (CPython 3.11, `_PyThread_CurrentFrames`). So: none meanwhile.
        collects = gc.isenabled()
        gc.disable()
        try:
            mine = self._owners.of_client(sys._current_frames().get(self._hub_thread))
        finally:
            if collects:
                gc.enable()
        return Sample(at, system.is_asleep(), mine)


class _System:
    """What Linux counts of the threads of this process, in files that are kept open."""

    def __init__(self, hub_native: int) -> None:
        task = f"/proc/self/task/{hub_native}"
        self._files: list[int] = []
        try:
            self._counts = self._open(f"{task}/schedstat")
            self._state = self._open(f"{task}/stat")
            self._machine = self._open("/proc/stat")
        except OSError:
            self.close()
            raise
        self._own = -1
        self._stolen = 0.0
        self._looks = 0
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")

    def _open(self, path: str) -> int:
        self._files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._files[-1]

    def begin(self) -> None:
        """Open what belongs to the thread that calls."""
        self._own = self._open(f"/proc/self/task/{_native_id()}/schedstat")

    def close(self) -> None:
        """Close every file."""
        while self._files:
            os.close(self._files.pop())

    def times(self, collected: float, *, with_stolen: bool = False) -> Times:
        """Read the totals of this moment."""
        begun = time.monotonic()
        ran_ns, queued_ns, _ = self._schedstat(self._counts)
        if with_stolen or self._looks % STOLEN_EVERY_LOOKS == 0:
            self._stolen = self._read_stolen()
        self._looks += 1
        return Times(
            begun=begun,
            at=time.monotonic(),
            ran=ran_ns / 1e9,
            queued=queued_ns / 1e9,
            process=time.process_time(),
            own_turns=self._schedstat(self._own)[2],
            stolen=self._stolen,
            collected=collected,
        )

    def is_asleep(self) -> bool:
        """Tell whether the hub's thread sleeps in a system call."""
        text = os.pread(self._state, 512, 0)
        return text[text.rindex(b")") + 2 : text.rindex(b")") + 3] == b"S"

    def _schedstat(self, file: int) -> tuple[int, int, int]:
        ran, queued, turns = os.pread(file, 128, 0).split()[:3]
        return int(ran), int(queued), int(turns)

    def _read_stolen(self) -> float:
        words = os.pread(self._machine, 256, 0).split(b"\n", 1)[0].split()
        return int(words[8]) * self._tick_s if len(words) > 8 else 0.0

"""The worker that looks after a client's idle connections: one thread, under gevent one greenlet.

It starts with the first connection and ends with `stop`. Between rounds it waits at a gate and
holds nothing but a weak reference, so a client that is dropped without being closed can be
collected, and the worker ends when it next looks. A round never runs in a caller's time.

What is done in a round is `tending`'s matter.
"""

from __future__ import annotations

import _thread
import logging
import os
import threading
import weakref
from collections.abc import Callable

from client.runtime import has_hub_io

logger = logging.getLogger(__name__)

END_WITHIN_S = (
    1.0  # above a connect's and most operations' timeout, which a round may be waiting in
)

Round = Callable[[float, Callable[[], bool]], None]  # (time of the last round, is it to stop)


class _Signals:
    """What the worker and its owner share; neither keeps the other alive through it."""

    __slots__ = ("ended", "gate", "is_stopped", "process")

    def __init__(self) -> None:
        self.is_stopped = False
        self.process = os.getpid()
        self.gate = threading.Lock()  # released to end the wait between rounds
        self.gate.acquire()
        self.ended = threading.Lock()  # released when the worker has ended
        self.ended.acquire()

    @property
    def is_lost(self) -> bool:
        """Whether this is a forked process and the worker a thread, which stayed in the parent."""
        return self.process != os.getpid() and not has_hub_io()


class Maintenance:
    """Call `round_of` of an object, a bound method kept weakly, every `every_s` seconds."""

    def __init__(self, round_of: Round, *, every_s: float, clock: Callable[[], float]) -> None:
        self._round = weakref.WeakMethod(round_of)
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._signals: _Signals | None = None
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Whether there is a worker."""
        signals = self._signals
        return signals is not None and not signals.is_lost

    def start(self) -> None:
        """Start the worker if there is none and it was not stopped; never waits, never raises."""
        if self._is_cared_for():
            return
        with self._lock:
            if self._is_cared_for():
                return
            signals = self._signals = _Signals()
        try:
            # Not threading.Thread: its start() waits for the thread, and this is a caller's time.
            _thread.start_new_thread(_work, (self._round, signals, self._every_s, self._clock))
        except RuntimeError:  # no more threads: without care for now, the next connect tries again
            logger.warning("no thread for the care of idle connections", exc_info=True)
            self._signals = None

    def stop(self) -> None:
        """End the worker for good and wait for it, though no longer than END_WITHIN_S."""
        with self._lock:
            self._is_over = True
            signals, self._signals = self._signals, None
        if signals is None or signals.is_lost:
            return
        signals.is_stopped = True
        signals.gate.release()
        signals.ended.acquire(timeout=END_WITHIN_S)

    def _is_cared_for(self) -> bool:
        signals = self._signals
        return self._is_over or (signals is not None and not signals.is_lost)


def _work(
    round_of: weakref.WeakMethod[Round],
    signals: _Signals,
    every_s: float,
    clock: Callable[[], float],
) -> None:
    since = clock()
    try:
        while not signals.gate.acquire(timeout=every_s):
            now = clock()
            if not _do(round_of, signals, since):
                return
            since = now
    finally:
        signals.ended.release()


def _do(round_of: weakref.WeakMethod[Round], signals: _Signals, since: float) -> bool:
    """Do one round; False when there is nobody left to do it for.

    A function of its own, so that no name keeps the client alive between rounds.
    """
    do_round = round_of()
    if do_round is None:
        return False
    try:
        do_round(since, lambda: signals.is_stopped)
    except Exception:  # a fault here must not end the care; calls do not depend on it
        logger.warning("a round of care for idle connections failed", exc_info=True)
    return True

"""What a pybreaker user sees of a breaker: states, listeners, storage, and moving it by hand.

pybreaker's `call` is refused: it holds a lock while the call runs. Its listeners and its storage
are foreign code, which may block, raise or call back, so they are told by `deliver` after the call
that moved the state, with no lock held, in the order of the moves. The storage is told, not asked:
it gives the state to start in, once. Its `opened_at` stays unset, because nothing here goes by the
wall clock, and `before_call`, `success` and `failure` of listeners are not called.

This module does not decide when a state changes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

import pybreaker

from client.breaker_settings import BreakerSettings

logger = logging.getLogger(__name__)

CLOSED: Final = pybreaker.STATE_CLOSED
OPEN: Final = pybreaker.STATE_OPEN
HALF_OPEN: Final = pybreaker.STATE_HALF_OPEN
STATES = (CLOSED, OPEN, HALF_OPEN)


class PybreakerFace(pybreaker.CircuitBreaker):
    """A pybreaker breaker without its way of calling."""

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        name: str,
        storage: pybreaker.CircuitBreakerStorage | None,
    ) -> None:
        self._mutex = threading.Lock()  # held for a few instructions, never over foreign code
        self._current = CLOSED if storage is None else storage.state
        if self._current not in STATES:
            raise ValueError(f"breaker storage holds the state {self._current!r}: not one of ours")
        super().__init__(
            fail_max=settings.consecutive_failures,
            reset_timeout=settings.open_s,
            success_threshold=settings.half_open_probes,
            state_storage=storage or pybreaker.CircuitMemoryStorage(self._current),
            name=name,
            throw_new_error_on_trip=False,
        )
        self._states = {state: self._create_new_state(state) for state in STATES}
        self._delivering = False
        # The rest of those to be told of events[0]; None: nobody has been told yet.
        self._untold: deque[Callable[[str, str], None]] | None = None
        self.events: deque[tuple[str, str]] = deque()  # moves nobody has been told of yet

    @property
    def current_state(self) -> str:
        """The state's name in pybreaker's spelling."""
        return self._current

    @property
    def status(self) -> str:
        """The state's name as in snapshots: closed, half_open or open."""
        return self._current.replace("-", "_")

    @property  # type: ignore[misc]  # no setter: pybreaker's would call listeners under its lock
    def state(self) -> Any:
        """The current state as pybreaker's object; reading it moves nothing."""
        return self._states[self._current]

    def deliver(self) -> None:
        """Tell storage and listeners of all moves, in order; one that raises is passed over.

        Whoever is interrupted here by a kill loses no event: the next `deliver` goes on with the
        listener after the one that was cut off.
        """
        while self._take_turn():
            try:
                old, new = self.events[0]
                while self._untold:
                    tell = self._untold.popleft()
                    try:
                        tell(old, new)
                    except Exception:  # a guest: it breaks no call and no breaker
                        logger.warning("a breaker's listener or storage raised", exc_info=True)
                with self._mutex:
                    self._untold = None
                    self.events.popleft()
            finally:
                self._delivering = False

    def _take_turn(self) -> bool:
        # One at a time, or the order would be lost; nobody waits, whoever is at it goes on until
        # the queue is empty. This holds for a listener that calls back, too.
        with self._mutex:
            if self._delivering or not self.events:
                return False
            self._delivering = True
            if self._untold is None:
                self._untold = deque([self._tell_storage])
                self._untold.extend(map(self._teller, self._listeners))
            return True

    def _tell_storage(self, _: str, new: str) -> None:
        self._state_storage.state = new

    def _teller(self, listener: Any) -> Callable[[str, str], None]:
        def tell(old: str, new: str) -> None:
            listener.state_change(self, self._states[old], self._states[new])

        return tell

    def open(self) -> bool:
        """Open by hand, and say whether that was a change; it half-opens by itself as usual."""
        return self._force(OPEN)

    def half_open(self) -> None:
        """Half-open by hand: the next calls are probes."""
        self._force(HALF_OPEN)

    def close(self) -> None:
        """Close by hand."""
        self._force(CLOSED)

    def call(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: pybreaker's way runs one call at a time."""
        raise TypeError("use acquire() and done(): call() would serialise all calls to the node")

    calling = call
    call_async = call
    __call__ = call

    def _force(self, new: str) -> bool:
        with self._mutex:
            is_change = self._current != new
            if is_change:
                self._move(new)
        self.deliver()
        return is_change

    def _move(self, new: str) -> None:
        """Under the mutex: enter a state and queue the event."""
        raise NotImplementedError

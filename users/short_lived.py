"""Keys that live for a second: each is stored, left alone, and read when it must be gone.

A TTL that is dropped on the way, or taken for milliseconds, shows in no error and in no wrong
value; only in a cache that gives what should have been forgotten. Keys are looked for one by one,
or several at once among others of a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from users.accounts import Accounts

TTL_S = 1
GONE_AFTER_S = 3.5  # memcached's clock ticks once a second, and a halted one is late
AGAIN_AFTER_S = 2.0  # a node that was just let go on has its clock right again by then


class Calling(Protocol):
    """A user, as one that stores and reads with measured calls."""

    def new_value(self, key: str) -> bytes:
        """Give the next version of a key's value."""

    def set(self, key: str, value: bytes, ttl_s: int) -> Any:
        """Store a value: True, or something else for a failure."""

    def get(self, key: str) -> Any:
        """Read a key: its value, None, or something else for a failure."""


class Due(NamedTuple):
    """A key that must be gone, and when to look for it."""

    key: str
    at: float
    is_again: bool = False


class ShortLived:
    """The short-lived keys of one user, which nobody else writes."""

    def __init__(
        self, user: Calling, accounts: Accounts, keys: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self._user = user
        self._accounts = accounts
        self._free = deque(keys)
        self._due: deque[Due] = deque()
        self._clock = clock

    def turn(self) -> bool:
        """Look for a key that must be gone, or store one that will be; False for neither."""
        if self._due and self._due[0].at <= self._clock():
            due = self._due.popleft()
            self.found(due, self._user.get(due.key))
        elif self._free:
            self._store(self._free.popleft())
        else:
            return False
        return True

    def stored(self, keys: Iterable[str]) -> None:
        """Note that these have just been stored with `TTL_S`, by whoever did it."""
        at = self._clock() + GONE_AFTER_S
        for key in keys:
            self._free.remove(key)
            self._due.append(Due(key, at))

    def take_due(self, most: int) -> list[Due]:
        """Take up to `most` keys that are due, to look for them otherwise; each must be `found`."""
        now = self._clock()
        taken: list[Due] = []
        while self._due and self._due[0].at <= now and len(taken) < most:
            taken.append(self._due.popleft())
        return taken

    def give_back(self, taken: Sequence[Due]) -> None:
        """Take keys back that could not be looked for."""
        self._due.extendleft(reversed(taken))

    def _store(self, key: str) -> None:
        if self._user.set(key, self._user.new_value(key), TTL_S) is True:
            self._due.append(Due(key, self._clock() + GONE_AFTER_S))
        else:
            self._free.append(key)

    def found(self, due: Due, value: Any) -> None:
        """Take what a read gave: a value, None, or something else for a failure."""
        if type(value) is bytes and not due.is_again:
            self._due.append(Due(due.key, self._clock() + AGAIN_AFTER_S, is_again=True))
            return
        if type(value) is bytes:
            self._accounts.outlived(due.key, f"read {GONE_AFTER_S + AGAIN_AFTER_S:g} s after it")
        elif value is None:
            self._accounts.expired += 1
        self._free.append(due.key)

"""One step of a counter that only one user moves, for every kind of user that has some.

A counter that its node lost begins again, which is no finding. Whether it was lost is the client's
word and the server's: a counter that cannot be added because it exists was never gone. A late
answer of long ago may make that so once; a client that says so again and again has lost the steps.
Where an earlier counter is met again it was not lost either: another node went on without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from users.accounts import Accounts
from users.bounds import Bounds
from users.steady import LONG_TTL_S


class Adding(Protocol):
    """A user, as one that stores a counter that is gone."""

    def add(self, key: str, value: bytes, ttl_s: int) -> Any:
        """Store a value where there is none: True, False, or something else for a failure."""


def step(user: Adding, accounts: Accounts, move: Callable[[str, int], Any], key: str) -> None:
    """Move a counter by one with a measured call; begin again where there is none."""
    bounds: Bounds = accounts.counters[key]
    bounds.begin()
    older = bounds.older
    result = move(key, 1)
    if type(result) is int:
        accounts.updates += 1
        accounts.steps_done += 1
        wrong = bounds.answered(result)
        if wrong:
            accounts.wrong_update(key, f"the answer was {wrong}")
        if bounds.older > older:
            accounts.older_counter(key, f"the answer was {result}")
    elif result is None:
        added = user.add(key, b"%d" % bounds.begin_again(), LONG_TTL_S)
        if added is True:
            bounds.restarted()
        elif added is False:
            bounds.denied()
            accounts.denied_step(key)

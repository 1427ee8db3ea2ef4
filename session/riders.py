"""The users that ride along: ledger users in every load process, whatever the run asks for.

They are users like the others to the client and in every record, and are not Locust's to spawn: no
choice of user classes, and no number of users, may leave a run without them. Their part of the load
is small and fixed here.
"""

from __future__ import annotations

from typing import Any

from gevent.pool import Group

from users.ledger import LedgerUser

NAMES = frozenset({LedgerUser.__name__})

RIDERS_A_PROCESS = 8
"""Enough that those who wait for a slow node leave the ledger's part of the load on the others as
it was: at 2,000 op/s and 200 ms on a third of the keys some seven of them wait. An even number, so
that divided users have as many on either side."""

SHARE = 0.05  # of the target rate, as its own part of it
LEAST = 40.0  # iterations a second: what a run of 8 s needs for its hundred updates ...
MOST_SHARE = 0.10  # ... but never more than this
EACH_MOST = 50.0  # iterations a second of one of them: as much as a user of a default run makes

END_S = 1.0  # a rider inside a client that swallows its end is left behind


def rate_of_riders(rate: float, riders: int) -> float:
    """Give how much of a target rate (iterations a second) `riders` ledger users get together."""
    return min(max(SHARE * rate, min(LEAST, MOST_SHARE * rate)), EACH_MOST * riders)


class Riders:
    """The ledger users of one process in one run."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._users: list[LedgerUser] = []
        self._group = Group()

    def start(self) -> None:
        """Let them join the run that the environment holds."""
        for _ in range(RIDERS_A_PROCESS):
            user = LedgerUser(self._environment)
            self._users.append(user)
            user.start(self._group)

    def stop(self) -> None:
        """End them, in a bounded time, and forget them."""
        for user in self._users:
            user.end()
        self._group.kill(timeout=END_S)
        self._users.clear()

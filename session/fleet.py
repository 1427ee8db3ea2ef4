"""The workers of one run as the master sees them: who is there, how many users, who was lost.

Pure bookkeeping without messages or clocks of its own, so that the split of the target rate can be
tested as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Member:
    """One worker in one run. Seconds count from the start of the run."""

    id: str
    users: dict[str, int] = field(default_factory=dict)  # by user class
    ready: int = 0
    problem: str = ""
    lost_at_s: float | None = None

    @property
    def user_count(self) -> int:
        """Users this worker runs."""
        return sum(self.users.values())


class Fleet:
    """All workers of one run. `paces` holds the classes that do not iterate like the others."""

    def __init__(self, paces: Mapping[str, float] | None = None) -> None:
        self.members: dict[str, Member] = {}
        self._paces = dict(paces or {})  # user class -> how often one iterates beside the others

    def heard(self, worker: str, users: Mapping[str, int], ready: int, problem: str) -> bool:
        """Take what a worker said of itself; whether the split of the rate has to change."""
        member = self.members.get(worker)
        if member is None:
            member = self.members[worker] = Member(worker)
        changed = member.users != dict(users)
        member.users = dict(users)
        member.ready = max(member.ready, ready)
        member.problem = problem or member.problem
        return changed

    def lost(self, worker: str, at_s: float) -> bool:
        """Note that a worker is gone; whether that is news."""
        member = self.members.get(worker)
        if member is None or member.lost_at_s is not None:
            return False
        member.lost_at_s = max(0.0, at_s)
        return True

    def returned(self, worker: str) -> bool:
        """Take a worker that was lost and speaks again back; whether it had been lost."""
        member = self.members.get(worker)
        if member is None or member.lost_at_s is None:
            return False
        member.lost_at_s = None
        return True

    @property
    def alive(self) -> list[Member]:
        """Members that were not lost."""
        return [member for member in self.members.values() if member.lost_at_s is None]

    @property
    def user_count(self) -> int:
        """Users of all live members."""
        return sum(member.user_count for member in self.alive)

    def all_ready(self, users: int) -> bool:
        """Whether at least `users` users are there and every one of them has prefilled."""
        return self.user_count >= users and all(m.ready >= m.user_count for m in self.alive)

    def problems(self) -> list[str]:
        """Give what keeps members from starting, as they said it."""
        return [member.problem for member in self.members.values() if member.problem]

    def split(self, rate: float) -> dict[str, dict[str, float]]:
        """Share `rate` (iterations a second): worker -> user class -> rate.

        Every user gets the same part, times the pace of its class.
        """
        parts = {
            member.id: {name: self._pace(name) * count for name, count in member.users.items()}
            for member in self.alive
        }
        total = sum(part for of_member in parts.values() for part in of_member.values())
        if total <= 0 or rate <= 0:
            return {worker: {} for worker in parts}
        return {
            worker: {name: rate * part / total for name, part in of_member.items()}
            for worker, of_member in parts.items()
        }

    def _pace(self, name: str) -> float:
        return self._paces.get(name, 1.0)

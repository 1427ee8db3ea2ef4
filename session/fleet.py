"""The workers of one run as the master sees them: who is there, how many users, who was lost.

Pure bookkeeping without messages or clocks of its own, so that the split of the target rate can be
tested as a table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from session.riders import rate_of_riders


@dataclass(slots=True)
class Member:
    """One worker in one run. Seconds count from the start of the run."""

    id: str
    users: dict[str, int] = field(default_factory=dict)  # by user class
    ready: int = 0
    stored: int = 0  # keys that its users have stored before the run
    problem: str = ""
    joined_at_s: float = 0.0  # 0 for those the run began with
    lost_at_s: float | None = None
    away: list[tuple[float, float]] = field(default_factory=list)  # lost, and back again
    client: Mapping[str, Any] = field(default_factory=dict)  # who its client under test is
    versions: Mapping[str, str] = field(default_factory=dict)  # of what runs there

    @property
    def user_count(self) -> int:
        """Users this worker runs."""
        return sum(self.users.values())


class Fleet:
    """All workers of one run. `paces` holds the classes that do not iterate like the others.

    Users of the classes `riders` ride along: they count for nothing but their own, fixed part of
    the rate.
    """

    def __init__(
        self, paces: Mapping[str, float] | None = None, riders: Collection[str] = ()
    ) -> None:
        self.members: dict[str, Member] = {}
        self._riders = frozenset(riders)
        self._paces = dict(paces or {})  # user class -> how often one iterates beside the others

    def heard(
        self, worker: str, users: Mapping[str, int], ready: int, problem: str, stored: int = 0
    ) -> bool:
        """Take what a worker said of itself; whether the split of the rate has to change."""
        member = self.members.get(worker)
        if member is None:
            member = self.members[worker] = Member(worker)
        changed = member.users != dict(users)
        member.users = dict(users)
        member.ready = max(member.ready, ready)
        member.stored = max(member.stored, stored)
        member.problem = problem or member.problem
        return changed

    def lost(self, worker: str, at_s: float) -> bool:
        """Note that a worker is gone; whether that is news."""
        member = self.members.get(worker)
        if member is None or member.lost_at_s is not None:
            return False
        member.lost_at_s = max(0.0, at_s)
        return True

    def returned(self, worker: str, at_s: float) -> bool:
        """Take a worker that was lost and speaks again back; whether it had been lost."""
        member = self.members.get(worker)
        if member is None or member.lost_at_s is None:
            return False
        member.away.append((member.lost_at_s, max(member.lost_at_s, at_s)))
        member.lost_at_s = None
        return True

    def joined(self, worker: str, at_s: float) -> None:
        """Note that a worker came when the run was under way."""
        self.members[worker].joined_at_s = max(0.0, at_s)

    @property
    def alive(self) -> list[Member]:
        """Members that were not lost."""
        return [member for member in self.members.values() if member.lost_at_s is None]

    @property
    def user_count(self) -> int:
        """Users of all live members, those that ride along not counted."""
        return sum(member.user_count for member in self.alive) - self._rider_count

    @property
    def _rider_count(self) -> int:
        return sum(m.users.get(name, 0) for m in self.alive for name in self._riders)

    def all_ready(self, users: int) -> bool:
        """Whether at least `users` users are there and every one of them has prefilled."""
        return self.user_count >= users and all(m.ready >= m.user_count for m in self.alive)

    @property
    def progress(self) -> tuple[int, ...]:
        """What changes as long as users are being started or prepared."""
        members = self.members.values()
        return tuple(
            sum(part)
            for part in zip(*((m.user_count, m.ready, m.stored) for m in members), strict=True)
        )

    def lacking(self, users: int) -> str:
        """Say what all of them wait for where not every user is ready."""
        unready = sum(max(0, member.user_count - member.ready) for member in self.alive)
        ready = max(0, self.user_count - unready)
        if ready < users:
            return f"only {ready} of {users} users were ready"
        return f"{ready} users were ready, but Locust did not say that all had been started"

    def problems(self) -> list[str]:
        """Give what keeps members from starting, as they said it."""
        return [member.problem for member in self.members.values() if member.problem]

    def split(self, rate: float) -> dict[str, dict[str, float]]:
        """Share `rate` (iterations a second): worker -> user class -> rate.

        Every user gets the same part, times the pace of its class, of what those that ride along
        leave.
        """
        riders = self._rider_count
        rider_rate = rate_of_riders(rate, riders) if riders else 0.0
        total = sum(self._pace(name) * count for m in self.alive for name, count in m.users.items())
        if rate <= 0 or (total <= 0 and not riders):
            return {member.id: {} for member in self.alive}
        per_part = (rate - rider_rate) / total if total else 0.0
        per_rider = rider_rate / riders if riders else 0.0
        return {
            member.id: {
                name: per_rider * count
                if name in self._riders
                else per_part * self._pace(name) * count
                for name, count in member.users.items()
            }
            for member in self.alive
        }

    def _pace(self, name: str) -> float:
        return 0.0 if name in self._riders else self._paces.get(name, 1.0)

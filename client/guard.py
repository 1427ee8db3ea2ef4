"""How many of the nodes may be out at once: beyond that, breakers stay closed.

When many nodes fail at the same time the trouble is more likely on this side (its network, its own
load), and refusing all calls would only add to it. So, as in mcrouter, once more than a share of
the nodes is out, no further breaker opens: its calls go on being tried.

It knows members and counts, nothing of sockets, clocks or states. Its lock is the innermost one: it
is held for a few instructions, and no other code runs under it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable


class ShareGuard:
    """The nodes of one client that are out, of all that take part.

    While more than `share` of the members are out `take_out` refuses, so at most
    floor(share * members) + 1 are ever out by their own doing. Every method is O(1).
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.refused = 0  # openings that did not happen
        self._mutex = threading.Lock()
        self._members: set[Hashable] = set()
        self._out: set[Hashable] = set()

    @property
    def members(self) -> int:
        """The number of nodes that take part."""
        return len(self._members)

    @property
    def out(self) -> int:
        """The number of members whose breaker is not closed."""
        return len(self._out)

    def join(self, member: Hashable) -> None:
        """Count a node in; it is not out."""
        with self._mutex:
            self._members.add(member)

    def leave(self, member: Hashable) -> None:
        """Count a node out of all sums, in whatever state; for a node that was removed."""
        with self._mutex:
            self._members.discard(member)
            self._out.discard(member)

    def take_out(self, member: Hashable, *, by_hand: bool = False) -> bool:
        """Say whether a member may open, and count it as out if so. `by_hand` is never refused.

        One that is out already may open again; one that does not take part is not counted.
        """
        with self._mutex:
            if member not in self._members or member in self._out:
                return True
            if not by_hand and len(self._out) > self.share * len(self._members):
                self.refused += 1
                return False
            self._out.add(member)
            return True

    def put_back(self, member: Hashable) -> None:
        """Count a member as in again: its breaker closed."""
        with self._mutex:
            self._out.discard(member)

    def __repr__(self) -> str:
        return (
            f"<ShareGuard {self.out}/{self.members} out, "
            f"refuses above {self.share:.0%}, refused {self.refused}>"
        )

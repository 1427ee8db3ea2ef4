"""Where keys were on other nodes than usual, as the servers showed it, and what that excuses.

A client may move keys when a node fails. Then another node rightly misses them, and a node that was
left out still holds what is out of date. It is seen by acknowledged writes that were found on
another node than their own, from the first fault on; no client is believed to move keys by its
name. One that says so (`moves_keys`) is believed where no server could be asked.

Rule: what happens before the first fault is never excused, and neither is what no server gave: a
miss that none of them counted came from the client.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import cached_property

from client.operation import Outcome
from verdict.model import LedgerFacts
from verdict.node_events import incidents
from verdict.phases import FaultSpan
from verdict.view import View

Triple = tuple[str, int, int]  # node, second, count

LEAD_S = 1
"""Seconds are whole ones: what a fault did in its first moment may lie in the second before."""

LINGER_S = 5
"""A write is seen to move now and then; keys stay where they are for a while after the last one."""

READS = ("get", "gets", "get_many")
ANSWERED = (Outcome.HIT, Outcome.MISS)
COUNTER = "get_misses"

USUAL_S = 0.5
UNCOUNTED = 20, 0.05
"""So many misses that no server counted, and such a share of all, are no matter of edges."""

FIRST_S = 5
"""A client that takes failures for misses does so mostly until it leaves the node out."""


class MovedKeys:
    """What the servers showed of keys that moved in one run."""

    def __init__(self, view: View, ledgers: Sequence[LedgerFacts]) -> None:
        self._view = view
        self._broken = _broken_times(view)
        self.since_s = min((begin for begin, _ in self._broken), default=math.inf)
        self.is_declared = any(ledger.declares_moves for ledger in ledgers)
        self._seen: dict[str, list[int]] = {}
        for node, second, _ in (item for ledger in ledgers for item in ledger.moved):
            if second >= self.since_s:
                self._seen.setdefault(node, []).append(second)

    @property
    def is_seen(self) -> bool:
        """Whether keys of any node were seen elsewhere."""
        return bool(self._seen)

    def seen(self, node: str) -> bool:
        """Tell whether keys of a node were seen elsewhere."""
        return node in self._seen

    def leaves_copies(self, node: str, second: int) -> bool:
        """Tell whether other nodes may still hold what is out of date for keys of a node."""
        return second >= self.since_s and (self.seen(node) or self.is_declared)

    def covers(self, node: str, second: int) -> bool:
        """Tell whether keys of a node were elsewhere at about that second."""
        return any(begin <= second <= end for begin, end in self._stretches(node))

    def split(self, items: Iterable[Triple]) -> tuple[list[Triple], list[Triple]]:
        """Return the items that moved keys do not explain, and those that they do."""
        kept: tuple[list[Triple], list[Triple]] = [], []
        for item in items:
            kept[self.covers(item[0], item[1])].append(item)
        return kept

    def _stretches(self, node: str) -> list[tuple[float, float]]:
        seen = self._seen.get(node, ())
        found = [(self._begin_of(second), float(second + LINGER_S)) for second in seen]
        return found + (self._broken if self.is_declared else [])

    def _begin_of(self, second: int) -> float:
        """Return from when on a write may have been elsewhere: since what was broken then began.

        Where nothing is broken any more, since what was broken last.
        """
        begun = [(begin, end) for begin, end in self._broken if begin <= second]
        on = [begin for begin, end in begun if second <= end]
        return min(on, default=max(begin for begin, _ in begun))

    # Misses that no server gave ------------------------------------------------------------------

    @cached_property
    def counts_misses(self) -> bool:
        """Whether every server says how many misses it gave."""
        said = {
            node: COUNTER in stats
            for window in self._view.facts.windows
            for node, stats in window.server.items()
        }
        return all(said.get(node, False) for node in self._nodes)

    @cached_property
    def _nodes(self) -> set[str]:
        """Return the nodes that keys live on, and those beside them that were looked at."""
        looked_at = {node for window in self._view.facts.windows for node in window.server}
        return looked_at | set(self._view.facts.nodes)

    def uncounted(self, span: FaultSpan) -> int:
        """Return how many misses of a fault's time no server gave, 0 for as many as may be chance.

        A bound from below, without the harness's own: servers count what others ask as well. A look
        comes a moment late, so misses of before the fault are missing in its first: half a second
        of the usual ones is chance. One that ends in a disturbed second says nothing.
        """
        if not self.counts_misses:
            return 0
        begin, end = _second_of(span.injected), self._end_of(span)
        chance = USUAL_S * self._usual(begin)
        found = [
            self._uncounted(begin, each, chance)
            for each in (end, min(end, begin + FIRST_S))
            if each - 1 not in self._view.disturbed
        ]
        return max(found, default=0)

    def _uncounted(self, begin: int, end: int, chance: float) -> int:
        given = self._given(begin, end)
        excess = given - self._counted(begin, end)
        least, share = UNCOUNTED
        return excess if excess >= max(least, share * given, chance) else 0

    def _usual(self, begin: int) -> float:
        """Return the misses that servers gave a second before a fault."""
        before = max(0, begin - FIRST_S)
        return self._counted(before, begin) / (begin - before) if begin > before else 0.0

    def rise(self, span: FaultSpan) -> float:
        """Return how many more misses the servers gave in a fault's time than before it."""
        begin, end = _second_of(span.injected), self._end_of(span)
        return self._counted(begin, end, allow=False) - self._usual(begin) * (end - begin)

    def _end_of(self, span: FaultSpan) -> int:
        sampled = [w.second for w in self._view.facts.windows if w.server]
        return math.ceil(min(_blamed_until(self._view, span), max(sampled, default=0) - 1))

    def _given(self, begin: int, end: int) -> int:
        """Count the misses that clients gave in the seconds from `begin` to before `end`."""
        return sum(
            cell.keys - cell.hits
            for second in range(begin, end)
            if (window := self._view.windows.get(second)) is not None
            for (op, _, outcome), cell in window.cells.items()
            if op in READS and outcome in ANSWERED
        )

    def _counted(self, begin: int, end: int, *, allow: bool = True) -> int:
        """Count the misses that servers gave between two looks.

        One that began again, or could not be asked, may have given more: what it gives in its
        worst second is allowed for twice.
        """
        total = 0
        for node in self._nodes:
            looks = self._looks(node, begin, end)
            steps = [max(0, b - a) if b >= a else b for a, b in itertools.pairwise(looks)]
            gaps = sum(b < a for a, b in itertools.pairwise(looks)) + (len(looks) < end - begin + 1)
            total += sum(steps) + (2 * gaps * max(steps, default=0) if allow else 0)
        own = (w.own_misses for s in range(begin, end) if (w := self._view.windows.get(s)))
        return total - sum(sum(misses.values()) for misses in own)

    def _looks(self, node: str, begin: int, end: int) -> list[int]:
        """Return what a node's counter said from the last look before `begin` on."""
        earlier = range(begin, max(-1, begin - FIRST_S), -1)
        first = next((s for s in earlier if self._look(node, s) is not None), begin)
        found = (self._look(node, second) for second in range(first, end + 1))
        return [count for count in found if count is not None]

    def _look(self, node: str, second: int) -> int | None:
        window = self._view.windows.get(second)
        return None if window is None else window.server.get(node, {}).get(COUNTER)


def _broken_times(view: View) -> list[tuple[float, float]]:
    """Return from when to when something was broken, by plan or not, recovery included."""
    found: list[tuple[float, float]] = [
        (_second_of(span.injected), _blamed_until(view, span)) for span in view.phases.spans
    ]
    found += [
        (_second_of(each.begin), each.end + view.recovery_s) for each in incidents(view.facts)
    ]
    if view.facts.is_void:  # a server of ours died: nothing more is known of what came then
        found.append((_second_of(view.facts.duration_s), math.inf))
    return found


def _blamed_until(view: View, span: FaultSpan) -> float:
    return view.phases.blamed_until(span, view.recovery_s)


def _second_of(injected: float) -> int:
    return math.floor(injected) - LEAD_S

"""The windows of a run in bounded memory: open, closed and packed, or folded into coarser ones.

The newest seconds are open and plain. Older ones are closed and packed (a tenth of the memory).
In a long run, closed seconds far from any fault are folded into windows of several seconds, which
keep all sums. Four kinds of seconds are never folded: the newest; those that are protected (near a
fault, or at the start); those in which something happened that a check may ask about, with those
beside them; and samples, one second in so many, whatever happened in it. Medians over seconds are
taken from samples (`Window.is_sample`), so they are fair. As folds become many, samples become
rarer and the folds between them are merged. Each window begins where the one before it ends. It
judges nothing.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import marshal
import operator
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from telemetry.histogram import Histogram
from telemetry.remarkable import is_remarkable
from telemetry.window import Cell, MachineLoad, NodeState, Pacing, Slice, Window

OPEN_S = 12
"""Newest seconds kept plain: reports still add to them, and every screen reads them. One takes
100 KB, and twice as much while the machine is busy."""

RECENT_S = 200
"""Newest seconds kept one by one: more than a page's charts show, and all there are of them well
before the fifth minute."""

START_S = 60
"""First seconds kept one by one: a run warms up in them."""

FOLD_S = 10
"""One second in so many is a sample; then one in 20, in 40, as the run becomes longer."""

MOST_FOLDS, FEWEST_FOLDS = 30, 10
"""Folds kept; with more, every other sample is given up. With many nodes folds are large: then as
many as MOST_BYTES hold, but no fewer than ten."""

MOST_PROTECTED = 7_200
"""Seconds near faults kept one by one; packed, one takes 4 KB at 2,000 op/s."""

MOST_BYTES = 300_000
"""Of folds, and as much again of the seconds kept because something happened in or beside them:
the oldest lose that."""

BESIDE_S = 3
"""A call that began so long before, or a breaker that opened then, is still part of it."""

PACKING = 1, zlib.DEFLATED, 12, 5
"""Zlib's fastest, and as small as with 32 KB to look back in, but with 30 KB of memory and not 270:
what is allocated once a second leaves holes between what stays."""


@dataclass(slots=True)
class _Closed:
    """A closed window, packed or (while something is added to it) plain."""

    second: int
    end: int
    held: bytes | Window
    is_remarkable: bool = False
    is_fold: bool = False
    is_sample: bool = True
    is_kept: bool = True  # for what happened in it or beside it
    is_protected: bool = False

    @property
    def may_merge(self) -> bool:
        """Whether nothing asks for it to stay as it is."""
        return not (self.is_sample or self.is_kept or self.is_protected)

    def plain(self) -> Window:
        """Return the window; what is changed in it stays only where it was reopened."""
        held = self.held
        window = held if isinstance(held, Window) else _unpacked(held)
        window.is_sample = self.is_sample
        return window

    def reopen(self) -> Window:
        """Return the window to add to; `pack` afterwards."""
        self.held = self.plain()
        return self.held

    def pack(self) -> None:
        """Pack the window again."""
        if isinstance(self.held, Window):
            self.held = _packed(self.held)


_Squeezed = Histogram | tuple[int, bytes, bytes]  # or: first bucket, steps between them, counts


def _packed(window: Window) -> bytes:
    # As plain values, not pickled: a pickle looks classes up by module, and the user's program may
    # have a module of that name.
    plain = (
        [getattr(window, name) for name in _AS_IS],
        [
            (
                *map(str, key),
                *(cell.count, cell.keys, cell.hits),
                *(_squeezed(cell.service), _squeezed(cell.response)),
            )
            for key, cell in window.cells.items()
        ],
        [(tenth, node, _values(part)) for (tenth, node), part in window.slices.items()],
        [(node, _values(state)) for node, state in window.nodes.items()],
        _values(window.pacing),
        None if window.machine is None else _values(window.machine),
    )
    packing = zlib.compressobj(*PACKING)
    return packing.compress(marshal.dumps(plain)) + packing.flush()


def _unpacked(held: bytes) -> Window:
    as_is, cells, slices, nodes, pacing, machine = marshal.loads(zlib.decompress(held))
    window = Window(**dict(zip(_AS_IS, as_is, strict=True)))
    for op, node, outcome, count, keys, hits, service, response in cells:
        cell = Cell(count, keys, hits, _released(service), _released(response))
        window.cells[op, node, outcome] = cell
    window.slices = {(tenth, node): Slice(*values) for tenth, node, values in slices}
    window.nodes = {node: NodeState(*values) for node, values in nodes}
    window.pacing = Pacing(*pacing)
    window.machine = None if machine is None else MachineLoad(*machine)
    return window


def _values(part: Slice | NodeState | Pacing | MachineLoad) -> tuple[Any, ...]:
    values: tuple[Any, ...] = _FIELDS_OF[type(part)](part)
    return values


_FIELDS_OF = {
    kind: operator.attrgetter(*(field.name for field in dataclasses.fields(kind)))
    for kind in (Slice, NodeState, Pacing, MachineLoad)
}


_AS_IS = tuple(
    field.name
    for field in dataclasses.fields(Window)
    if field.name not in {"cells", "slices", "nodes", "pacing", "machine"}
)


def _squeezed(histogram: Histogram) -> _Squeezed:
    """Return a histogram in two bytes a bucket, where its numbers are as small as usual."""
    if not histogram:
        return histogram
    buckets = sorted(histogram)
    try:
        steps = bytes(map(operator.sub, buckets[1:], buckets))
        return buckets[0], steps, bytes(map(histogram.__getitem__, buckets))
    except ValueError:  # a number over 255
        return histogram


def _released(squeezed: _Squeezed) -> Histogram:
    if isinstance(squeezed, dict):
        return squeezed
    first, steps, counts = squeezed
    return dict(zip(itertools.accumulate(steps, initial=first), counts, strict=True))


class WindowStore:
    """All windows of one run, by second."""

    def __init__(self) -> None:
        self._open: dict[int, Window] = {}
        self._closed: list[_Closed] = []
        self._next = 0  # first second that is not closed
        self._settled = 0  # index of the first closed window that may still be folded
        self._reopened: list[_Closed] = []
        self._last: Window | None = None  # the newest closed one
        self._protected: list[tuple[float, float]] = [(0.0, START_S)]
        self._near = 0  # protected seconds among the settled ones
        self._row = 0  # last settled seconds that wait for being folded together
        self._span = FOLD_S  # one second in so many is a sample

    def protect(self, begin: float, end: float) -> None:
        """Keep the seconds between two moments one by one."""
        self._protected.append((begin, end))

    # Adding ------------------------------------------------------------------------------------

    def at(self, second: int) -> Window:
        """Return the window that holds the second, to add to, making it."""
        if second >= self._next:
            window = self._open.get(second)
            if window is None:
                window = self._open[second] = Window(second)
            return window
        closed = self._closed[self._index(second)]
        self._reopened.append(closed)
        return closed.reopen()

    def settle(self, latest: int) -> None:
        """Close, pack and fold what is old enough, given the newest second.

        To be called about once a second: what takes long is done in small parts.
        """
        reopened, self._reopened = self._reopened, []
        for closed in reopened:
            if not closed.is_fold:
                closed.is_remarkable |= is_remarkable(closed.plain(), None)
            closed.pack()
        while self._next <= latest - OPEN_S:
            self._close(self._next)
            self._next += 1
        while self._settle_next(latest - RECENT_S):
            pass
        self._tidy()

    def _close(self, second: int) -> None:
        window = self._open.pop(second, None) or Window(second)
        remarkable = is_remarkable(window, self._last)
        self._last = window
        self._closed.append(_Closed(second, second + 1, _packed(window), remarkable))

    # Folding -----------------------------------------------------------------------------------

    def _settle_next(self, until: int) -> bool:
        """Decide about the next second; tell whether it was old enough."""
        index = self._settled
        if index + BESIDE_S >= len(self._closed) or self._closed[index].end > until:
            return False
        closed = self._closed[index]
        beside = self._closed[max(0, index - BESIDE_S) : index + BESIDE_S + 1]
        closed.is_protected = self._is_protected(closed)
        closed.is_kept = any(each.is_remarkable for each in beside)
        closed.is_sample = closed.is_protected or self._is_sample(closed)
        self._settled, self._near = index + 1, self._near + closed.is_protected
        if closed.may_merge:
            self._row += 1
            if self._row < FOLD_S:
                return True
        end = self._settled if closed.may_merge else index
        if self._row > 1:
            self._merge(end - self._row, self._row)
        self._row = 0
        return True

    def _is_sample(self, closed: _Closed) -> bool:
        return closed.second % self._span == self._span - 1

    def _is_protected(self, closed: _Closed) -> bool:
        return self._near < MOST_PROTECTED and any(
            begin < closed.end and closed.second < end for begin, end in self._protected
        )

    def _merge(self, index: int, length: int) -> None:
        row = self._closed[index : index + length]
        self._closed[index : index + length] = [_merged(row)]
        self._settled -= length - 1

    def _tidy(self) -> None:
        """Make room, a little at each call: merge what may be, or give up what is too much."""
        settled = self._closed[: self._settled - self._row]
        for index, (one, other) in enumerate(itertools.pairwise(settled)):
            if one.may_merge and other.may_merge:
                row = itertools.takewhile(lambda each: each.may_merge, settled[index:])
                self._merge(index, len(list(itertools.islice(row, FOLD_S))))
                return
        free = [closed for closed in settled if not closed.is_protected]
        self._make_room(
            folds=[closed for closed in free if closed.is_fold],
            samples=[closed for closed in free if closed.is_sample],
            kept=[closed for closed in free if closed.is_kept],
        )

    def _make_room(
        self, *, folds: list[_Closed], samples: list[_Closed], kept: list[_Closed]
    ) -> None:
        """Let seconds be merged where folds or kept seconds are too many.

        Folds lie between samples, or between seconds that are kept: the rarer are not the reason.
        """
        limit = MOST_FOLDS if _bytes(folds) <= MOST_BYTES else FEWEST_FOLDS
        if len(folds) > limit and len(samples) > len(folds) // 2:
            self._span *= 2
            for closed in samples:
                closed.is_sample = self._is_sample(closed)
        elif len(folds) > limit or _bytes(kept) > MOST_BYTES:
            for closed in kept[:FOLD_S]:
                closed.is_kept = closed.is_remarkable = False

    # Reading -----------------------------------------------------------------------------------

    def window(self, second: int) -> Window:
        """Return the window that holds the second, an empty one when nothing is known of it."""
        if 0 <= second < self._next:
            return self._closed[self._index(second)].plain()
        return self._open.get(second) or Window(second)

    def windows(self, latest: int) -> Iterator[Window]:
        """Yield all windows up to the newest second, in order and without gaps."""
        for closed in self._closed:
            yield closed.plain()
        for second in range(self._next, latest + 1):
            yield self.window(second)

    def is_folded(self, second: int) -> bool:
        """Return whether the second is known only as part of a coarser window."""
        return second < self._next and self._closed[self._index(second)].is_fold

    def bytes_held(self) -> int:
        """Return what the packed windows take, in bytes."""
        return _bytes(self._closed)

    def _index(self, second: int) -> int:
        return bisect.bisect_right(self._closed, second, key=lambda closed: closed.second) - 1


def _bytes(windows: list[_Closed]) -> int:
    return sum(len(each.held) for each in windows if isinstance(each.held, bytes))


def _merged(row: list[_Closed]) -> _Closed:
    """Return one window in place of several in a row."""
    first, *others = row
    window = first.plain()
    for other in others:
        window.absorb(other.plain())
    held = _packed(window)
    return _Closed(first.second, row[-1].end, held, is_fold=True, is_sample=False, is_kept=False)

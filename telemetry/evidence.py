"""A bounded collection of things that went wrong.

Its rule: count everything, keep the first few of each kind, and beyond them a few of each stretch
of the run, so that what happened late is not crowded out by what happened early. A broken client
can produce a finding per operation, and neither the memory of a load process nor a message to the
master may grow with it. Details become plain, short values, because they go over the wire and into
JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telemetry.samples import Samples

KEPT_PER_KIND = 20
"""The first ones tell what happened; the thousandth tells nothing new."""

MOST_LATER = 300
"""Details kept beyond the first, of all kinds together."""

ERRORS_PER_TEXT = 1
"""Calls kept of each class and text of an error; samples show more of them."""

MAX_KINDS = 50
"""Kinds are names from the code; one built from data would otherwise grow without end."""

MOST_ERROR_KINDS = 20
"""Classes made while a client runs would otherwise make every table grow without end."""

OTHER_KINDS = "other"
MAX_TEXT = 500
MAX_ITEMS = 20


def plain(value: Any, depth: int = 3, items: int = MAX_ITEMS) -> Any:
    """Give `value` as short plain types: bytes and objects as their repr, long ones cut off.

    Of anything that holds others, `items` are kept, down to `depth` levels.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)[:MAX_TEXT]
    if depth > 0 and isinstance(value, Mapping):
        kept = list(value.items())[:items]
        return {str(key)[:MAX_TEXT]: plain(item, depth - 1, items) for key, item in kept}
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth - 1, items) for item in list(value)[:items]]
    return repr(value)[:MAX_TEXT]


class ErrorKinds:
    """Names of error classes: the first MOST_ERROR_KINDS are kept, all others are one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def filed_under(self, kind: str) -> str:
        """Give the name that an error of this class counts under."""
        if kind not in self._known:
            if len(self._known) >= MOST_ERROR_KINDS:
                return OTHER_KINDS
            self._known.add(kind)
        return kind


class Evidence:
    """Counts by kind with the first `each` details of every kind."""

    def __init__(self, *, each: int = KEPT_PER_KIND) -> None:
        self._each = each
        self.counts: dict[str, int] = {}
        self._kept: dict[str, list[dict[str, Any]]] = {}
        self._later = Samples(most=MOST_LATER)

    @property
    def total(self) -> int:
        """How many were ever added."""
        return sum(self.counts.values())

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The first details, by kind in the order the kinds first appeared, then later ones."""
        first = [detail for details in self._kept.values() for detail in details]
        return [*first, *map(dict, self._later.kept)]

    def filed_under(self, kind: str) -> str:
        """Give the kind that a new one of this kind counts as."""
        full = kind not in self.counts and len(self.counts) >= MAX_KINDS
        return OTHER_KINDS if full else kind

    def has_room(self, kind: str, at_s: float | None = None) -> bool:
        """Whether one more detail of this kind, of that second, would be kept."""
        kind = self.filed_under(kind)
        if len(self._kept.get(kind, ())) < self._each:
            return True
        return at_s is not None and self._later.wants((kind,), at_s)

    def add(self, kind: str, detail: Mapping[str, Any] | None, count: int = 1) -> None:
        """Count one and keep its detail if there is room, by its `at_s` if it has one."""
        filed = self.filed_under(kind)
        first = self._kept.setdefault(filed, []) if detail is not None else []
        if detail is not None and len(first) < self._each:
            first.append(dict(detail))
        elif detail is not None and (at_s := detail.get("at_s")) is not None:
            self._later.add((filed,), float(at_s), detail)
        self.counts[filed] = self.counts.get(filed, 0) + count

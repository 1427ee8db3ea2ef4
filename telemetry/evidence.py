"""A bounded collection of things that went wrong.

Its rule: count everything, keep the first few of each kind. A broken client can produce a finding
per operation, and neither the memory of a load process nor a message to the master may grow with
it. Details become plain, short values, because they go over the wire and into JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEPT_PER_KIND = 20
"""The first ones tell what happened; the thousandth tells nothing new."""

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
    """Counts by kind with the first `KEPT_PER_KIND` details of each."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._kept: dict[str, list[dict[str, Any]]] = {}

    @property
    def total(self) -> int:
        """How many were ever added."""
        return sum(self.counts.values())

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The details kept, grouped by kind in the order the kinds first appeared."""
        return [detail for details in self._kept.values() for detail in details]

    def filed_under(self, kind: str) -> str:
        """Give the kind that a new one of this kind counts as."""
        full = kind not in self.counts and len(self.counts) >= MAX_KINDS
        return OTHER_KINDS if full else kind

    def has_room(self, kind: str) -> bool:
        """Whether one more detail of this kind would be kept."""
        return len(self._kept.get(self.filed_under(kind), ())) < KEPT_PER_KIND

    def add(self, kind: str, detail: Mapping[str, Any] | None, count: int = 1) -> None:
        """Count one and keep its detail if there is room."""
        filed = self.filed_under(kind)
        if detail is not None and self.has_room(filed):
            self._kept.setdefault(filed, []).append(dict(detail))
        self.counts[filed] = self.counts.get(filed, 0) + count

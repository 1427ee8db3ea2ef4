"""A function's answers, remembered within bounds: what makes finding a key's node one look-up.

It knows neither keys nor nodes. A memo belongs to one state of what it remembers: when that
changes, a new memo takes its place, so no answer of the old state can be put into the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

MEMO_KEYS = 262_144  # about 60 MB of keys and answers, if so many are in use; beyond, half goes

Answer = TypeVar("Answer")


class Memo(dict[Any, Answer], Generic[Answer]):
    """Remember a function's answers, at most `limit` of them: `memo[key]`.

    When it is full the younger half is kept aside and the rest forgotten: keys in use come back
    from there at the cost of a second look-up, and no call pays for an eviction by itself.
    """

    __slots__ = ("_compute", "_half", "_older")

    def __init__(self, compute: Callable[[Any], Answer], limit: int = MEMO_KEYS) -> None:
        super().__init__()
        self._compute = compute
        self._half = max(limit // 2, 1)
        self._older: dict[Any, Answer] = {}

    def __missing__(self, key: Any) -> Answer:
        if len(self) >= self._half:
            self._older = dict(self)
            self.clear()
        older = self._older
        answer = self[key] = older[key] if key in older else self._compute(key)
        return answer

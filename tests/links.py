"""Load processes that are only heard of: orders go out, words come back as time passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from faults.backends.ordering import Words


class StandingOrders:
    """The orders that stand, as the backends give and withdraw them."""

    def __init__(self) -> None:
        self.standing: dict[str, Words] = {}

    def order(self, order: Words) -> None:
        self.standing[order["id"]] = order

    def withdraw(self, order_id: str) -> None:
        self.standing.pop(order_id, None)

    def orders(self, kinds: Collection[str]) -> list[str]:
        return [name for name, order in self.standing.items() if order["kind"] in kinds]


class FakeLink(StandingOrders):
    """Load processes whose words change as time passes.

    `words` is asked with the order's id and the time, in seconds since the beginning.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.words: Callable[[str, float], Mapping[str, Words | None]] = lambda *_: {}

    def heard(self, order_id: str) -> Mapping[str, Words | None]:
        return self.words(order_id, self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

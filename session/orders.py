"""The master's orders to the load processes, kept true by repetition.

All orders that stand go to every living worker twice a second and whenever they change; each
answers with what came of them. Nobody is waited for here: who needs an answer looks at what was
heard last. A worker that joins late is told with the next beat, one that is lost is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import gevent

from session import messages

BEAT_S = 0.5
LAST_BEATS = 20  # for a worker that does not say that it has ended its orders: it may be dead


class Orders:
    """The link of `faults.backends.workers` over Locust's messages. One a process."""

    def __init__(
        self,
        runner: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], Any] = gevent.spawn,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._spawn = spawn
        self._sleep = sleep
        self._run = ""
        self._alive: Callable[[], list[str]] = list
        self._standing: dict[str, dict[str, Any]] = {}
        self._number = 0  # of the last change
        self._heard: dict[str, Mapping[str, Any]] = {}  # worker -> its last answer
        self._beating: Any = None

    def begin(self, run: str, alive: Callable[[], list[str]]) -> None:
        """Take up a run, with nothing ordered; `alive` names its living workers."""
        self._run, self._alive = run, alive
        self._standing, self._heard = {}, {}
        self._number += 1

    def order(self, order: Mapping[str, Any]) -> None:
        """Tell every process, those that come later too."""
        ends = self._clock() + float(order["for_s"])
        self._standing[str(order["id"])] = {**order, "ends": ends}
        self._changed()

    def withdraw(self, order_id: str) -> None:
        """Tell every process to end it; one that is not known is fine."""
        if self._standing.pop(order_id, None) is not None:
            self._changed()

    def orders(self, kinds: Collection[str]) -> list[str]:
        """Give the ids of the orders of these kinds that stand."""
        return [name for name, order in self._standing.items() if order["kind"] in kinds]

    def moved(self) -> list[str]:
        """Give the nodes whose names have changed, for a process that comes late."""
        return [
            node
            for order in self._standing.values()
            if order["kind"] == "dns_change" and order["attributes"]["to"] == "new"
            for node in order["attributes"]["nodes"]
        ]

    def heard(self, order_id: str) -> Mapping[str, Mapping[str, Any] | None]:
        """Give every living process's newest word on an order, None where it is not in force."""
        words: dict[str, Mapping[str, Any] | None] = {}
        for worker in self._alive():
            answer = self._heard.get(worker)
            if answer is None or answer["number"] != self._number:
                words[worker] = {"silent": True}
            else:
                words[worker] = answer["said"].get(order_id)
        return words

    def answered(self, worker: str, data: Mapping[str, Any]) -> None:
        """Take a worker's answer."""
        if data["run"] == self._run:
            self._heard[worker] = data

    def _changed(self) -> None:
        self._number += 1
        self._tell()
        if self._beating is None or self._beating.ready():
            self._beating = self._spawn(self._beat)

    def _beat(self) -> None:
        """Repeat the orders until there are none and everybody knows it."""
        left = LAST_BEATS
        while left and (self._standing or self._is_open()):
            self._sleep(BEAT_S)
            self._tell()
            left = LAST_BEATS if self._standing else left - 1

    def _is_open(self) -> bool:
        """Whether a worker has not yet answered to the last change."""
        return any(
            worker not in self._heard or self._heard[worker]["number"] != self._number
            for worker in self._alive()
        )

    def _tell(self) -> None:
        now = self._clock()
        orders = [
            {
                "id": order["id"],
                "kind": order["kind"],
                "attributes": dict(order["attributes"]),
                "left_s": order["ends"] - now,
            }
            for order in self._standing.values()
        ]
        data = {"run": self._run, "number": self._number, "orders": orders}
        for worker in self._alive():
            self._runner.send_message(messages.ORDERS, data, client_id=worker)

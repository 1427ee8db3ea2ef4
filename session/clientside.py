"""Faults that this load process does to itself, as the master's orders say.

The master sends all orders that stand, again and again; this side makes it so and answers with
what came of each. So an order lost, doubled or late does no harm, and a process that joins late
has them from the first message on. Rule: an order ends here by itself when its time is over or
when nothing was heard of the master for `SILENCE_S`, and is then not taken up again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import gevent

from users.context import LoadContext
from users.cutting import CuttingClient, Knife
from users.wallclock import SteppedClock, shift_s

SILENCE_S = 3.0  # six orders in a row were missed: the master is gone, or stands still
WATCH_EVERY_S = 0.2


class Deed(Protocol):
    """An order as carried out in this process."""

    def words(self) -> Mapping[str, Any]:
        """Say what came of it so far, in plain types."""

    def end(self) -> None:
        """Undo it exactly."""


class Cutting:
    """Kind abort."""

    def __init__(self, load: LoadContext, order: Mapping[str, Any]) -> None:
        seed = f"{load.settings.seed}:{order['id']}:{load.settings.worker_index}"
        self._load = load
        self._knife = Knife(float(order["attributes"]["abort_share"]), random.Random(seed))
        load.stand_before(lambda client: CuttingClient(client, self._knife))

    def words(self) -> Mapping[str, Any]:
        """Give the counts of calls seen and cut off."""
        return asdict(self._knife.cuts)

    def end(self) -> None:
        """Let users call the client itself again."""
        self._load.stand_before(None)


class Stepping:
    """Kind clock_step."""

    def __init__(self, load: LoadContext, order: Mapping[str, Any]) -> None:
        self._clock = SteppedClock(float(order["attributes"]["by_s"]))
        self._clock.step()

    def words(self) -> Mapping[str, Any]:
        """Give how far `time.time` is off the system's clock."""
        return {"shift_s": round(shift_s(), 6)}

    def end(self) -> None:
        """Put the true clock back."""
        self._clock.back()


class Renaming:
    """Kind dns_change. A record that has changed stays changed: it is forgotten with the run."""

    def __init__(self, load: LoadContext, order: Mapping[str, Any]) -> None:
        records = load.records
        if records is None:
            raise RuntimeError("this run's nodes have no names")
        nodes = order["attributes"]["nodes"]
        if order["attributes"]["to"] == "new":
            records.move(nodes)
        self._leads_to = {node: records.look_up(node) for node in nodes}

    def words(self) -> Mapping[str, Any]:
        """Give the address of each node as whoever asks for its name was told."""
        return {"leads_to": self._leads_to}

    def end(self) -> None:
        """Leave it as it is: no name server takes a record back because somebody is silent."""


DEEDS: Mapping[str, Callable[[LoadContext, Mapping[str, Any]], Deed]] = {
    "abort": Cutting,
    "clock_step": Stepping,
    "dns_change": Renaming,
}


class OrderBook:
    """The orders of one run in this process."""

    def __init__(
        self,
        load: LoadContext,
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], Any] = gevent.spawn,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._load = load
        self._clock = clock
        self._spawn = spawn
        self._sleep = sleep
        self._deeds: dict[str, Deed] = {}
        self._ends: dict[str, float] = {}  # moment at which an order ends by itself
        self._given_up: set[str] = set()  # ended by this side, not to be taken up again
        self._heard_at = clock()
        self._watching = False
        self._closed = False

    def take(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out what stands, end what no longer does, and give the answer."""
        self._heard_at = self._clock()
        standing = {order["id"]: order for order in data["orders"]}
        for name in [name for name in self._deeds if name not in standing]:
            self._end(name)
        for name, order in standing.items():
            if name not in self._deeds and name not in self._given_up and not self._closed:
                self._ends[name] = self._clock() + float(order["left_s"])
                self._deeds[name] = DEEDS[order["kind"]](self._load, order)
        if self._deeds and not self._watching:
            self._watching = True
            self._spawn(self._watch)
        said = {name: dict(deed.words()) for name, deed in self._deeds.items()}
        return {"number": data["number"], "said": said}

    def close(self) -> None:
        """End everything and take no more orders; again is fine."""
        self._closed = True
        for name in list(self._deeds):
            self._end(name)

    def overdue(self) -> list[str]:
        """Name the orders that must end here and now."""
        now = self._clock()
        silent = now - self._heard_at > SILENCE_S
        return [name for name in self._deeds if silent or now >= self._ends[name]]

    def _watch(self) -> None:
        """End what is overdue, as long as there is anything to end."""
        while self._deeds:
            self._sleep(WATCH_EVERY_S)
            for name in self.overdue():
                self._given_up.add(name)
                self._end(name)
        self._watching = False

    def _end(self, name: str) -> None:
        deed = self._deeds.pop(name)
        self._ends.pop(name, None)
        deed.end()

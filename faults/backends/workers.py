"""Faults that the load processes do to themselves, on the master's order.

The backend orders, asks what came of it and takes the order back; how the words travel is a
`Link`'s business. Nothing of it needs the guard: an order carries its own end, and a process that
hears no more of its master ends it by itself. A process that is lost is not waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from faults.backends.ordering import POLL_S, Link, Words, await_words, count_processes
from faults.errors import FaultError
from faults.planned import PlannedFault

FELT_S = 3.5  # a call is cut off within milliseconds of the order, wherever there is load
QUIET_S = 0.3  # cut calls still on their way out when the order was taken back
OVERTIME_S = 5.0  # an order nobody takes back ends so long after its planned end
CLOCK_SLACK_S = 0.2  # two looks at two clocks in a process that has to wait for its turn
KINDS = ("abort", "clock_step")


class WorkersBackend:
    """Kinds abort and clock_step."""

    def __init__(
        self,
        link: Link,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._link = link
        self._clock = clock
        self._sleep = sleep
        self._early: list[str] = []  # processes that ended the order before they were told
        self._total = ""  # what was cut off, as last heard before the order was taken back

    def needs(self, fault: PlannedFault) -> str:
        """Nothing: there is no load without processes."""
        return ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what the kind says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Nothing for the guard: every process ends its orders by itself."""
        return {}

    def inject(self, fault: PlannedFault) -> None:
        """Give the order."""
        self._total = ""
        self._link.order(
            {
                "id": fault.id,
                "kind": fault.kind,
                "attributes": dict(fault.attributes),
                "for_s": fault.duration_s + OVERTIME_S,
            }
        )

    def read_back(self, fault: PlannedFault) -> str:
        """Wait until every living process says that it carries the order out."""
        words = self._await(fault, lambda word: word is not None, "does not carry the order out")
        return f"carried out by {count_processes(len(words))}: {', '.join(sorted(words))}"

    def observe(self, fault: PlannedFault) -> str:
        """Wait until calls were cut off, or hold the clocks against the system's."""
        if fault.kind == "abort":
            return self._cut(fault)
        by_s = float(fault.attributes["by_s"])
        shifts = {
            name: float(word["shift_s"])
            for name, word in self._link.heard(fault.id).items()
            if word is not None and "shift_s" in word
        }
        wrong = {n: shift for n, shift in shifts.items() if abs(shift - by_s) > CLOCK_SLACK_S}
        if wrong or not shifts:
            raise FaultError(f"the clock was to step by {by_s:+g} s and is off by {wrong}")
        told = ", ".join(f"{name} {shift:+.3f} s" for name, shift in sorted(shifts.items()))
        return f"time.time() against the system's clock: {told}"

    def heal(self, fault: PlannedFault) -> None:
        """Take the order back."""
        heard = self._link.heard(fault.id) if fault.id in self._link.orders(KINDS) else {}
        self._early = [name for name, word in heard.items() if word is None]
        if fault.kind == "abort":
            by_timeout, by_kill, _ = self._counts(fault)
            if by_timeout + by_kill:
                self._total = f": {by_timeout} by a timeout and {by_kill} by a kill, as last heard"
        self._link.withdraw(fault.id)

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Wait until every living process says that it has ended it."""
        words = self._await(fault, lambda word: word is None, "still carries the order out")
        early = f"; {', '.join(self._early)} had ended it before" if self._early else ""
        return f"ended in {count_processes(len(words))}{early}"

    def observe_healed(self, fault: PlannedFault) -> str:
        """Look again a moment later: no process has taken it up once more."""
        self._sleep(QUIET_S)
        still = [name for name, word in self._link.heard(fault.id).items() if word is not None]
        if still:
            raise FaultError(f"{', '.join(still)} still carries out {fault.id}")
        if fault.kind == "abort":
            return f"no call is cut off any more{self._total}"
        return "clocks as before"

    def clean(self) -> list[str]:
        """Take back whatever still stands."""
        standing = self._link.orders(KINDS)
        for order in standing:
            self._link.withdraw(order)
        return [f"took back the order {order}" for order in standing]

    def leftovers(self) -> list[str]:
        """Name the orders that stand."""
        return [f"the order {order} stands" for order in self._link.orders(KINDS)]

    def _cut(self, fault: PlannedFault) -> str:
        deadline = self._clock() + FELT_S
        while True:
            by_timeout, by_kill, calls = self._counts(fault)
            if by_timeout + by_kill:
                return (
                    f"{by_timeout} calls cut off by a timeout and {by_kill} by a kill, "
                    f"of the first {calls}"
                )
            if self._clock() >= deadline:
                raise FaultError(f"of {calls} calls none was cut off")
            self._sleep(POLL_S)

    def _counts(self, fault: PlannedFault) -> tuple[int, int, int]:
        """Add up (cut by a timeout, cut by a kill, calls seen) over the processes."""
        words = [word for word in self._link.heard(fault.id).values() if word]
        by_timeout, by_kill, calls = (
            sum(int(word.get(what, 0)) for word in words)
            for what in ("by_timeout", "by_kill", "calls")
        )
        return by_timeout, by_kill, calls

    def _await(
        self, fault: PlannedFault, is_so: Callable[[Words | None], bool], problem: str
    ) -> Mapping[str, Words | None]:
        return await_words(
            self._link, fault.id, is_so, problem, clock=self._clock, sleep=self._sleep
        )

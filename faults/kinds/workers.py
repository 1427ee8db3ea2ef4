"""Kinds that the load processes carry out on themselves: calls cut off, a clock that steps.

They touch no node, so `target` may be left out. A kind without effects excuses nothing: a good
client shows no sign of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, model_validator

from faults.effect import Effect
from faults.errors import PlacedError
from faults.kinds.base import FaultSpec, Target
from memquake.units import parse_share, parse_step

EVERY_NODE = Target(mode="all")
DEFAULT_SHARE = 0.02  # 40 calls a second of the default load: dozens even in a shortened run
LARGEST_SHARE = 0.5  # beyond it cutting is all that is measured


def _share(raw: Any) -> float:
    share = parse_share(raw)
    if not 0 < share <= LARGEST_SHARE:
        raise ValueError(f"{raw} is out of range: a share of calls above 0, up to 50%")
    return share


def _step(raw: Any) -> float:
    seconds = parse_step(raw)
    if seconds == 0:
        raise ValueError(f"{raw} is no step: give seconds forward or back, like 30s or -1h")
    return seconds


class _OnEveryCall(FaultSpec):
    """What happens in the load processes, whatever node a call goes to."""

    backend = "workers"
    effects: ClassVar[frozenset[Effect]] = frozenset()
    emulated_by = ""
    target: Target = EVERY_NODE

    @model_validator(mode="after")
    def _all_nodes(self) -> _OnEveryCall:
        if self.target != EVERY_NODE:
            problem = (
                f"fault {self.id} happens in the load processes and spares no node: "
                "leave target out, or give {mode: all}"
            )
            raise PlacedError(("target",), problem)
        return self


class Abort(_OnEveryCall):
    """Some calls are cut off in the middle by whoever made them."""

    effects = frozenset({Effect.INTERRUPTED})
    emulated_by = (
        "load processes: calls of the client cut off at random moments, half by gevent.Timeout, "
        "half by killing the greenlet that runs them"
    )
    kind: Literal["abort"]
    share: Annotated[float, BeforeValidator(_share)] = DEFAULT_SHARE

    def attributes(self) -> Mapping[str, float | str]:
        """Give abort_share, of all calls, 0-1."""
        return {"abort_share": self.share}


class ClockStep(_OnEveryCall):
    """The wall clock jumps, and jumps back."""

    emulated_by = (
        "load processes: time.time and time.time_ns replaced, for all code but Locust's own, by "
        "ones that add the step; the system's clock and datetime stay right"
    )
    kind: Literal["clock_step"]
    by: Annotated[float, BeforeValidator(_step)]

    def attributes(self) -> Mapping[str, float | str]:
        """Give by_s, seconds forward (or back, when negative)."""
        return {"by_s": self.by}


KINDS: Mapping[str, type[FaultSpec]] = {"abort": Abort, "clock_step": ClockStep}

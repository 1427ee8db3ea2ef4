"""Kinds that Toxiproxy carries out, on the way between clients and a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from faults.kinds.base import FaultSpec
from faults.quantities import Duration, parse_positive_duration

LONGEST_LATENCY_S = 60.0
SHORTEST_LATENCY_S = 0.001  # Toxiproxy counts whole milliseconds


class Down(FaultSpec):
    """Nobody listens, open connections end: a node that is switched off."""

    backend = "toxiproxy"
    effects = frozenset({"unavailable"})
    emulated_by = "Toxiproxy: proxy disabled, connections closed, new ones refused"
    kind: Literal["down"]


class Timeout(FaultSpec):
    """Connections are taken and nothing is ever answered."""

    backend = "toxiproxy"
    effects = frozenset({"unavailable"})
    emulated_by = (
        "Toxiproxy: toxic timeout 0, replies dropped, connections stay open; healing closes them"
    )
    kind: Literal["timeout"]


def _latency(raw: Any) -> float:
    seconds = parse_positive_duration(raw)
    if not SHORTEST_LATENCY_S <= seconds <= LONGEST_LATENCY_S:
        raise ValueError(f"{raw} is out of range: a latency lies between 1ms and 60s")
    return seconds


class Latency(FaultSpec):
    """Every reply comes later."""

    backend = "toxiproxy"
    effects = frozenset({"degraded"})
    emulated_by = "Toxiproxy: toxic latency on replies; connecting is not delayed"
    kind: Literal["latency"]
    latency: Annotated[float, BeforeValidator(_latency)]
    jitter: Duration = 0.0

    @model_validator(mode="after")
    def _jitter_fits(self) -> Latency:
        if self.jitter > self.latency:
            raise ValueError(f"jitter of fault {self.id} is larger than its latency")
        return self

    def attributes(self) -> Mapping[str, float | str]:
        """Give latency_s and jitter_s (uniform, plus and minus)."""
        return {"latency_s": self.latency, "jitter_s": self.jitter}


KINDS: Mapping[str, type[FaultSpec]] = {"down": Down, "timeout": Timeout, "latency": Latency}

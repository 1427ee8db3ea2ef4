"""The kinds of fault a scenario may name: what each is called, takes and does to a node.

Data only, one class a kind. A kind says which backend carries it out, what it does to a good
client's world (effects), and in plain words what is really done (`emulated_by`), because a
Toxiproxy toxic is not a cable pulled out. How it is done is the backend's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from faults.quantities import (
    Duration,
    PositiveDuration,
    parse_count,
    parse_percent,
    parse_positive_duration,
)

STRICT = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
MOST_REPEATS = 1000
LONGEST_LATENCY_S = 60.0
SHORTEST_LATENCY_S = 0.001  # Toxiproxy counts whole milliseconds

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def _id(raw: Any) -> str:
    if not isinstance(raw, str) or not _ID.fullmatch(raw):
        raise ValueError(f"{raw!r} is no id: letters, digits and . _ - only, 40 at most")
    return raw


FaultId = Annotated[str, BeforeValidator(_id)]


class Target(BaseModel):
    """Which nodes: by mode (the seed chooses) or by name."""

    model_config = STRICT
    mode: Literal["one", "fixed", "fixed-percent", "all"] | None = None
    value: int | float | str | None = None
    nodes: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Target:
        if (self.mode is None) == (self.nodes is None):
            raise ValueError("a target has either a mode or nodes: {mode: one} or {nodes: [node2]}")
        if self.nodes is not None and (not self.nodes or len(set(self.nodes)) < len(self.nodes)):
            raise ValueError("nodes must name at least one node, and none twice")
        needs_value = self.mode in ("fixed", "fixed-percent")
        if needs_value != (self.value is not None):
            ask = "needs a value" if needs_value else "takes no value"
            raise ValueError(f"a target {'of mode ' + self.mode if self.mode else 'by name'} {ask}")
        if self.mode == "fixed" and parse_count(self.value) < 1:
            raise ValueError(f"value {self.value} is too small: 1 or more nodes")
        if self.mode == "fixed-percent":
            parse_percent(self.value)
        return self

    def count(self, of: int) -> int:
        """Give how many of so many nodes are meant; 0 where the percentage is too small."""
        if self.mode == "one":
            return 1
        if self.mode == "fixed":
            return int(parse_count(self.value))
        if self.mode == "fixed-percent":
            return int(of * parse_percent(self.value) / 100 + 1e-9)
        return of if self.nodes is None else len(self.nodes)


class Repeat(BaseModel):
    """The same fault on the same nodes again: `times` in all, one `every` so long."""

    model_config = STRICT
    times: int = Field(ge=1, le=MOST_REPEATS, strict=True)
    every: PositiveDuration


class FaultSpec(BaseModel):
    """What all kinds have in common. Seconds; `at` counts from the start of testing."""

    model_config = STRICT
    backend: ClassVar[str]
    effects: ClassVar[frozenset[str]]
    emulated_by: ClassVar[str]

    id: FaultId
    at: Duration | None = None
    after: str | None = None
    duration: PositiveDuration
    target: Target
    repeat: Repeat | None = None

    @model_validator(mode="after")
    def _one_start(self) -> FaultSpec:
        if (self.at is None) == (self.after is None):
            raise ValueError(f"fault {self.id} needs either `at` or `after`, and one of them only")
        if self.repeat is not None and self.repeat.every < self.duration:
            raise ValueError(f"fault {self.id} repeats before it has ended: lengthen `every`")
        return self

    def attributes(self) -> Mapping[str, float]:
        """Give what this kind takes besides time and target, in base units."""
        return {}


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

    def attributes(self) -> Mapping[str, float]:
        """Give latency_s and jitter_s (uniform, plus and minus)."""
        return {"latency_s": self.latency, "jitter_s": self.jitter}


class Crash(FaultSpec):
    """The process dies; it comes back empty."""

    backend = "process"
    effects = frozenset({"unavailable", "cold"})
    emulated_by = "SIGKILL to memcached, started again empty on the same port"
    kind: Literal["crash"]


class Hang(FaultSpec):
    """The process stands still: the kernel takes connections, nobody answers."""

    backend = "process"
    effects = frozenset({"unavailable"})
    emulated_by = "SIGSTOP to memcached, SIGCONT to heal; requests sent meanwhile are answered late"
    kind: Literal["hang"]


AnyFault = Annotated[Down | Timeout | Latency | Crash | Hang, Field(discriminator="kind")]

KINDS: Mapping[str, type[FaultSpec]] = {
    "down": Down,
    "timeout": Timeout,
    "latency": Latency,
    "crash": Crash,
    "hang": Hang,
}

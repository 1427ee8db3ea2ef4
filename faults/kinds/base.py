"""What every kind of fault has in common: id, time, target, repetition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from faults.effect import Effect
from faults.errors import PlacedError
from memquake.units import Duration, PositiveDuration, parse_count, parse_percent

STRICT = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
MOST_REPEATS = 1000

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
            return parse_count(self.value)
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
    effects: ClassVar[frozenset[Effect]]
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
            problem = f"fault {self.id} repeats before it has ended: lengthen `every`"
            raise PlacedError(("repeat", "every"), problem)
        return self

    @classmethod
    def effects_of(cls, attributes: Mapping[str, Any]) -> frozenset[Effect]:
        """Give what a fault of this kind with these attributes does to a node."""
        return cls.effects

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say in plain words what is really done for a fault with these attributes."""
        return cls.emulated_by

    def attributes(self) -> Mapping[str, float | str]:
        """Give what this kind takes besides time and target: numbers in base units, or words."""
        return {}

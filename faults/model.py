"""What a scenario file says, as data. Extra keys are refused everywhere.

Times are seconds as written, before any time scale. Which node is hit is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, TypeAdapter, model_validator

from faults.errors import PlacedError, ScenarioError
from faults.kinds import STRICT, AnyFault, Latency
from faults.kinds.doors import MOST_GROUPS
from faults.randomly import LEAST_NODES, RandomFaults, draw_faults
from faults.schedule import Slot, lay_out
from faults.together import misfit
from faults.waiting import Delay, check_waiting
from faults.yamltext import Place, Text
from memquake.limits import LIMITS, LimitError, parse_limit
from memquake.ranges import TARGET_RATE, TIMEOUT, USERS
from memquake.units import Duration, PositiveDuration, Share, spell_seconds

STABILIZATION_S = 30.0  # the baseline: 28 windows once the first 2 s are left out
RECOVERY_S = 60.0
TESTING_S = 30.0  # of a scenario that has phases and no fault
DEFAULT_USERS = 40
DEFAULT_RATE = 800.0  # iterations a second, all users and workers together; ADR 13

_FAULTS = TypeAdapter(tuple[AnyFault, ...])
_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,59}")


def _name(raw: Any) -> str:
    # It becomes the name of the run's folder.
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise ValueError(f"{raw!r} is no name: small letters, digits and - _ . + only, 60 at most")
    return raw


def _line(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is no text")
    return " ".join(raw.split())


def _limits(raw: Any) -> Any:
    """Return limits by check name in base units; what is no mapping is left to pydantic."""
    if not isinstance(raw, dict):
        return raw
    limits = {}
    for name, value in raw.items():
        try:
            limits[name] = parse_limit(str(name), value)
        except LimitError as why:
            raise PlacedError((str(name),), str(why), of_key=name not in LIMITS) from None
    return limits


Name = Annotated[str, BeforeValidator(_name)]
Line = Annotated[str, BeforeValidator(_line)]
Timeout = Annotated[float, BeforeValidator(TIMEOUT.read)]
Budgets = Annotated[Mapping[str, float], BeforeValidator(_limits)]


class Phases(BaseModel):
    """Lengths of the phases; testing may be left out and is then as long as the faults."""

    model_config = STRICT
    stabilization: PositiveDuration = STABILIZATION_S
    testing: PositiveDuration | None = None
    recovery: PositiveDuration = RECOVERY_S


class Load(BaseModel):
    """The load this scenario was made for; the command line overrides it."""

    model_config = STRICT
    users: Annotated[int, BeforeValidator(USERS.read)] | None = None
    target_rate: Annotated[float, BeforeValidator(TARGET_RATE.read)] | None = None


class Client(BaseModel):
    """Settings of the client that this scenario needs."""

    model_config = STRICT
    op_timeout: Timeout | None = None
    connect_timeout: Timeout | None = None
    failover: Literal["fail", "rehash"] | None = None


class ErrorRate(BaseModel):
    """Too many errors for too long. Share of all operations, 0-1."""

    model_config = STRICT
    above: Share
    lasting: Duration = Field(alias="for")


class Abort(BaseModel):
    """When a run is to be given up."""

    model_config = STRICT
    error_rate: ErrorRate


class Scenario(BaseModel):
    """A scenario as written."""

    model_config = STRICT
    name: Name
    description: Line = ""
    phases: Phases | None = None
    load: Load = Load()
    client: Client = Client()
    groups: int = Field(default=1, ge=1, le=MOST_GROUPS, strict=True)
    faults: tuple[AnyFault, ...] = ()
    random: RandomFaults | None = None
    budgets: Budgets = Field(default_factory=dict)
    abort: Abort | None = None

    _source: Text | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _drawn_or_written(self) -> Scenario:
        if self.random is not None and self.faults:
            raise PlacedError(("random",), "faults are either drawn or written: leave one out")
        if self.random is not None and self.phases is not None and self.phases.testing is not None:
            problem = "drawn faults decide how long testing is: leave it out"
            raise PlacedError(("phases", "testing"), problem)
        return self

    @model_validator(mode="after")
    def _ways_fit(self) -> Scenario:
        if self.random is not None and self.groups > 1:
            raise PlacedError(("groups",), "drawn faults hit all users alike: leave groups out")
        for index, fault in enumerate(self.faults):
            problem = misfit(fault, self.faults, self.groups)
            if problem:
                raise PlacedError(("faults", index), problem)
        return self

    def come_from(self, source: Text) -> None:
        """Remember the file it was read from, for problems that show later."""
        self._source = source

    def error(self, place: Place, problem: str) -> ScenarioError:
        """Make the one line about a place in it, by file, line and column where there is one."""
        if self._source is not None:
            return self._source.error(place, problem)
        return ScenarioError(f"scenario {self.name}: {problem}")

    @property
    def has_phases(self) -> bool:
        """Whether it runs through phases and ends by itself; `none` does not."""
        return self.phases is not None or bool(self.faults) or self.random is not None

    @property
    def users(self) -> int | None:
        """Users it asks for, None where it does not care."""
        return self.load.users

    @property
    def target_rate(self) -> float | None:
        """Operations a second it asks for, None where it does not care."""
        return self.load.target_rate

    @property
    def stabilization_s(self) -> float:
        """Seconds of the first phase, unscaled."""
        return self.phases.stabilization if self.phases else STABILIZATION_S

    @property
    def recovery_s(self) -> float:
        """Seconds of the last phase, unscaled."""
        return self.phases.recovery if self.phases else RECOVERY_S

    @property
    def testing_s(self) -> float:
        """Seconds of the testing phase, unscaled: as given, else until the last fault ends."""
        if self.phases is not None and self.phases.testing is not None:
            return self.phases.testing
        return max((slot.end_s for slot in self.slots()), default=TESTING_S)

    def drawn(self, *, seed: int, nodes: Sequence[str]) -> Scenario:
        """Give it with its faults drawn, for these nodes; itself where it draws none."""
        if self.random is None:
            return self
        if len(nodes) < LEAST_NODES:
            problem = f"faults are drawn for {LEAST_NODES} nodes or more: one has to stay healthy"
            raise self.error(("random",), problem)
        faults = _FAULTS.validate_python(draw_faults(self.random, seed=seed, nodes=nodes))
        return self.model_copy(update={"faults": faults, "random": None})

    def slots(self) -> list[Slot]:
        """Give every occurrence of every fault, unscaled, in the order of the file."""
        return lay_out(self.faults)

    def budget_limits(self) -> Mapping[str, float]:
        """Give its limits by check name, in base units (seconds, shares, counts)."""
        return dict(self.budgets)

    def client_settings(self) -> Mapping[str, float | str]:
        """Give the client settings it needs: op_timeout, connect_timeout in seconds."""
        return {name: value for name, value in self.client if value is not None}

    def check_load(self, *, users: int, target_rate: float, nodes: int = 3) -> None:
        """Refuse a paced load that a latency makes impossible; ScenarioError."""
        delays = self.delays(nodes)
        check_waiting(delays, users=users, target_rate=target_rate, scenario=self.name)

    def delays(self, nodes: int) -> list[Delay]:
        """Give what keeps calls waiting where there are so many nodes."""
        return [
            Delay(
                fault=slot.id,
                at_s=slot.at_s,
                end_s=slot.end_s,
                latency_s=slot.spec.waits_s,
                share=min(1.0, slot.spec.target.count(nodes) / max(1, nodes)),
            )
            for slot in self.slots()
            if isinstance(slot.spec, Latency)
        ]

    def too_long(self) -> Slot | None:
        """Give the first fault that ends after the testing phase, if one does."""
        limit = self.testing_s + 1e-9
        return next((slot for slot in self.slots() if slot.end_s > limit), None)

    def overrun(self, slot: Slot) -> str:
        """Say how a fault outlasts the testing phase."""
        return (
            f"fault {slot.id} ends at {spell_seconds(slot.end_s)}, after the testing phase of "
            f"{spell_seconds(self.testing_s)}: lengthen phases.testing, or leave it out"
        )

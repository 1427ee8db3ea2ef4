"""A suite's name or file to a `Suite`: which scenarios, in which order, with what changed.

A suite is data beside the scenarios and knows them by name only: whether each can be run with the
options at hand is for others to find out. It may pick scenarios by what carries their faults out,
so that a new scenario belongs to it without being added. Every problem is one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from faults.errors import ScenarioError
from faults.kinds import KINDS, STRICT
from faults.model import Line, Name
from faults.named import SUFFIXES, expanded, find, named
from faults.scenario import Summary, load_scenario, scenario_names
from faults.yamltext import Text, read_file
from memquake.nearest import nearest
from memquake.paths import SCENARIOS, SUITES
from memquake.ranges import SEED, TIME_SCALE
from memquake.units import PositiveDuration

CONTROL = "none"  # nothing breaks: whatever else is picked, it comes first
MOST_ENTRIES = 1000


class _Entry(BaseModel):
    """A scenario in a suite, with what holds where the command line says nothing."""

    model_config = STRICT
    scenario: str
    time_scale: Annotated[float, BeforeValidator(TIME_SCALE.read)] | None = None
    seed: Annotated[int, BeforeValidator(SEED.read)] | None = None
    duration: PositiveDuration | None = None  # of a scenario that has no end of its own

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_an_entry(cls, raw: Any) -> Any:
        return {"scenario": raw} if isinstance(raw, str) else raw


class _File(BaseModel):
    model_config = STRICT
    name: Name
    description: Line = ""
    scenarios: tuple[_Entry, ...] = Field(default=(), max_length=MOST_ENTRIES)
    backends: tuple[str, ...] = ()  # and every scenario whose faults these alone carry out
    all: bool = Field(default=False, strict=True)  # and every scenario there is


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One place in a suite. None: as the command line says, else as usual. Seconds."""

    scenario: str  # a name, or the path of a file
    time_scale: float | None = None
    seed: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Scenarios to be run one after the other."""

    name: str
    description: str
    entries: tuple[Entry, ...]


def suite_names(folder: Path = SUITES) -> list[str]:
    """Give the names of the suites, without a look into their files."""
    return sorted(named(folder))


def list_suites(folder: Path = SUITES) -> list[Summary]:
    """Give the suites that can be named. A file that cannot be read says so."""
    found = []
    for name, path in sorted(named(folder).items()):
        try:
            suite = load_suite(str(path))
            description = f"{len(suite.entries)} scenarios: {suite.description}"
        except ScenarioError as why:
            description = f"(cannot be used: {why})"
        found.append(Summary(name=name, description=description))
    return found


def load_suite(name_or_path: str, *, folder: Path = SUITES, scenarios: Path = SCENARIOS) -> Suite:
    """Find, read and check a suite; ScenarioError with one line for whatever is wrong.

    A scenario given as a path is looked for from the folder of the suite's file.
    """
    path = find(name_or_path, folder, "suite")
    shown = str(path) if path.parent != folder else f"scenarios/suites/{path.name}"
    text = read_file(path, shown, what="suite")
    try:
        file = _File.model_validate(text.data)
    except ValidationError as why:
        raise _explain(text, why) from None
    entries = [_entry(text, path.parent, file, at, scenarios) for at in range(len(file.scenarios))]
    entries += _picked(text, file, {entry.scenario for entry in entries}, scenarios)
    if not entries:
        raise text.error((), "names no scenario: give `scenarios: [...]` or `all: true`")
    return Suite(name=file.name, description=file.description, entries=tuple(entries))


def _entry(text: Text, home: Path, file: _File, index: int, scenarios: Path) -> Entry:
    raw = file.scenarios[index]
    name = raw.scenario
    try:
        path = expanded(name)
        if "/" in name or path.suffix in SUFFIXES:
            name = str(home / path)  # an absolute path stays what it is
        scenario = load_scenario(name, folder=scenarios)
    except ScenarioError as why:
        raise text.error(("scenarios", index), str(why)) from None
    if raw.duration is not None and scenario.has_phases:
        raise text.error(
            ("scenarios", index, "duration"),
            f"scenario {scenario.name} ends by itself and takes no duration: give a time_scale",
        )
    return Entry(scenario=name, time_scale=raw.time_scale, seed=raw.seed, duration_s=raw.duration)


def _picked(text: Text, file: _File, listed: set[str], scenarios: Path) -> list[Entry]:
    """Give what is picked without being named: the control first, then by name."""
    known = sorted({kind.backend for kind in KINDS.values()})
    for index, word in enumerate(file.backends):
        if word not in known:
            raise text.error(
                ("backends", index), f"unknown backend {word!r} ({nearest(word, known)})"
            )
    found = []
    for name in scenario_names(scenarios) if file.all or file.backends else ():
        if name in listed:
            continue
        scenario = load_scenario(name, folder=scenarios)  # a broken file is an error here
        backends = {fault.backend for fault in scenario.faults}
        if file.all or (backends and backends <= set(file.backends)):
            found.append(Entry(scenario=name))
    return sorted(found, key=lambda entry: (entry.scenario != CONTROL, entry.scenario))


_ENTRY_KEYS = [*_Entry.model_fields]
_FILE_KEYS = [*_File.model_fields]


def _explain(text: Text, why: ValidationError) -> ScenarioError:
    # One problem at a time, the first in the file: the others are often its consequences.
    first = min(why.errors(), key=lambda error: text.mark(tuple(error["loc"])))
    place: tuple[int | str, ...] = tuple(first["loc"])
    word = str(place[-1]) if place else ""
    context: Mapping[str, Any] = first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            known = _FILE_KEYS if len(place) == 1 else _ENTRY_KEYS
            return text.error(place, f"unknown key {word!r} ({nearest(word, known)})", of_key=True)
        case "missing":
            return text.error(place[:-1], f"the key {word!r} is missing")
        case "value_error":
            problem = str(context["error"])
        case "tuple_type":
            problem = f"{str(first['input'])[:60]!r} is no list: give [one, another]"
        case "model_type":
            problem = f"{str(first['input'])[:60]!r} is no name of a scenario"
        case _:
            shown = repr(first["input"])
            problem = f"{shown[:60]} does not fit: {first['msg'][:1].lower()}{first['msg'][1:]}"
    where = ".".join(str(step) for step in place)
    return text.error(place, f"{where}: {problem}" if where else problem)

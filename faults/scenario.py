"""A scenario's name or file to a `Scenario`, or to one line that says what is wrong with it.

A plan file is a scenario as well: everything in it is decided. Every problem names the file, line
and column, the problem and the way out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ValidationError

from faults.errors import ScenarioError
from faults.explaining import explain, keys_of
from faults.fixed import fixed_scenario
from faults.kinds import KINDS, Repeat, Target
from faults.model import (
    DEFAULT_RATE,
    DEFAULT_USERS,
    Abort,
    Client,
    ErrorRate,
    Load,
    Phases,
    Scenario,
)
from faults.named import find, named
from faults.randomly import RandomFaults
from faults.schedule import ScheduleError
from faults.yamltext import Place, Text, read_file, read_text
from memquake.paths import SCENARIOS

__all__ = ["Scenario", "ScenarioError", "list_scenarios", "load_scenario", "parse_scenario"]


_MODELS: Mapping[str, type[BaseModel]] = {
    "phases": Phases,
    "load": Load,
    "client": Client,
    "abort": Abort,
    "error_rate": ErrorRate,
    "target": Target,
    "repeat": Repeat,
    "random": RandomFaults,
}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One line of the list. A file that cannot be read says so in its description."""

    name: str
    description: str


def scenario_names(folder: Path = SCENARIOS) -> list[str]:
    """Give the names of the scenarios, without a look into their files."""
    return sorted(named(folder))


def list_scenarios(folder: Path = SCENARIOS) -> list[Summary]:
    """Give the scenarios that can be named, by name."""
    found = []
    for name, path in sorted(named(folder).items()):
        try:
            description = load_scenario(str(path)).description
        except ScenarioError as why:
            description = f"(cannot be used: {why})"
        found.append(Summary(name=name, description=description))
    return found


def load_scenario(
    name_or_path: str,
    *,
    folder: Path = SCENARIOS,
) -> Scenario:
    """Find, read and check a scenario; ScenarioError with one line for whatever is wrong.

    A word is a name in the scenarios folder; with a slash or a suffix it is a path.
    """
    path = find(name_or_path, folder, "scenario")
    shown = str(path) if path.parent != folder else f"scenarios/{path.name}"
    return parse_scenario(read_file(path, shown))


def parse_scenario(text: Text) -> Scenario:
    """Check what a file says: a scenario, or the plan of one."""
    scenario = fixed_scenario(text) if "plan" in text.data else _as_written(text)
    if scenario.load != Load():
        try:
            check_own_load(scenario)
        except ScenarioError as why:
            raise text.error(("load",), str(why)) from None
    return scenario


def _as_written(text: Text) -> Scenario:
    try:
        scenario = Scenario.model_validate(text.data)
    except ValidationError as why:
        keys_around = partial(_keys_around, text)
        raise explain(text, why, locate=_place, keys_around=keys_around) from None
    except RecursionError:
        raise text.error((), "nested too deep: flatten it") from None
    scenario.come_from(text)
    try:
        over = scenario.too_long() if scenario.has_phases else None
    except ScheduleError as why:
        raise text.error(("faults", why.index, why.key), str(why)) from None
    if over is not None:
        index = scenario.faults.index(over.spec)
        raise text.error(("faults", index), scenario.overrun(over))
    return scenario


def check_own_load(scenario: Scenario, nodes: int = 3) -> None:
    """Hold the load it asks for, or the defaults, against its faults; ScenarioError."""
    users = DEFAULT_USERS if scenario.users is None else scenario.users
    rate = DEFAULT_RATE if scenario.target_rate is None else scenario.target_rate
    scenario.check_load(users=users, target_rate=rate, nodes=nodes)


def scenario_from_text(text: str, name: str = "scenario") -> Scenario:
    """Check a scenario given as YAML text; `name` stands for the file in errors."""
    return parse_scenario(read_text(text, name))


def _place(loc: Sequence[int | str]) -> Place:
    # pydantic puts the kind of a fault into the path; YAML knows nothing of it.
    steps = list(loc)
    if len(steps) > 2 and steps[0] == "faults" and steps[2] in KINDS:
        del steps[2]
    return tuple(steps)


def _keys_around(text: Text, place: Place) -> list[str]:
    parent = place[:-1]
    if not parent:
        model: type[BaseModel] = Scenario
    elif len(parent) == 2 and parent[0] == "faults":
        fault = text.data["faults"][parent[1]]
        model = KINDS.get(fault.get("kind"), KINDS["down"])
    else:
        model = _MODELS.get(str(parent[-1]), Scenario)
    return keys_of(model)

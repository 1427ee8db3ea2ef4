"""A YAML file to plain data that still knows its lines. Every problem is one line of text.

Refuses what would be read silently wrong: a key given twice, a structure that contains itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from faults.errors import ScenarioError

MAX_BYTES = 1 << 20  # a plan with a thousand faults is a tenth of this
MAX_NODES = 100_000  # aliases can make a small file endless

Place = tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Text:
    """A parsed file: its name for people, its data, and the line of each place in it."""

    name: str
    data: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int | None:
        """Give the 1-based line of a place, or of the nearest thing around it."""
        while place not in self.lines:
            if not place:
                return None
            place = place[:-1]
        return self.lines[place]

    def error(self, place: Place, problem: str) -> ScenarioError:
        """Make the one line about a place."""
        line = self.line(place)
        where = f"{self.name}:{line}" if line is not None and place else self.name
        return ScenarioError(f"{where}: {' '.join(problem.split())}")


def read_file(path: Path, shown: str) -> Text:
    """Read a file; ScenarioError for one that is missing, no file, unreadable or no YAML."""
    try:
        if path.is_dir():
            raise ScenarioError(f"{shown} is a folder: give the scenario file in it")
        if not path.exists():
            raise ScenarioError(
                f"{shown} does not exist: give the path of a scenario file, or a name that "
                "`python -m faults list` shows"
            )
        if not path.is_file():
            raise ScenarioError(f"{shown} is no regular file: give a scenario file")
        if path.stat().st_size > MAX_BYTES:
            raise ScenarioError(f"{shown} is larger than 1 MB: that is no scenario")
        content = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{shown} is not text in UTF-8: that is no scenario") from None
    except OSError as why:
        raise ScenarioError(f"{shown} cannot be read ({why.strerror}): check the path") from None
    return read_text(content, shown)


def read_text(content: str, name: str) -> Text:
    """Read YAML text that must be a mapping."""
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
        if root is None:
            raise ScenarioError(f"{name} is empty: a scenario needs at least a name")
        lines: dict[Place, int] = {}
        _walk(root, (), lines, [], name)
        if not isinstance(root, yaml.MappingNode):
            raise ScenarioError(
                f"{name} is no mapping of keys to values: begin with `name: ...` on a line"
            )
        data = yaml.safe_load(content)
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ScenarioError(f"{where}: not YAML: {why.problem or why.context}") from None
    except (yaml.YAMLError, ValueError) as why:
        raise ScenarioError(f"{name}: not YAML: {str(why).splitlines()[0]}") from None
    except RecursionError:
        raise ScenarioError(f"{name} is nested too deep") from None
    return Text(name=name, data=data, lines=lines)


def _walk(
    node: yaml.Node, place: Place, lines: dict[Place, int], above: list[yaml.Node], name: str
) -> None:
    here = node.start_mark.line + 1
    lines.setdefault(place, here)
    if any(node is parent for parent in above) or len(lines) > MAX_NODES:
        raise ScenarioError(f"{name}:{here}: a part contains itself or is repeated without end")
    above = [*above, node]
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            word = str(key.value)
            line = key.start_mark.line + 1
            if word in seen and word != "<<":
                raise ScenarioError(f"{name}:{line}: the key {word!r} is given twice: keep one")
            seen.add(word)
            lines[(*place, word)] = line
            _walk(value, (*place, word), lines, above, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*place, index), lines, above, name)

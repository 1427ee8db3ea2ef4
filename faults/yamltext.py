"""A YAML file to plain data that still knows its places. Every problem is one line of text.

It begins with `file:line:column:`, counted from 1, as editors and compilers do it.

Refuses what would be read silently wrong: a key given twice, a structure that contains itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from faults.errors import ScenarioError

MAX_BYTES = 1 << 20  # a plan with a thousand faults is a tenth of this
KEPT = 256  # texts; a suite reads each scenario several times, 10 ms a time
MAX_NODES = 100_000  # aliases can make a small file endless
MOST_LEVELS = 50  # a plan has five
SHOWN = 50  # characters of a value that is none

Place = tuple[int | str, ...]
Mark = tuple[int, int]  # line and column, both from 1

START: Mark = (1, 1)

_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no file and no terminal takes it

_LISTS = {"scenario": "`python -m faults list`", "suite": "`locust --list-scenarios`"}


@dataclass(frozen=True, kw_only=True)
class Text:
    """A parsed file: its name for people, its data, and where each key and value in it begins."""

    name: str
    data: Any
    values: Mapping[Place, Mark]
    keys: Mapping[Place, Mark]

    def mark(self, place: Place, *, of_key: bool = False) -> Mark:
        """Give where a place begins, or the nearest thing around it."""
        if of_key and place in self.keys:
            return self.keys[place]
        while place and place not in self.values:
            place = place[:-1]
        return self.values.get(place, START)

    def error(self, place: Place, problem: str, *, of_key: bool = False) -> ScenarioError:
        """Make the one line about a value, or about the key it stands under."""
        return _error(self.name, self.mark(place, of_key=of_key), problem)


def _error(name: str, mark: Mark, problem: str) -> ScenarioError:
    return ScenarioError(f"{name}:{mark[0]}:{mark[1]}: {' '.join(problem.split())}")


def read_file(path: Path, shown: str, what: str = "scenario") -> Text:
    """Read a file; ScenarioError for one that is missing, no file, unreadable or no YAML.

    `what` is the file's kind in words.
    """
    try:
        if path.is_dir():
            raise ScenarioError(f"{shown} is a folder: give the {what} file in it")
        if not path.exists():
            raise ScenarioError(
                f"{shown} does not exist: give the path of a {what} file, or a name that "
                f"{_LISTS[what]} shows"
            )
        if not path.is_file():
            raise ScenarioError(f"{shown} is no regular file: give a {what} file")
        if path.stat().st_size > MAX_BYTES:
            raise ScenarioError(f"{shown} is larger than 1 MB: that is no {what}")
        content = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{shown} is not text in UTF-8: that is no {what}") from None
    except OSError as why:
        raise ScenarioError(f"{shown} cannot be read ({why.strerror}): check the path") from None
    return read_text(content, shown, what)


@functools.lru_cache(maxsize=KEPT)
def read_text(content: str, name: str, what: str = "scenario") -> Text:
    """Read YAML text that must be a mapping. The same text is read once: leave `data` as it is."""
    places = _Places(name)
    try:
        loader = _Loader(content)
        root = loader.get_single_node()
        if root is None:
            raise _error(name, START, f"the file is empty: a {what} needs at least a name")
        places.walk(root, (), [])
        data = loader.construct_document(root)
        if not isinstance(data, dict):
            problem = "no mapping of keys to values: begin with `name: ...` on a line"
            raise _error(name, _mark(root.start_mark), problem)
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        problem = f"not YAML: {why.problem or why.context}"
        raise _error(name, _mark(mark) if mark else START, problem) from None
    except yaml.reader.ReaderError as why:
        raise _error(name, _of_character(content, why), f"not YAML: {why.reason}") from None
    except (yaml.YAMLError, ValueError) as why:
        raise _error(name, START, f"not YAML: {str(why).splitlines()[0]}") from None
    except RecursionError:
        raise _error(name, START, "nested too deep: flatten it") from None
    return Text(name=name, data=data, values=places.values, keys=places.keys)


class _Loader(yaml.SafeLoader):
    """A SafeLoader that says where a value stands that its own tag does not fit.

    The constructors of `!!int`, `!!bool`, `!!timestamp` and the like take for granted that the
    text is one, and end in whatever Python says otherwise.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Give a node's value; ConstructorError with its place for one that has none."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
            kind = node.tag.rpartition(":")[2]
            shown = repr(node.value[:SHOWN]) if isinstance(node, yaml.ScalarNode) else "this"
            problem = f"{shown} is no {kind}: mend it, or put it in quotes without a tag"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def _mark(mark: Any) -> Mark:
    return mark.line + 1, mark.column + 1


def _of_character(content: str, why: yaml.reader.ReaderError) -> Mark:
    before = content[: why.position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _Places:
    """Where everything in a document begins; refuses what cannot be told apart by its place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[Place, Mark] = {}
        self.keys: dict[Place, Mark] = {}

    def walk(self, node: yaml.Node, place: Place, above: list[yaml.Node]) -> None:
        """Note a node and everything in it."""
        here = _mark(node.start_mark)
        self.values[place] = here
        if any(node is parent for parent in above) or len(self.values) > MAX_NODES:
            problem = "a part contains itself or is repeated without end: write it out"
            raise _error(self.name, here, problem)
        if len(above) > MOST_LEVELS:
            raise _error(self.name, here, "nested too deep: flatten it")
        self._whole(node)
        above = [*above, node]
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._key(key, (*place, str(key.value)))
                self.walk(value, (*place, str(key.value)), above)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self.walk(value, (*place, index), above)

    def _whole(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode) and (half := _SURROGATE.search(node.value)):
            problem = f"{half[0]!r} is half a character: write the character itself"
            raise _error(self.name, _mark(node.start_mark), problem)

    def _key(self, key: yaml.Node, place: Place) -> None:
        self._whole(key)
        mark = _mark(key.start_mark)
        if place in self.keys and place[-1] != "<<":
            raise _error(self.name, mark, f"the key {place[-1]!r} is given twice: keep one")
        self.keys[place] = mark

"""From what pydantic found wrong in a file to the one line about it. Knows no kind of file.

One problem at a time, the first in the file: the others are often its consequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from faults.errors import ScenarioError
from faults.kinds import KINDS
from faults.yamltext import Mark, Place, Text
from memquake.nearest import nearest

SHOWN = 60  # characters of a value that does not fit

Locate = Callable[[Sequence[int | str]], Place]
KeysAround = Callable[[Place], Sequence[str]]


def explain(
    text: Text, why: ValidationError, *, keys_around: KeysAround, locate: Locate = tuple
) -> ScenarioError:
    """Make the line.

    `locate` turns pydantic's path into the file's; `keys_around` gives what may stand at a place.
    """

    # What is missing comes last: a key that is misspelt is unknown and missing at once.
    def rank(error: Any) -> tuple[bool, Mark]:
        return error["type"] == "missing", text.mark(locate(error["loc"]))

    first = min(why.errors(), key=rank)
    place = locate(first["loc"])
    word = str(place[-1]) if place else ""
    of_key = False
    context: Mapping[str, Any] = first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden" | "invalid_key":
            problem = f"unknown key {word!r} ({nearest(word, keys_around(place))})"
            return text.error(place, problem, of_key=True)
        case "missing":
            owner = f"{_dotted(place[:-1])}: " if len(place) > 1 else ""
            return text.error(place[:-1], f"{owner}the key {word!r} is missing")
        case "union_tag_invalid":
            kind = str(context["tag"])
            return text.error((*place, "kind"), f"unknown kind {kind!r} ({nearest(kind, KINDS)})")
        case "union_tag_not_found":
            return text.error(place, f"the key 'kind' is missing (one of: {', '.join(KINDS)})")
        case "value_error":
            raised = context["error"]
            problem = str(raised)
            place = (*place, *getattr(raised, "place", ()))
            of_key = getattr(raised, "of_key", False)
        case _:
            problem = _plain(first["msg"], first["input"])
    problem = f"{_dotted(place)}: {problem}" if place else problem
    return text.error(place, problem, of_key=of_key)


def keys_of(model: type[BaseModel]) -> list[str]:
    """Give the keys a model takes, as written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _dotted(place: Place) -> str:
    return ".".join(str(step) for step in place)


def _plain(message: str, value: Any) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
    return f"{shown} does not fit: {message[:1].lower()}{message[1:]}"

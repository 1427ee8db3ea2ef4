"""What the operations of a workload are mixed from: a mix of one's own, and the shipped ones.

Knows neither Locust nor the users, so that options can be checked before anything is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

MIXED: Mapping[str, int] = {"get": 60, "set": 30, "delete": 5, "incr": 5}
"""MixedUser: a cache that is written more than the classic 30:1; of Twitter's 53 clusters, 20
write over 30 % (OSDI 2020)."""

HOT_KEY: Mapping[str, int] = {"get": 95, "set": 5}
ZIPF_ALPHA = 1.2  # median over Twitter's clusters is 1.21 (OSDI 2020)

OPERATIONS = ("get", "set", "add", "delete", "incr")
"""What a mix may name."""


class MixError(ValueError):
    """A mix that cannot be used. One line: what is wrong and how to mend it."""


def parse_mix(text: str) -> dict[str, int]:
    """Read `get=60,set=40` (parts by comma or space) into weights by operation.

    Raises MixError for an unknown operation, a repeated one, a weight that is not a whole number
    of 0 or more, or a mix in which nothing is left to do.
    """
    mix: dict[str, int] = {}
    for part in text.replace(",", " ").split():
        name, equals, weight = part.partition("=")
        if not equals or not weight.isascii() or not weight.isdigit():
            raise MixError(
                f"--mix {part!r} is not OPERATION=WEIGHT: give parts such as get=60,set=40"
            )
        if name not in OPERATIONS:
            near = get_close_matches(name, OPERATIONS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise MixError(
                f"--mix: unknown operation {name!r}: {hint}known are {', '.join(OPERATIONS)}"
            )
        if name in mix:
            raise MixError(f"--mix names {name} twice: give each operation once")
        mix[name] = int(weight)
    if not sum(mix.values()):
        raise MixError(f"--mix {text!r} leaves nothing to do: give at least one weight above 0")
    return mix

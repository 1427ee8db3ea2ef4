"""What a plan says about a fault, back to the fault's own class: the one place that checks it.

A plan has attributes in base units (`loss_share: 0.05`), a scenario file keys as people write them
(`percent: 5`). Each attribute is named after its key or its kind, with the unit behind it, so the
way back needs no table; a test holds every kind to that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from faults.kinds import KINDS, FaultSpec, Target

BYTES_IN_KB = 1000  # as Toxiproxy counts
_ANY = {"id": "any", "at": 0.0, "duration": 1.0}


class AttributeProblem(ValueError):  # noqa: N818 - a problem with one of them, by its name
    """An attribute that cannot be; `name` is "" where it is about all of them."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name


def spec_of(kind: str, attributes: Mapping[str, Any]) -> FaultSpec:
    """Make a fault of a kind with these attributes, somewhere; AttributeProblem if none can be."""
    keys: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in attributes.items():
        key, given = _key(kind, name, value)
        keys[key], names[key] = given, name
    try:
        spec = KINDS[kind](kind=kind, target=Target(mode="all"), **_ANY, **keys)
    except ValidationError as why:
        first = why.errors()[0]
        key = str(first["loc"][-1]) if first["loc"] else ""
        if first["type"] == "missing":
            raise AttributeProblem("", f"a fault of kind {kind} needs its {key}") from None
        raised = first.get("ctx", {}).get("error", first["msg"])
        raise AttributeProblem(names.get(key, ""), str(raised)) from None
    for name, value in spec.attributes().items():
        if name not in attributes or not _same(value, attributes[name]):
            raise AttributeProblem(name, f"{name} must be there, as for {value!r}")
    return spec


def _key(kind: str, name: str, value: Any) -> tuple[str, Any]:
    """Give the key that an attribute stands for, with its value as the key has it."""
    fields = KINDS[kind].model_fields
    stem, _, unit = name.rpartition("_")
    for key in (name, stem, unit):
        if key in fields and key not in FaultSpec.model_fields:
            # A count is a whole number again.
            return key, int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(value, float | int):
        if unit == "share" and "percent" in fields:
            return "percent", value * 100
        if name == "bytes_per_second" and "rate" in fields:
            return "rate", value / BYTES_IN_KB
    raise AttributeProblem(name, f"a fault of kind {kind} has no attribute {name!r}")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    return math.isclose(one, other, rel_tol=1e-9)

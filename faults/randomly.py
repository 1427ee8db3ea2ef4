"""Faults drawn from a seed: which kind, when, how long, on which nodes. Pure.

The same words, seed and node names give the same faults on every machine. Bounds that keep the
cluster fit to be judged, whatever is drawn: at every moment a node is left that nothing was done
to; faults that overlap in time share no node, so none can hide another; between two faults that
do not overlap lies a gap in which the cluster can recover; and no node is hit far more often than
another, so that each is seen unharmed while others are not.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, model_validator

from faults.drawable import DRAWABLE, ON_NO_NODE
from faults.errors import PlacedError
from faults.kinds import KINDS, STRICT
from memquake.nearest import nearest
from memquake.units import Duration, PositiveDuration

FAULTS = 6  # enough for pairs that matter, few enough to be read
MOST_FAULTS = 200
SHORTEST_S = 20.0  # at time scale 0.3 four whole seconds between the edges of a fault
LONGEST_S = 30.0
GAP_S = 8.0  # a good client is back in service 2 s after a heal, also at time scale 0.3
LEAST_NODES = 2  # one that is broken, and one that is not

BESIDE = 0.35  # share of faults that overlap with the one before
SEVERAL = 0.3  # share of faults that hit more than one node where that is possible
MOST_AHEAD = 2  # a node that was hit so much more often than another is not hit again before it
BEGINS_WITHIN = (0.2, 0.6)  # where in the fault before it one that overlaps begins


class RandomFaults(BaseModel):
    """What a scenario says about faults that are drawn."""

    model_config = STRICT
    faults: int = Field(default=FAULTS, ge=1, le=MOST_FAULTS, strict=True)
    kinds: tuple[str, ...] = ()  # none: every kind that may be drawn
    shortest: PositiveDuration = SHORTEST_S
    longest: PositiveDuration = LONGEST_S
    gap: Duration = GAP_S

    @model_validator(mode="after")
    def _can_be_drawn(self) -> RandomFaults:
        known = drawable_kinds()
        for index, kind in enumerate(self.kinds):
            if kind not in known:
                problem = f"{kind!r} cannot be drawn ({nearest(kind, known)})"
                raise PlacedError(("kinds", index), problem)
        if self.longest < self.shortest:
            raise PlacedError(("longest",), "longest is shorter than shortest: swap the two")
        return self


def drawable_kinds() -> list[str]:
    """Give the kinds that chance may pick, in a fixed order."""
    return sorted(kind for kind in DRAWABLE if kind in KINDS)


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Where a fault ended up. Seconds of the testing phase, unscaled."""

    at_s: float
    end_s: float
    nodes: frozenset[str]
    beside: bool  # overlaps with the one before


def draw_faults(words: RandomFaults, *, seed: int, nodes: Sequence[str]) -> list[dict[str, Any]]:
    """Give so many faults as a scenario file has them; at least two nodes are needed."""
    kinds = sorted(set(words.kinds)) or drawable_kinds()
    found: list[dict[str, Any]] = []
    before: _Drawn | None = None
    cursor = 0.0
    hits = dict.fromkeys(nodes, 0)
    for number in range(1, words.faults + 1):
        # A source for each, so that one more fault changes none of the others.
        rng = random.Random(f"{seed}:random:{number}")
        kind = rng.choice(kinds)
        place = _place(rng, words, kind, hits=hits, before=before, cursor=cursor)
        cursor = max(cursor, place.end_s)
        before = place
        for node in place.nodes:
            hits[node] += 1
        fault: dict[str, Any] = {
            "id": f"{number}-{kind}",
            "at": f"{place.at_s:g}s",
            "duration": f"{place.end_s - place.at_s:g}s",
            "kind": kind,
            **_attributes(rng, DRAWABLE[kind]),
        }
        if place.nodes:
            fault["target"] = {"nodes": [node for node in nodes if node in place.nodes]}
        found.append(fault)
    return found


def _place(
    rng: random.Random,
    words: RandomFaults,
    kind: str,
    *,
    hits: Mapping[str, int],
    before: _Drawn | None,
    cursor: float,
) -> _Drawn:
    """Choose when and where; everything is drawn whether it is used or not."""
    length = _tenths(rng.uniform(words.shortest, words.longest))
    gap = _tenths(rng.uniform(words.gap, 1.5 * words.gap))
    within = rng.uniform(*BEGINS_WITHIN)
    wants_beside = rng.random() < BESIDE
    several = rng.random() < SEVERAL
    order = rng.sample(list(hits), len(hits))
    order.sort(key=lambda node: hits[node] >= min(hits.values()) + MOST_AHEAD)
    on_no_node = KINDS[kind].backend in ON_NO_NODE
    free = [node for node in order if before is None or node not in before.nodes]
    # Two at most at a time: the third would have to spare the nodes of both.
    fits = before is not None and before.nodes and not before.beside and len(free) > 1
    if wants_beside and fits and before is not None and not on_no_node:
        at_s = _tenths(before.at_s + within * (before.end_s - before.at_s))
    else:
        free, wants_beside = order, False
        at_s = _tenths(cursor + gap) if before is not None else 0.0
    count = rng.randint(1, len(free) - 1) if several else 1
    hit = frozenset() if on_no_node else frozenset(free[:count])
    return _Drawn(at_s=at_s, end_s=_tenths(at_s + length), nodes=hit, beside=wants_beside)


def _attributes(rng: random.Random, ranges: Mapping[str, Any]) -> dict[str, Any]:
    return {key: source.draw(rng) for key, source in ranges.items()}


def _tenths(seconds: float) -> float:
    """Round to what a person would write; never to nothing."""
    return max(0.1, round(seconds, 1)) if seconds > 0 else 0.0

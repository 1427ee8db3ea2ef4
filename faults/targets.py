"""Which nodes each fault of a scenario hits, by its target and the seed. Pure.

Each fault draws from a source of its own, so that leaving one fault out changes no other. Two
faults may overlap, but not on one node when one of them would hide the other: a fault that cannot
be seen cannot be confirmed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from faults.effect import Effect
from faults.kinds import FaultSpec, kind_of
from faults.model import Scenario
from faults.schedule import Slot
from memquake.nearest import nearest


def choose_nodes(
    scenario: Scenario, slots: Sequence[Slot], nodes: Sequence[str], seed: int
) -> dict[str, tuple[str, ...]]:
    """Give fault id -> its nodes: the faults that leave no choice first, then by seed.

    Raises ScenarioError for a target that cannot be met.
    """
    by_fault: dict[str, list[Slot]] = {}
    for slot in slots:
        by_fault.setdefault(slot.spec.id, []).append(slot)
    chosen: dict[str, tuple[str, ...]] = {}
    free_last = sorted(scenario.faults, key=lambda spec: _leaves_choice(spec, len(nodes)))
    for spec in free_last:
        taken = {
            node: other
            for other, theirs in chosen.items()
            if _hide_each_other(by_fault[spec.id], by_fault[other])
            for node in theirs
        }
        chosen[spec.id] = _choose(scenario, spec, nodes, taken, seed)
    return chosen


def _leaves_choice(spec: FaultSpec, count: int) -> bool:
    return spec.target.nodes is None and spec.target.count(count) < count


def _hide_each_other(some: Sequence[Slot], others: Sequence[Slot]) -> bool:
    one, other = some[0].spec, others[0].spec
    if kind_of(one) != kind_of(other) and "workers" in (one.backend, other.backend):
        return False  # what load processes do to themselves is seen whatever a node does
    effects = one.effects_of(one.attributes()) | other.effects_of(other.attributes())
    hiding = Effect.UNAVAILABLE in effects or kind_of(one) == kind_of(other)
    return hiding and any(
        a.at_s < b.end_s - 1e-9 and b.at_s < a.end_s - 1e-9 for a in some for b in others
    )


def _choose(
    scenario: Scenario,
    spec: FaultSpec,
    nodes: Sequence[str],
    taken: Mapping[str, str],
    seed: int,
) -> tuple[str, ...]:
    _check_target(scenario, spec, nodes)
    target = spec.target
    if target.nodes is not None:
        picked = [node for node in nodes if node in target.nodes]
    else:
        # Sampling all, then taking the free ones: a conflict moves no other choice.
        order = random.Random(f"{seed}:{spec.id}").sample(list(nodes), len(nodes))
        free = [node for node in order if node not in taken] + [n for n in order if n in taken]
        count = target.count(len(nodes))
        picked = [node for node in nodes if node in free[:count]]
    for node in picked:
        if node in taken:
            problem = (
                f"fault {spec.id} overlaps with fault {taken[node]} on {node}, and one would hide "
                "the other: move one in time, or name other nodes"
            )
            raise scenario.error(_place(scenario, spec), problem)
    return tuple(picked)


def _check_target(scenario: Scenario, spec: FaultSpec, nodes: Sequence[str]) -> None:
    target, where = spec.target, (*_place(scenario, spec), "target")
    for index, node in enumerate(target.nodes or ()):
        if node not in nodes:
            problem = f"fault {spec.id} names the unknown node {node!r} ({nearest(node, nodes)})"
            raise scenario.error((*where, "nodes", index), problem)
    count = target.count(len(nodes))
    if count == 0:
        problem = (
            f"fault {spec.id} matches no node: {target.value} percent of {len(nodes)} is less "
            f"than one; give {math.ceil(100 / max(1, len(nodes)))} or more"
        )
        raise scenario.error((*where, "value"), problem)
    if count > len(nodes):
        problem = f"fault {spec.id} wants {count} nodes and there are {len(nodes)}: want fewer"
        raise scenario.error((*where, "value"), problem)


def _place(scenario: Scenario, spec: FaultSpec) -> tuple[str, int]:
    return "faults", scenario.faults.index(spec)

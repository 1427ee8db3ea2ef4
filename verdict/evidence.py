"""The largest contributors to what a check found: what, where, when, how many, and one real case.

A check gives the windows that it decided by and says which calls of them count; they are grouped
here by operation, node and outcome, and apart where the windows are not in a row. The rule: nothing
outside the given windows is ever shown, and nothing here decides anything.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from client.operation import FAILURES, Outcome
from faults.journal import FaultRecord
from telemetry.histogram import lowest_us, percentile_us
from telemetry.samples import KEYS_NAMED
from telemetry.window import SLICES_A_SECOND, WAITING_FROM_US, Cell, Window
from verdict.answers import MOST_CONTRIBUTORS
from verdict.model import CheckResult, Contributor
from verdict.phases import FaultSpan
from verdict.sums import waiting_calls
from verdict.tallies import VAGUE, WAITED, Tallies
from verdict.view import View

CountOf = Callable[[int, str, str, str, Cell], int]
"""How many calls of a cell count, given its second, operation, node and outcome."""

Triple = tuple[str, int, int]  # node, second, count

FINDING_OUTCOMES: Mapping[str, str] = {
    "programming_error": Outcome.BUG,
    "bad_result": Outcome.BAD_RESULT,
}


_BUCKET = 0.9
"""A bucket begins above this share of its end."""


def examples_of(view: View) -> list[Mapping[str, Any]]:
    """Give every call that the load processes kept, wrong values and findings among them."""
    wrong = [{"outcome": str(Outcome.WRONG_VALUE), **each} for each in view.facts.wrong_values]
    found = [
        {"outcome": str(FINDING_OUTCOMES[each["kind"]]), **each}
        for each in view.facts.findings
        if each.get("kind") in FINDING_OUTCOMES
    ]
    return [*wrong, *found, *view.facts.samples]


def calls(
    view: View, seconds: Iterable[int], count_of: CountOf, *, longest: bool = False
) -> tuple[Contributor, ...]:
    """Give the largest groups of the calls that count in some windows."""
    tallies = Tallies()
    for stretch, second in stretches(view, seconds):
        window = view.windows.get(second)
        for (op, node, outcome), cell in window.cells.items() if window is not None else ():
            count = count_of(second, op, node, outcome, cell)
            if not count or window is None:
                continue
            for name, part in _by_class(window, op, node, outcome, count):
                tallies.add(op, node, name, part, second, window.end, stretch)
    return tallies.largest(examples_of(view), longest=longest)


def _by_class(
    window: Window, op: str, node: str, outcome: str, count: int
) -> list[tuple[str, int]]:
    """Give (outcome, count), with the classes of what was raised where the outcome says little."""
    if outcome not in VAGUE:
        return [(outcome, count)]
    named = {
        f"{outcome}: {kind}": min(count, raised)
        for (of, on, like, kind), raised in window.raised.items()
        if (of, on, like) == (op, node, outcome)
    }
    rest = count - sum(named.values())
    return [*named.items(), *([(outcome, rest)] if rest > 0 else [])]


def failures(view: View, seconds: Iterable[int], *nodes: str) -> tuple[Contributor, ...]:
    """Give the largest groups of failed calls, on the named nodes ("" for batches) or on all."""

    def count_of(_second: int, _op: str, node: str, outcome: str, cell: Cell) -> int:
        return cell.count if outcome in FAILURES and (not nodes or node in nodes) else 0

    return calls(view, seconds, count_of)


def bad_operations(view: View, seconds: Iterable[int], node: str) -> tuple[Contributor, ...]:
    """Give the failed calls to a node; where there are none, the keys that batches named."""
    chosen = list(seconds)
    named = [
        (node, second, count)
        for second in chosen
        if (window := view.windows.get(second)) is not None
        and (count := window.batch_failed.get(node, 0))
    ]
    return failures(view, chosen, node) or by_second(
        view, named, "get_many", KEYS_NAMED, view.facts.samples
    )


def outcomes(
    view: View, seconds: Iterable[int], wanted: Collection[str], *nodes: str
) -> tuple[Contributor, ...]:
    """Give the largest groups of calls with one of the outcomes."""

    def count_of(_second: int, _op: str, node: str, outcome: str, cell: Cell) -> int:
        return cell.count if outcome in wanted and (not nodes or node in nodes) else 0

    return calls(view, seconds, count_of)


def slow_calls(
    view: View, seconds: Iterable[int], over_us: float, *nodes: str
) -> tuple[Contributor, ...]:
    """Give the largest groups of calls that certainly took `over_us` or longer."""

    def count_of(_second: int, _op: str, node: str, _outcome: str, cell: Cell) -> int:
        if nodes and node not in nodes:
            return 0
        return _lasting(cell, over_us)

    return calls(view, seconds, count_of, longest=True)


def longest_calls(view: View, seconds: Iterable[int]) -> tuple[Contributor, ...]:
    """Give the operations that took most of the users' time, by the calls of 5 ms and longer."""
    return slow_calls(view, seconds, WAITING_FROM_US)


def waiting_groups(
    view: View, node: str, begin: float, end: float, over_us: float
) -> tuple[Contributor, ...]:
    """Return the largest groups of calls sent to a node between two moments that waited so long.

    By operation and outcome in whole seconds, by their time alone in the parts of others.
    """
    tallies = Tallies()
    inside = {second for second in view.windows if begin <= second and view.ends(second) <= end}
    for second in sorted(inside):
        window = view.windows[second]
        for (op, owner, outcome), cell in window.cells.items():
            if owner == node and (count := _lasting(cell, over_us)):
                tallies.add(op, node, outcome, count, second, window.end)
    for start, part in view.slices(node, begin, end):
        if math.floor(start) not in inside and (count := waiting_calls(part, over_us)):
            is_after = any(start > second for second in inside)
            end_of_slice = start + 1 / SLICES_A_SECOND
            tallies.add("", node, WAITED, count, start, end_of_slice, int(is_after))
    long = [each for each in view.facts.samples if each.get("took_ms", 0.0) * 1000 >= over_us]
    return tallies.largest(long, longest=True)


def _lasting(cell: Cell, over_us: float) -> int:
    """Count the calls that certainly took so long."""
    return sum(count for bucket, count in cell.service.items() if lowest_us(bucket) >= over_us)


def missing(
    view: View, seconds: Sequence[int], before: Sequence[int], *nodes: str
) -> tuple[Contributor, ...]:
    """Give the operations and nodes that lack most calls against the windows before."""
    if not seconds or not before:
        return ()
    usual, now = (_by_operation(view, part, nodes) for part in (before, seconds))
    was_s, now_s = (
        sum(view.ends(second) - second for second in part) for part in (before, seconds)
    )
    tallies = Tallies()
    for (op, node), count in usual.items():
        lacking = round(count / was_s * now_s - now.get((op, node), 0))
        if lacking > 0:
            tallies.add(
                op,
                node,
                "fewer calls than in the baseline",
                lacking,
                seconds[0],
                view.ends(seconds[-1]),
            )
    return tallies.largest()


def _by_operation(
    view: View, seconds: Iterable[int], nodes: Collection[str]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for second in seconds:
        window = view.windows.get(second)
        for (op, node, outcome), cell in window.cells.items() if window is not None else ():
            if outcome not in FAILURES and (not nodes or node in nodes):
                found[op, node] = found.get((op, node), 0) + cell.count
    return found


def by_second(
    view: View,
    items: Iterable[Triple],
    operation: str,
    outcome: str,
    examples: Sequence[Mapping[str, Any]] = (),
) -> tuple[Contributor, ...]:
    """Give the nodes with the most of what was counted by node and second.

    What was before a fault and what came after it are apart.
    """
    tallies = Tallies()
    edges = [edge for span in view.phases.spans for edge in (span.injected, span.healed)]
    for node, second, count in items:
        stretch = sum(edge <= second for edge in edges)
        tallies.add(operation, node, outcome, count, second, second + 1, stretch)
    return tallies.largest(examples)


def kept_findings(
    findings: Iterable[Mapping[str, Any]], at: str = "at_s"
) -> tuple[Contributor, ...]:
    """Give findings that were kept, grouped by kind, operation and node; `at` names their time."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for each in findings:
        key = str(each.get("kind", "finding")), str(each.get("op", "")), str(each.get("node", ""))
        groups.setdefault(key, []).append(each)
    ranked = sorted(groups.items(), key=lambda item: len(item[1]), reverse=True)
    total = sum(map(len, groups.values()))
    return tuple(
        Contributor(
            outcome=kind.replace("_", " "),
            operation=op,
            node=node,
            from_s=min(times, default=None),
            to_s=max(times, default=None),
            count=len(kept),
            share=len(kept) / total,
            example=kept[0],
        )
        for (kind, op, node), kept in ranked[:MOST_CONTRIBUTORS]
        for times in [[each[at] for each in kept if each.get(at) is not None]]
    )


def disturbances(view: View, seconds: Iterable[int]) -> tuple[Contributor, ...]:
    """Give when the load generator was late or its machine busy, and the worst of those seconds.

    Of the given windows those that were saturated, starved or robbed; all, where none was.
    """
    chosen = [second for second in sorted(set(seconds)) if second in view.windows]
    bad = [second for second in chosen if second in view.disturbed | view.robbed] or chosen
    if not bad:
        return ()
    worst = max(bad, key=lambda second: _lateness(view, second))
    shown = {"at_s": worst, **_of_the_machine(view, worst)}
    words = [said.format(shown[name]) for name, said in _SAID.items() if shown.get(name)]
    return (
        Contributor(
            outcome=f"load generator and its machine: {', '.join(words) or 'not measured'}",
            from_s=bad[0],
            to_s=view.windows[bad[-1]].end,
            count=len(bad),
            share=len(bad) / len(chosen),
            example=shown,
        ),
    )


_SAID: Mapping[str, str] = {
    "hub_lag_p99_ms": "hub lag p99 {:g} ms",
    "cpu_of_a_worker": "CPU of a worker {:.0%}",
    "queued_for_a_core_s": "queued for a core {:g} s a second",
    "taken_by_hypervisor_s": "the hypervisor took {:g} s a second",
}


def _lateness(view: View, second: int) -> tuple[float, float]:
    seen = _of_the_machine(view, second)
    return seen.get("hub_lag_p99_ms", 0.0), seen.get("cpu_of_a_worker", 0.0)


def _of_the_machine(view: View, second: int) -> dict[str, float]:
    """Give what is known of a window's load processes and of their machine."""
    window = view.windows[second]
    found: dict[str, float] = {}
    lag = percentile_us(window.lag, 0.99)
    if lag is not None:
        found["hub_lag_p99_ms"] = round(lag / 1000, 1)
    if window.cpu:
        found["cpu_of_a_worker"] = round(max(window.cpu.values()), 2)
    if window.machine is not None:
        found["queued_for_a_core_s"] = round(window.machine.waited, 2)
        found["taken_by_hypervisor_s"] = round(window.machine.stolen, 2)
    return found


def lost_workers(view: View) -> tuple[Contributor, ...]:
    """Give the load processes that did not report to the end."""
    return tuple(
        Contributor(
            outcome=f"{worker.id} was lost",
            from_s=worker.lost_at_s,
            to_s=view.phases.load_end,
            count=worker.operations,
        )
        for worker in view.facts.workers
        if worker.lost_at_s is not None
    )


def not_injected(view: View) -> tuple[Contributor, ...]:
    """Give the planned faults that were never injected."""
    return tuple(
        _of_fault(record, "not injected", "not begun", record.planned_at_s, record.planned_end_s)
        for record in view.facts.faults
        if record.injected_at_s is None
    )[:MOST_CONTRIBUTORS]


def unconfirmed(span: FaultSpan, node: str = "") -> tuple[Contributor, ...]:
    """Give a fault that was injected and not confirmed."""
    unseen = "its effect was not seen"
    found = _of_fault(span.record, "not confirmed", unseen, span.injected, span.healed)
    return (dataclasses.replace(found, node=node or found.node),)


def unhealed(view: View) -> tuple[Contributor, ...]:
    """Give the faults that were injected and not seen to heal."""
    end = view.facts.duration_s
    return tuple(
        _of_fault(record, "not seen to heal", "no reason known", record.injected_at_s, end)
        for record in view.facts.faults
        if record.injected_at_s is not None and record.healed_at_s is None
    )[:MOST_CONTRIBUTORS]


def _of_fault(
    record: FaultRecord, what: str, otherwise: str, begin: float | None, end: float
) -> Contributor:
    """Return a fault that was not what it should be, and why; `otherwise` where nothing is said."""
    return Contributor(
        outcome=f"{record.id} was {what}: {record.why_not or otherwise}",
        node=", ".join(record.nodes),
        from_s=begin,
        to_s=end,
    )


def lacking(
    what: str,
    count: int,
    needed: float,
    *,
    node: str = "",
    seconds: Sequence[int] = (),
    span: tuple[float, float] | None = None,
) -> tuple[Contributor, ...]:
    """Give what there is too little of: `count` where `needed` are needed."""
    if seconds and span is None:
        span = min(seconds), max(seconds) + 1
    begin, end = span if span is not None else (None, None)
    return (
        Contributor(
            outcome=f"too few {what}: {needed:,.0f} needed",
            node=node,
            from_s=begin,
            to_s=end,
            count=count,
        ),
    )


def too_few_windows(
    seconds: Sequence[int], baseline: Sequence[int], needed: int, *, node: str = ""
) -> tuple[Contributor, ...]:
    """Give which of two stretches to compare is too short."""
    found: tuple[Contributor, ...] = ()
    for what, part in (("windows to judge", seconds), ("windows of baseline", baseline)):
        if len(part) < needed:
            found += lacking(what, len(part), needed, node=node, seconds=part)
    return found


def slower(
    view: View, seconds: Sequence[int], result: CheckResult, was_ms: float, *nodes: str
) -> tuple[Contributor, ...]:
    """Give the calls that were slower than a comparison of p99s with `was_ms` allows."""
    allowed_us = 1000 * (result.limit or 0.0) * was_ms
    found = slow_calls(view, seconds, allowed_us, *nodes)
    # A bucket that only begins below the limit holds the calls where none is certainly over it.
    return found or slow_calls(view, seconds, allowed_us * _BUCKET, *nodes)


def stretches(view: View, seconds: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Return (number of the stretch, second): windows in a row, however long, are one stretch."""
    number = 0
    for before, second in itertools.pairwise([None, *sorted(set(seconds))]):
        assert second is not None
        number += before is not None and second != view.ends(before)
        yield number, second

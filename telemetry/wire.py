"""Seconds of a run as plain lists and dictionaries, for a message between processes.

Its job is to be compact and exact: integers go in and the same integers come out. Histograms are
flat lists of alternating bucket and count. A second names only what it holds. This module knows
neither when a second is sent nor to whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from telemetry.histogram import Histogram
from telemetry.window import Cell, NodeState, Pacing, Slice, Window

CellKey = tuple[str, str, str]

Wire = dict[str, Any]
"""Keys: t second, c cells, s slices, b batch_failed, k batch_keys, a batch_calls, d batch_alone,
q batch_nothing, x raised, o the harness's own connections and commands by node, p pacing, l lag,
r origin calls and peak;
and, of this process alone: u users, n node states, g share of a core."""


def flat(histogram: Mapping[int, int]) -> list[int]:
    """Give a histogram as [bucket, count, bucket, count, ...]."""
    return [number for pair in histogram.items() for number in pair]


def add_flat(target: Histogram, numbers: Sequence[int]) -> None:
    """Add a flat histogram to `target`."""
    pairs = iter(numbers)
    for bucket, count in zip(pairs, pairs, strict=True):
        target[bucket] = target.get(bucket, 0) + count


def pack_cell(key: CellKey, cell: Cell) -> list[Any]:
    """Give one cell with its key."""
    op, node, outcome = key
    return [
        str(op),
        str(node),
        str(outcome),
        cell.count,
        cell.keys,
        cell.hits,
        flat(cell.service),
        flat(cell.response),
    ]


def add_cell(target: dict[CellKey, Cell], packed: Sequence[Any]) -> None:
    """Add a packed cell to the cells of `target`."""
    op, node, outcome, count, keys, hits, service, response = packed
    cell = target.get((op, node, outcome))
    if cell is None:
        cell = target[op, node, outcome] = Cell()
    cell.count += count
    cell.keys += keys
    cell.hits += hits
    add_flat(cell.service, service)
    add_flat(cell.response, response)


def pack_slice(tenth: int, node: str, part: Slice) -> list[Any]:
    """Give one slice with its key."""
    return [
        tenth,
        node,
        part.calls,
        part.failed,
        part.unattempted,
        flat(part.waiting),
        flat(part.waiting_failed),
    ]


def add_slice(target: dict[tuple[int, str], Slice], packed: Sequence[Any]) -> None:
    """Add a packed slice to the slices of `target`."""
    tenth, node, calls, failed, unattempted, waiting, waiting_failed = packed
    part = target.get((tenth, node))
    if part is None:
        part = target[tenth, node] = Slice()
    part.calls += calls
    part.failed += failed
    part.unattempted += unattempted
    add_flat(part.waiting, waiting)
    add_flat(part.waiting_failed, waiting_failed)


def pack_pacing(pacing: Pacing) -> list[int]:
    """Give pacing counts in the order of their fields."""
    return [
        pacing.planned,
        pacing.sent,
        pacing.dropped,
        pacing.busy_samples,
        pacing.late_samples,
    ]


def pack_state(state: NodeState) -> list[Any]:
    """Give one node's state as one process saw it."""
    return [
        dict(state.breaker),
        state.idle,
        state.in_use,
        state.opened_total,
        state.probes_total,
        state.created_total,
    ]


def unpack_state(packed: Sequence[Any]) -> NodeState:
    """Rebuild a node's state from `pack_state`."""
    breaker, idle, in_use, opened, probes, created = packed
    return NodeState(
        breaker=dict(breaker),
        idle=idle,
        in_use=in_use,
        opened_total=opened,
        probes_total=probes,
        created_total=created,
    )


def add_counts(window: Window, second: Wire) -> None:
    """Add the counts of a packed second to a window; what is a state is left alone."""
    for packed in second.get("c", ()):
        add_cell(window.cells, packed)
    for packed in second.get("s", ()):
        add_slice(window.slices, packed)
    for counts, packed in (
        (window.batch_failed, second.get("b", {})),
        (window.batch_keys, second.get("k", {})),
        (window.batch_calls, second.get("a", {})),
        (window.batch_alone, second.get("d", {})),
    ):
        for node, count in packed.items():
            counts[node] = counts.get(node, 0) + count
    for how, nodes, count in second.get("q", ()):
        key = (how, tuple(nodes))
        window.batch_nothing[key] = window.batch_nothing.get(key, 0) + count
    for op, node, outcome, kind, count in second.get("x", ()):
        raised = (op, node, outcome, kind)
        window.raised[raised] = window.raised.get(raised, 0) + count
    for node, (connections, commands, misses) in second.get("o", {}).items():
        window.own_connections[node] = window.own_connections.get(node, 0) + connections
        window.own_commands[node] = window.own_commands.get(node, 0) + commands
        window.own_misses[node] = window.own_misses.get(node, 0) + misses
    if "p" in second:
        window.pacing.add(Pacing(*second["p"]))
    add_flat(window.lag, second.get("l", ()))
    if "r" in second:
        calls, peak = second["r"]
        window.origin_calls += calls
        window.origin_peak = max(window.origin_peak, peak)

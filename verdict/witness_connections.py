"""The servers as witnesses of connections: what a heal set off.

Each server counts the connections ever made to it, and is asked directly once a second; a sample of
second k is taken just after the second begins, so what grew from one to the next belongs to the
first. What the harness itself connected is in the same counts and is taken off: the master's by a
running total read at the same moment, a load process's own by the second.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from faults.effect import Effect
from verdict.answers import held, inconclusive, not_applicable, worst
from verdict.compare import taken_back
from verdict.evidence import lacking, not_injected, unhealed
from verdict.model import CheckResult, Contributor
from verdict.phases import FaultSpan
from verdict.recovery import recoveries
from verdict.view import View

STORM_EFFECTS = frozenset({Effect.UNAVAILABLE, Effect.DEGRADED})
UNSETTLED = 3
"""A probe that the heal cut off, and a connection on its way while the server counted."""

BORN_WITH = 2
"""Connections that a memcached counts when it has just begun: its own listening ones."""


@dataclass(frozen=True, kw_only=True)
class ConnectionStep:
    """New connections of one node between two samples, the harness's own taken off."""

    begin: int
    end: int
    grown: int
    restarted: bool
    open_more: int  # connections that were open at its end and not at its begin

    @property
    def per_second(self) -> float:
        """New connections a second; after a restart all of them came since the node was back."""
        return float(self.grown) if self.restarted else self.grown / (self.end - self.begin)


def no_reconnect_storm(view: View) -> CheckResult:
    """Open no more new connections to a node in the second after its heal than the pools hold."""
    name = "no_reconnect_storm"
    faults = [record for record in view.facts.faults if STORM_EFFECTS & record.effects]
    if not faults:
        return not_applicable(name, "no node was made unavailable or degraded")
    limit = view.limit(name)
    parts = [
        part
        for span, node in recoveries(view)
        if STORM_EFFECTS & span.record.effects
        if (part := _after_heal(view, span, node, limit)) is not None
    ]
    if not parts:
        why = view.because("no full second between a heal and what came next")
        few = lacking("full seconds between a heal and what came next", 0, 1)
        seen = unhealed(view) or not_injected(view) or few
        return inconclusive(name, why, limit=limit, evidence=lambda: seen)
    return worst(name, parts)


def _after_heal(view: View, span: FaultSpan, node: str, limit: float) -> CheckResult | None:
    name = "no_reconnect_storm"
    where = f"{node} after {span.record.id}"
    if not span.was_healed:
        why = view.because(f"{where}: it never healed")
        return inconclusive(name, why, limit=limit, evidence=lambda: unhealed(view))
    most = busiest_second(view, span, node)
    if most is None:
        until = view.phases.next_injection(node, span.healed)
        if until < view.phases.load_end:
            return None
        why = view.because(f"{where}: the server was not asked in time")
        few = lacking("counts of the server", 0, 2, node=node, span=(span.heal, span.healed + 1))
        return inconclusive(name, why, limit=limit, evidence=lambda: few)
    rate, step = most
    why = f"{where}: {rate:.0f} new connections in a second"
    storm = Contributor(
        outcome="new connections counted by the server in the second after the heal",
        node=node,
        from_s=step.begin,
        to_s=step.end,
        count=round(rate),
        example={"fault": span.record.id, "healed_s": span.healed, "per_second": round(rate, 1)},
    )
    result = held(
        name,
        rate <= limit + UNSETTLED,
        why,
        observed=rate,
        limit=limit,
        evidence=lambda: [storm],
    )
    if rate > limit + UNSETTLED and not view.facts.connections_are_ours:
        return taken_back(result, "others may have made them")
    return result


def reconnects(view: View, span: FaultSpan, node: str) -> float | None:
    """Give the most new connections of a node in a second after its heal, None without samples."""
    most = busiest_second(view, span, node)
    return None if most is None else most[0]


def busiest_second(view: View, span: FaultSpan, node: str) -> tuple[float, ConnectionStep] | None:
    """Give the most new connections of a node in any second that touches the one after its heal.

    Of a second that the heal cuts in two, what came in the second before is taken off: a client
    that connects all the time does no more than that because of a heal. None without samples.
    """
    steps = connection_steps(view, node)
    until = view.phases.next_injection(node, span.healed)
    rates = []
    for before, step in itertools.pairwise([None, *steps]):
        assert step is not None
        if step.end <= span.heal or step.begin >= span.healed + 1.0 or step.end > until:
            continue
        usual = 0.0
        if step.begin < span.healed and before is not None and not step.restarted:
            usual = max(0.0, before.per_second)
        rates.append((max(0.0, step.per_second - usual), step))
    return max(rates, key=lambda pair: pair[0], default=None)


def connection_steps(view: View, node: str) -> list[ConnectionStep]:
    """Give how a node's connections came and went from one sample to the next."""
    samples = [
        (window.second, stats)
        for window in view.facts.windows
        if (stats := window.server.get(node)) is not None and "total_connections" in stats
    ]
    return [_step(view, node, was, now) for was, now in itertools.pairwise(samples)]


def _step(
    view: View,
    node: str,
    was: tuple[int, Mapping[str, int]],
    now: tuple[int, Mapping[str, int]],
) -> ConnectionStep:
    (begin, before), (end, after) = was, now
    restarted = (
        before.get("pid") != after.get("pid")
        or after["total_connections"] < before["total_connections"]
    )
    start = BORN_WITH if restarted else before["total_connections"]
    own = after.get("own_connections", 0) - before.get("own_connections", 0)
    own += sum(
        view.windows[second].own_connections.get(node, 0)
        for second in range(begin, end + 1)  # counted up to a second late
        if second in view.windows
    )
    grown = max(0, after["total_connections"] - start - own)
    open_more = after.get("curr_connections", 0) - before.get("curr_connections", 0)
    return ConnectionStep(
        begin=begin, end=end, grown=grown, restarted=restarted, open_more=open_more
    )

"""Figures of what a fault cost beyond itself: on other nodes, on the servers, of the error budget.

Collateral damage is what happened to nodes that no fault touched while one was on. The burn rate is
the error rate against the error budget, as in Google's SRE workbook: a burn of 14.4 spends 2 % of a
month's budget in an hour, and somebody is paged.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from verdict.figures_of_faults import name_of
from verdict.model import Figure
from verdict.recovery import recoveries
from verdict.view import View
from verdict.witness_commands import amplification
from verdict.witness_connections import reconnects

PAGE_BURN = 14.4


def harm_figures(view: View) -> dict[str, Figure]:
    """Give collateral damage, reconnects on heal, amplification, and the burn of the budget."""
    found: dict[str, Figure] = {}
    if view.phases.spans:
        _collateral(view, found)
        _reconnects(view, found)
    ratio = max((sums.ratio for sums in amplification(view)), default=None)
    found["retry_amplification"] = Figure(value=ratio, unit="x")
    _burn(view, found)
    return found


def _collateral(view: View, found: dict[str, Figure]) -> None:
    """Count errors, and operations missing against the baseline, on unaffected nodes."""
    failed, missing = 0, 0.0
    usual = {
        node: statistics.median(view.sums(second, node).completed for second in steady)
        for node in view.facts.nodes
        if (steady := view.phases.baseline)
    }
    for second in _seconds_under_faults(view):
        for node in view.unaffected(second):
            sums = view.sums(second, node)
            failed += sums.failed
            missing += usual.get(node, 0.0) - sums.completed
    found["collateral_errors"] = Figure(value=failed, unit="count")
    lost = max(0.0, missing) if usual else None
    found["collateral_operations_missing"] = Figure(value=lost, unit="count")


def _seconds_under_faults(view: View) -> list[int]:
    return sorted({second for span in view.phases.spans for second in view.phases.during(span)})


def _reconnects(view: View, found: dict[str, Figure]) -> None:
    for span, node in recoveries(view):
        if span.was_healed:
            name = f"reconnects_on_heal_{name_of(node)}"
            rate = reconnects(view, span, node)
            before = found[name].value if name in found else None
            known = [value for value in (rate, before) if value is not None]
            found[name] = Figure(value=max(known, default=None), unit="1/s")


def _burn(view: View, found: dict[str, Figure]) -> None:
    """Give the burn of the whole run, of its worst second, and the seconds that would page."""
    budget = view.limit("error_budget")
    rates = {second: _error_rate(view, [second]) for second in view.row}
    overall = _error_rate(view, view.row)
    if not budget or overall is None:
        return
    found["error_budget_burn"] = Figure(value=overall / budget, unit="x")
    peak = max(filter(None, rates.values()), default=0.0)
    found["error_budget_burn_peak"] = Figure(value=peak / budget, unit="x")
    paging = sum(
        view.ends(second) - second
        for second, rate in rates.items()
        if rate is not None and rate / budget >= PAGE_BURN
    )
    found["error_budget_page_time"] = Figure(value=float(paging), unit="s")


def _error_rate(view: View, seconds: Iterable[int]) -> float | None:
    sums = view.total(seconds)
    return sums.failed / sums.operations if sums.operations else None

"""How late the hub was: what a wait may be blamed on, and no more than that."""

from __future__ import annotations

from collections.abc import Iterable

from telemetry.histogram import lowest_us, percentile_us
from verdict.view import View

STOOD_S = 0.05
"""A turn this late is no crowd of greenlets: the hub stood still."""


def hub_lag_s(view: View, seconds: Iterable[int], share: float) -> float:
    """Give this share's lag of the hub, the largest over these seconds; 1 for the worst of all."""
    worst_us = 0.0
    for second in seconds:
        window = view.windows.get(second)
        if window is None or not window.lag:
            continue
        if share < 1:
            worst_us = max(worst_us, percentile_us(window.lag, share) or 0.0)
        else:
            worst_us = max(worst_us, lowest_us(max(window.lag) + 1))
    return worst_us / 1e6


def hub_stood_s(view: View, seconds: Iterable[int]) -> float:
    """Give how long the hub stood still in these seconds altogether."""
    stood_us = 0.0
    for second in seconds:
        window = view.windows.get(second)
        for bucket, turns in window.lag.items() if window is not None else ():
            lag_us = lowest_us(bucket)
            if lag_us >= STOOD_S * 1e6:
                stood_us += lag_us * turns
    return stood_us / 1e6

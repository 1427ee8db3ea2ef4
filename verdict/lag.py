"""How late the hub was: what a wait may be blamed on, and no more than that."""

from __future__ import annotations

from collections.abc import Iterable

from telemetry.histogram import lowest_us, percentile_us
from verdict.view import View


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

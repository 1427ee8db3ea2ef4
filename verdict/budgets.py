"""The limit that holds in a run: what a budget says, else the check's default.

Some defaults depend on the run. What the names and kinds are stands in memquake.limits.
"""

from __future__ import annotations

from memquake.limits import LIMITS
from verdict.model import RunFacts

OPENING_GRACE_S = 1.0
"""A breaker needs failures to open, and the first of them takes a whole op_timeout to come."""


def limit_of(facts: RunFacts, name: str) -> float:
    """Return the limit that holds in this run: the budget's, else the default."""
    if name in facts.budgets:
        return float(facts.budgets[name])
    default = LIMITS[name].default
    if default is not None:
        return default
    if name == "breaker_opens_within":
        return facts.op_timeout_s + OPENING_GRACE_S
    clients = facts.groups * max(1, len(facts.workers))
    return float(facts.pool_size * clients)  # no_reconnect_storm

"""What in a client's snapshot cannot be true at any moment.

Pure. Only clear statements count: a number where a number is due, a label in the form of one. What
says nothing (text where a count should be, a state with a name of its own) contradicts nobody, and
what could be true is held against the run by the verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

COUNTS = ("idle", "in_use")


def impossible(said: Mapping[str, Any], known: Collection[str], pool_size: int) -> list[str]:
    """Give what cannot be in a snapshot (label -> state) of one client, in one line each."""
    found = [f"{label} is no node of this run" for label in said if label not in known]
    for label, state in said.items():
        pool = state.get("pool") if isinstance(state, Mapping) else None
        for name in COUNTS:
            count = pool.get(name) if isinstance(pool, Mapping) else None
            if not isinstance(count, int) or isinstance(count, bool):
                continue
            if count < 0:
                found.append(f"{label}: {name} is {count}")
            elif count > pool_size:
                found.append(f"{label}: {name} is {count}, of a pool of {pool_size}")
    return found

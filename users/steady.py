"""How long a key still has to live when a run begins, so that its hit ratio does not drift.

A key is written and deleted at random, each write with a new TTL. Had that gone on for ever, the
age of the last change would be exponential with the sum of both rates; the change was a write in
proportion to its rate, and the key is there if the TTL of that write exceeds its age. A prefill
drawn from this state starts the run where it would end up anyway.
"""

from __future__ import annotations

import math
import random

LONG_TTL_S = 86_400  # outlives any run; below the 30 days from which memcached reads a date
TTL_STEP_S = 3  # keys of one step share a set_many, and a run does not feel 1.5 s


def remaining_ttl(
    rng: random.Random, *, sets_a_s: float, deletes_a_s: float, low_s: float, high_s: float
) -> int | None:
    """Draw the whole seconds a key has left, None for a key that is not there.

    The rates are per key and second; a write's TTL is uniform from `low_s` to `high_s`. Where
    nothing is ever written there is no steady state but an empty one, which would measure
    nothing: then every key is there for the whole run.
    """
    if sets_a_s <= 0:
        return LONG_TTL_S
    changes_a_s = sets_a_s + deletes_a_s
    age_s = rng.expovariate(changes_a_s)
    written = rng.random() < sets_a_s / changes_a_s
    left_s = rng.uniform(low_s, high_s) - age_s
    if not written or left_s <= 0:
        return None
    return int(left_s / TTL_STEP_S) * TTL_STEP_S + (TTL_STEP_S + 1) // 2


def share_there(*, sets_a_s: float, deletes_a_s: float, low_s: float, high_s: float) -> float:
    """Return the share of keys that `remaining_ttl` finds there, on average."""
    if sets_a_s <= 0:
        return 1.0
    changes_a_s = sets_a_s + deletes_a_s
    # The age must be below a TTL that is uniform from low_s to high_s.
    longer = (math.exp(-changes_a_s * low_s) - math.exp(-changes_a_s * high_s)) / (
        changes_a_s * (high_s - low_s)
    )
    return sets_a_s / changes_a_s * (1 - longer)

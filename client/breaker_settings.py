"""The breaker's numbers, each with its reason, and the profiles they come in.

Times are float seconds. This module decides nothing: the breaker reads it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.checking import check_count, check_seconds, unknown
from client.operation import Outcome

SLOW_CALL_RATE = 0.5  # as for failures: half of the calls slow is a node that stalls its callers

COUNTABLE = (
    *(Outcome.TIMEOUT, Outcome.REFUSED, Outcome.CLOSED, Outcome.UNREACHABLE),
    *(Outcome.PROTOCOL_ERROR, Outcome.SERVER_ERROR, Outcome.CLIENT_ERROR),
    *(Outcome.POOL_TIMEOUT, Outcome.OTHER_ERROR),
)
"""Outcomes a breaker can be told to count or to ignore: those of a call that had its permit."""


@dataclass(frozen=True, kw_only=True)
class BreakerSettings:
    """When a node's breaker opens, for how long, and how it closes again.

    The defaults open on a black hole within one op_timeout as soon as five calls are in flight,
    and let a healed node back within 2 s: `open_max_s` plus the round trip of the probes.

    What counts without `counted` and `ignored` is the rule of `breaker_policy.verdict_of`. A rate
    is looked at when a call fails or is slow. A probe that is slow has failed. What a batch
    asks of one node counts as one call, so `slow_call_s` has to leave room for the largest.
    """

    consecutive_failures: int = 5  # five in a row are no accident below 40 % random loss
    failure_rate: float = 0.5  # share of failed calls in the window that opens
    minimum_calls: int = 20  # below this a rate says nothing
    window_s: float = 5.0  # long enough for minimum_calls at 4 calls a second
    buckets: int = 10  # the window slides in steps of window_s / buckets
    open_s: float = 1.0  # a dead node costs about one probe round a second
    open_jitter: float = 0.25  # each open time is up to this share shorter: processes do not align
    open_growth: float = 1.5  # factor after each failed probe round
    open_max_s: float = 1.5  # no open time is longer, however often the probes failed
    half_open_probes: int = 2  # two, at once: one lucky answer readmits nobody, yet one round trip
    probe_lease_s: float = 2.0  # a probe that never reports is written off after this
    slow_call_s: float | None = None  # a call this slow counts as slow; None: none does
    slow_call_rate: float = SLOW_CALL_RATE  # share of slow calls in the window that opens
    counted: Sequence[str] = ()  # outcomes that are the node's failures beside the usual ones
    ignored: Sequence[str] = ()  # outcomes that say nothing about the node

    def __post_init__(self) -> None:
        for name in ("consecutive_failures", "minimum_calls", "buckets", "half_open_probes"):
            check_count(f"breaker {name}", getattr(self, name))
        for name in ("window_s", "open_s", "open_max_s", "probe_lease_s"):
            check_seconds(f"breaker {name}", getattr(self, name))
        if self.slow_call_s is not None:
            check_seconds("breaker slow_call_s", self.slow_call_s)
        for name in ("failure_rate", "slow_call_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"breaker {name} must be in (0, 1], not {getattr(self, name)!r}")
        if not 0 <= self.open_jitter < 1:
            raise ValueError(f"breaker open_jitter must be in [0, 1), not {self.open_jitter!r}")
        if not 1 <= self.open_growth < math.inf:
            raise ValueError(f"breaker open_growth must be at least 1, not {self.open_growth!r}")
        if self.open_max_s < self.open_s:
            raise ValueError(
                f"breaker open_max_s {self.open_max_s!r} is below open_s {self.open_s!r}: "
                "raise the one or lower the other"
            )
        for name in ("counted", "ignored"):
            object.__setattr__(self, name, _outcomes(name, getattr(self, name)))
        for word in self.counted:
            if word in self.ignored:
                raise ValueError(f"breaker outcome {word!r} is both counted and ignored: drop one")

    @classmethod
    def of(cls, value: BreakerSettings | Mapping[str, Any] | str | None) -> BreakerSettings:
        """Make settings from a profile's name or a mapping of fields over a profile.

        A mapping may name its base with the key `profile`. Raises ValueError for unknown names.
        """
        if isinstance(value, BreakerSettings):
            return value
        fields: dict[str, Any] = {} if value is None or isinstance(value, str) else dict(value)
        profile = value if isinstance(value, str) else fields.pop("profile", DEFAULT_PROFILE)
        if profile not in BREAKER_PROFILES:
            raise ValueError(unknown("breaker profile", profile, BREAKER_PROFILES))
        known = [entry.name for entry in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise ValueError(unknown("breaker setting", name, known))
        base = BREAKER_PROFILES[profile]
        if "open_s" in fields and "open_max_s" not in fields:
            # One who only asks for a longer open time means it.
            check_seconds("breaker open_s", fields["open_s"])
            fields["open_max_s"] = max(fields["open_s"], base.open_max_s)
        return dataclasses.replace(base, **fields)


def _outcomes(name: str, words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise ValueError(f"breaker {name} must be a list of outcomes, not {words!r}")
    for word in words:
        if word not in COUNTABLE:
            raise ValueError(unknown(f"breaker {name} outcome", word, map(str, COUNTABLE)))
    return tuple(map(str, words))


DEFAULT_PROFILE = "default"
BREAKER_PROFILES: Mapping[str, BreakerSettings] = {
    DEFAULT_PROFILE: BreakerSettings(),
    # The numbers of the catalogue's stress suite: patient, for clusters behind retries.
    "catalogue": BreakerSettings(
        consecutive_failures=100,
        failure_rate=0.3,
        minimum_calls=10,
        window_s=30.0,
        buckets=3,
        open_s=5.0,
        open_jitter=0.0,
        open_growth=1.0,
        open_max_s=5.0,
        half_open_probes=3,
        probe_lease_s=5.0,
    ),
}

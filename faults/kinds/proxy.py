"""Kinds that Toxiproxy carries out, on the way between clients and a node.

Toxiproxy takes any number without a word (a latency of -5), so every range is held here and in
proxy_bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from faults.effect import Effect
from faults.kinds.base import FaultSpec
from faults.kinds.proxy_bytes import Bandwidth, LimitData, Slicer
from faults.kinds.proxy_way import OneWay, what_is_hit
from memquake.units import (
    Duration,
    parse_duration,
    parse_positive_duration,
    parse_share,
    spell_seconds,
)

LONGEST_LATENCY_S = 60.0
SHORTEST_LATENCY_S = 0.001  # Toxiproxy counts whole milliseconds


class Down(FaultSpec):
    """Nobody listens, open connections end: a node that is switched off."""

    backend = "toxiproxy"
    effects = frozenset({Effect.UNAVAILABLE})
    emulated_by = "Toxiproxy: proxy disabled, connections closed, new ones refused"
    kind: Literal["down"]


class Timeout(OneWay):
    """Connections are taken and nothing is ever answered."""

    backend = "toxiproxy"
    effects = frozenset({Effect.UNAVAILABLE})
    emulated_by = (
        "Toxiproxy: toxic bandwidth 0, connections stay open and replies are held; healing closes "
        "nothing and delivers what was held, as TCP does after a cut"
    )
    kind: Literal["timeout"]

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say what becomes of requests; held ones would be carried out long after."""
        if attributes.get("direction", "downstream") == "downstream":
            return cls.emulated_by
        held = " and replies held" if attributes["direction"] == "both" else ""
        return (
            f"Toxiproxy: toxic timeout 0, connections stay open, requests are dropped{held}; "
            "healing closes every connection of the proxy"
        )

    def attributes(self) -> Mapping[str, float | str]:
        """Give the direction where it is not downstream."""
        return self.way()


def _latency(raw: Any) -> float:
    seconds = parse_positive_duration(raw)
    if not SHORTEST_LATENCY_S <= seconds <= LONGEST_LATENCY_S:
        raise ValueError(f"{raw} is out of range: a latency lies between 1ms and 60s")
    return seconds


class Latency(OneWay):
    """Every reply comes later."""

    backend = "toxiproxy"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "Toxiproxy: toxic latency on replies; connecting is not delayed"
    kind: Literal["latency"]
    latency: Annotated[float, BeforeValidator(_latency)]
    jitter: Duration = 0.0

    @model_validator(mode="after")
    def _jitter_fits(self) -> Latency:
        if self.jitter > self.latency:
            raise ValueError(f"jitter of fault {self.id} is larger than its latency")
        return self

    @property
    def waits_s(self) -> float:
        """Seconds that a call waits, on average."""
        return self.latency * (2 if self.direction == "both" else 1)

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Name what is delayed."""
        each = ", each" if attributes.get("direction") == "both" else ""
        hit = what_is_hit(attributes)
        return f"Toxiproxy: toxic latency on {hit}{each}; connecting is not delayed"

    def attributes(self) -> Mapping[str, float | str]:
        """Give latency_s and jitter_s (uniform, plus and minus)."""
        return {"latency_s": self.latency, "jitter_s": self.jitter, **self.way()}


def _delay(raw: Any) -> float:
    seconds = parse_positive_duration(raw)
    if not SHORTEST_LATENCY_S <= seconds <= LONGEST_LATENCY_S:
        raise ValueError(f"{raw} is out of range: a delay lies between 1ms and 60s")
    return seconds


class SlowClose(OneWay):
    """The end of a connection is noticed later; as long as it lives nothing is wrong with it."""

    backend = "toxiproxy"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = (
        "Toxiproxy: toxic slow_close, the end of a connection comes later when the node ends it"
    )
    kind: Literal["slow_close"]
    delay: Annotated[float, BeforeValidator(_delay)]

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Name whose end comes later."""
        who = {"downstream": "the node ends it", "upstream": "the client ends it"}
        when = who.get(str(attributes.get("direction", "downstream")), "either side ends it")
        return f"Toxiproxy: toxic slow_close, the end of a connection comes later when {when}"

    def attributes(self) -> Mapping[str, float | str]:
        """Give delay_s."""
        return {"delay_s": self.delay, **self.way()}


def _reset_delay(raw: Any) -> float:
    seconds = parse_duration(raw)
    if seconds and not SHORTEST_LATENCY_S <= seconds <= LONGEST_LATENCY_S:
        raise ValueError(f"{raw} is out of range: a delay is 0, or lies between 1ms and 60s")
    return seconds


class ResetPeer(OneWay):
    """Every connection is reset as soon as something is said on it: no call gets an answer."""

    backend = "toxiproxy"
    # Not one call succeeds, so a good client gives the node up as it would a dead one.
    effects = frozenset({Effect.UNAVAILABLE})
    emulated_by = (
        "Toxiproxy: toxic reset_peer at the first reply; new connections end by RST, those that "
        "were open before end cleanly"
    )
    kind: Literal["reset_peer"]
    delay: Annotated[float, BeforeValidator(_reset_delay)] = 0.0

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Name what the reset waits for."""
        first = "reply" if attributes.get("direction", "downstream") == "downstream" else "request"
        wait_s = float(attributes.get("delay_s", 0.0))
        later = f", {spell_seconds(wait_s)} later by toxic latency" if wait_s else ""
        return (
            f"Toxiproxy: toxic reset_peer at the first {first}{later}; new connections end by RST, "
            "those that were open before end cleanly"
        )

    def attributes(self) -> Mapping[str, float | str]:
        """Give delay_s where there is one."""
        return {**({"delay_s": self.delay} if self.delay else {}), **self.way()}


def _stalled(raw: Any) -> float:
    share = parse_share(raw)
    if share == 0:
        raise ValueError(f"{raw} stalls nothing: give a share above 0")
    return share


class Stall(FaultSpec):
    """Some connections hold their replies for a moment, others the next moment."""

    backend = "toxiproxy"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = (
        "Toxiproxy: toxic bandwidth 0 holds the replies of some connections, drawn anew every "
        "200ms; bytes are held, not lost (what a client feels of retransmission timeouts)"
    )
    kind: Literal["stall"]
    share: Annotated[float, BeforeValidator(_stalled)]

    @classmethod
    def effects_of(cls, attributes: Mapping[str, Any]) -> frozenset[Effect]:
        """Call a share of all what it is, a timeout."""
        return frozenset({Effect.UNAVAILABLE}) if attributes["stall_share"] >= 1 else cls.effects

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say how many, and what becomes of the bytes."""
        if attributes["stall_share"] >= 1:
            return Timeout.emulated_by
        return cls.emulated_by.replace(
            "some connections", f"{attributes['stall_share'] * 100:g} % of the connections"
        )

    def attributes(self) -> Mapping[str, float | str]:
        """Give stall_share, of the connections."""
        return {"stall_share": self.share}


KINDS: Mapping[str, type[FaultSpec]] = {
    "down": Down,
    "timeout": Timeout,
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "reset_peer": ResetPeer,
    "limit_data": LimitData,
    "slicer": Slicer,
    "stall": Stall,
}

"""Kinds that the kernel's packet filter carries out: real loss, partitions, resets.

Sides are seen from the node: `to` is what clients send, `from` is what the node answers. What is
lost, doubled or reset are packets as the interface carries them; on loopback one packet may hold
64 KB. A real loss breaks no TCP stream: it shows as retransmissions, which is latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from faults.effect import Effect
from faults.kinds.base import FaultSpec
from memquake.units import parse_percent

Side = Literal["both", "to", "from"]

SMALLEST_PERCENT = 0.01  # one packet in 10,000, the finest die that is thrown for a packet


def _percent(raw: Any) -> float:
    percent = parse_percent(raw)
    if percent < SMALLEST_PERCENT:
        raise ValueError(f"{raw} is too little: {SMALLEST_PERCENT:g} percent or more")
    return percent


Percent = Annotated[float, BeforeValidator(_percent)]

_SIDES = {"both": "to and from", "to": "to", "from": "from"}


def _every(share: float) -> str:
    return "every packet" if share >= 1 else f"{share * 100:g}% of the packets, by chance,"


class Loss(FaultSpec):
    """Packets vanish on the way, each by chance; at 100 percent the node is cut off."""

    backend = "kernel"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "nftables: packets to and from the node's port dropped by chance"
    kind: Literal["loss"]
    percent: Percent
    direction: Side = "both"

    @classmethod
    def effects_of(cls, attributes: Mapping[str, Any]) -> frozenset[Effect]:
        """Cut off when nothing comes through; TCP repeats what is lost now and then."""
        return frozenset({Effect.UNAVAILABLE}) if attributes["loss_share"] >= 1 else cls.effects

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say how many packets of which direction are lost."""
        sides = _SIDES[attributes["direction"]]
        return f"nftables: {_every(attributes['loss_share'])} {sides} the node's port dropped"

    def attributes(self) -> Mapping[str, float | str]:
        """Give loss_share (0-1, in each direction) and direction (both, to, from)."""
        return {"loss_share": self.percent / 100, "direction": self.direction}


class Partition(FaultSpec):
    """The node cannot be reached, or cannot answer, or both; nobody is told."""

    backend = "kernel"
    # One way is enough: without the request, or without the answer, no call succeeds.
    effects = frozenset({Effect.UNAVAILABLE})
    emulated_by = "nftables: every packet to and from the node's port dropped"
    kind: Literal["partition"]
    direction: Side = "both"

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say which direction is cut."""
        sides = _SIDES[attributes["direction"]]
        return f"nftables: every packet {sides} the node's port dropped"

    def attributes(self) -> Mapping[str, float | str]:
        """Give direction (both, to, from)."""
        return {"direction": self.direction}


class Duplicate(FaultSpec):
    """Packets arrive twice; TCP throws the second away."""

    backend = "kernel"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "nftables: packets that this machine sends to and from the node's port doubled"
    kind: Literal["duplicate"]
    percent: Percent

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say how many packets are doubled."""
        which = _every(attributes["duplicate_share"])
        return f"nftables: {which} that this machine sends to and from the node's port doubled"

    def attributes(self) -> Mapping[str, float | str]:
        """Give duplicate_share (0-1, in each direction)."""
        return {"duplicate_share": self.percent / 100}


class Reset(FaultSpec):
    """Whatever is sent to the node is answered by a TCP reset: calls fail, but at once."""

    backend = "kernel"
    effects = frozenset({Effect.UNAVAILABLE})
    emulated_by = "nftables: every packet to the node's port rejected with a TCP reset"
    kind: Literal["reset"]


class NoConnect(FaultSpec):
    """Connects never complete. Open connections live on, or are reset as well."""

    backend = "kernel"
    # A client with warm connections still gets its answers; one without waits for every connect.
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "nftables: connection requests (SYN) to the node's port dropped"
    kind: Literal["no_connect"]
    open_connections: Literal["keep", "reset"] = "keep"

    @classmethod
    def effects_of(cls, attributes: Mapping[str, Any]) -> frozenset[Effect]:
        """Cut off once no open connection is left."""
        cut = attributes["open_connections"] == "reset"
        return frozenset({Effect.UNAVAILABLE}) if cut else cls.effects

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Say what becomes of open connections."""
        cut = attributes["open_connections"] == "reset"
        rest = "open connections reset when they send" if cut else "open connections live on"
        return f"{cls.emulated_by}, {rest}"

    def attributes(self) -> Mapping[str, float | str]:
        """Give open_connections (keep, reset)."""
        return {"open_connections": self.open_connections}


KINDS: Mapping[str, type[FaultSpec]] = {
    "loss": Loss,
    "partition": Partition,
    "duplicate": Duplicate,
    "reset": Reset,
    "no_connect": NoConnect,
}

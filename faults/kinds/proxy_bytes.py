"""Kinds of Toxiproxy that count bytes: how many a second, how many in all, in what pieces.

Toxiproxy takes any number without a word, a slice of 0 bytes too, over which it recurses until it
dies; so every range is held here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from faults.effect import Effect
from faults.kinds.proxy_way import OneWay, what_is_hit
from memquake.units import KB, parse_byte_rate, parse_positive_duration, parse_size

LEAST_RATE_KB = 1  # a rate of 0 is another kind: nothing comes through
MOST_RATE_KB = 10_000  # 80 Mbit/s; more is hardly felt by the replies of a cache
MOST_BYTES = 10_000_000  # of one connection; the proof has to send them
MOST_SLICE = 65_536  # Toxiproxy reads 32 KB at a time
SHORTEST_SLICE_DELAY_S = 0.0001  # without a pause the kernel glues the pieces together again
LONGEST_SLICE_DELAY_S = 1.0
SHORTEST_REPLY = 4  # of memcached's meta commands: `HD`, and the end of the line


def _rate(raw: Any) -> float:
    rate = parse_byte_rate(raw, plain="KB/s")
    if not LEAST_RATE_KB * KB <= rate <= MOST_RATE_KB * KB or rate % KB:
        raise ValueError(
            f"{raw} is out of range: a rate is a whole number of KB/s between "
            f"{LEAST_RATE_KB} and {MOST_RATE_KB} (for none at all there is kind timeout)"
        )
    return rate


class Bandwidth(OneWay):
    """Every connection carries only so many bytes a second."""

    backend = "toxiproxy"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "Toxiproxy: toxic bandwidth on replies, for each connection by itself"
    kind: Literal["bandwidth"]
    rate: Annotated[float, BeforeValidator(_rate)]  # given in KB/s, kept in bytes

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Name what is slowed down."""
        hit = what_is_hit(attributes)
        return f"Toxiproxy: toxic bandwidth on {hit}, for each connection by itself"

    def attributes(self) -> Mapping[str, float | str]:
        """Give bytes_per_second."""
        return {"bytes_per_second": self.rate, **self.way()}


def _bytes(raw: Any) -> float:
    size = parse_size(raw)
    if size > MOST_BYTES:
        raise ValueError(f"{raw} is out of range: 0 to {MOST_BYTES} bytes")
    return size


class LimitData(OneWay):
    """Every connection ends after so many bytes, in the middle of a reply."""

    backend = "toxiproxy"
    # A few replies come whole before the cut: the client has to cope with the one that does not.
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "Toxiproxy: toxic limit_data, a connection ends after so many bytes of replies"
    kind: Literal["limit_data"]
    bytes: Annotated[float, BeforeValidator(_bytes)]

    @classmethod
    def effects_of(cls, attributes: Mapping[str, Any]) -> frozenset[Effect]:
        """Without room for the shortest reply or request no call succeeds at all."""
        if float(attributes["bytes"]) < SHORTEST_REPLY:
            return frozenset({Effect.UNAVAILABLE})
        return cls.effects

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Name what is counted."""
        hit = what_is_hit(attributes)
        return f"Toxiproxy: toxic limit_data, a connection ends after so many bytes of {hit}"

    def attributes(self) -> Mapping[str, float | str]:
        """Give bytes, of each connection."""
        return {"bytes": float(self.bytes), **self.way()}


def _slice(raw: Any) -> float:
    size = parse_size(raw)
    if not 1 <= size <= MOST_SLICE:
        raise ValueError(f"{raw} is out of range: a slice has 1 to {MOST_SLICE} bytes on average")
    return size


def _slice_delay(raw: Any) -> float:
    seconds = parse_positive_duration(raw)
    if not SHORTEST_SLICE_DELAY_S <= seconds <= LONGEST_SLICE_DELAY_S:
        raise ValueError(f"{raw} is out of range: a slice waits between 100us and 1s")
    return seconds


class Slicer(OneWay):
    """Replies come in small pieces, with a pause after each."""

    backend = "toxiproxy"
    effects = frozenset({Effect.DEGRADED})
    emulated_by = "Toxiproxy: toxic slicer, replies come in pieces with a pause after each"
    kind: Literal["slicer"]
    average_size: Annotated[float, BeforeValidator(_slice)]
    size_variation: Annotated[float, BeforeValidator(parse_size)] = 0.0
    delay: Annotated[float, BeforeValidator(_slice_delay)]

    @model_validator(mode="after")
    def _variation_fits(self) -> Slicer:
        # At a variation of the average size Toxiproxy cuts pieces of nothing, without end.
        if self.size_variation >= self.average_size:
            raise ValueError(f"size_variation of fault {self.id} must be below its average_size")
        return self

    @classmethod
    def words_of(cls, attributes: Mapping[str, Any]) -> str:
        """Name what is sliced."""
        hit = what_is_hit(attributes)
        return f"Toxiproxy: toxic slicer, {hit} come in pieces with a pause after each"

    def attributes(self) -> Mapping[str, float | str]:
        """Give average_size and size_variation in bytes, delay_s of each piece."""
        return {
            "average_size": self.average_size,
            "size_variation": self.size_variation,
            "delay_s": self.delay,
            **self.way(),
        }

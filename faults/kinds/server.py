"""Kinds that lean on the node's own memcached: memory, connections, flush, a heavy neighbour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from faults.effect import Effect
from faults.kinds.base import FaultSpec
from memquake.units import MB, parse_count, parse_rate, parse_size

LEAST_MB = 8  # memcached takes no lower limit at run time
MOST_MB = 1_000_000  # memcached takes the number for bytes beyond 1,000,000,000; this is 1 TB
MOST_FREE = 100_000
MOST_RATE = 20_000.0  # reads a second; one process sends no more
MOST_VALUE_BYTES = 1_000_000  # memcached's own limit is 1 MiB, the item's head included
MOST_BYTES_S = 2e9  # of all reads together; loopback on a good machine carries about that
LARGE_VALUE_BYTES = 65_536


def _megabytes(raw: Any) -> int:
    megabytes, rest = divmod(parse_size(raw, plain="MB"), MB)
    if rest or not LEAST_MB <= megabytes <= MOST_MB:
        raise ValueError(
            f"{raw} is out of range: memcached takes a limit between {LEAST_MB} and {MOST_MB} MB, "
            "in whole MB"
        )
    return megabytes


def _free(raw: Any) -> int:
    free = parse_count(raw)
    if free > MOST_FREE:
        raise ValueError(f"{raw} is too many: {MOST_FREE} free connections at most")
    return free


def _rate(raw: Any) -> float:
    rate = parse_rate(raw)
    if not 1 <= rate <= MOST_RATE:
        raise ValueError(f"{raw} is out of range: 1 to {MOST_RATE:g} reads a second")
    return rate


def _size(raw: Any) -> int:
    size = parse_size(raw)
    if not 1 <= size <= MOST_VALUE_BYTES:
        raise ValueError(f"{raw} is out of range: a value has 1 to {MOST_VALUE_BYTES} bytes")
    return size


class Memory(FaultSpec):
    """The node has less memory: it evicts what it would have kept."""

    backend = "memcached_admin"
    effects = frozenset({Effect.PRESSURE})
    emulated_by = (
        "memcached: cache_memlimit lowered, and keys of memquake's own stored until it evicts; "
        "pages it has already taken are not given back"
    )
    kind: Literal["memory"]
    limit: Annotated[int, BeforeValidator(_megabytes)]

    def attributes(self) -> Mapping[str, float | str]:
        """Give limit_mb."""
        return {"limit_mb": float(self.limit)}


class Connections(FaultSpec):
    """The node takes only so many connections more."""

    backend = "memcached_admin"
    effects = frozenset({Effect.PRESSURE})
    emulated_by = (
        "a crowd of memquake's own connections takes all that the node has but `free`, and every "
        "place that becomes free; open connections live on"
    )
    kind: Literal["connections"]
    free: Annotated[int, BeforeValidator(_free)]

    def attributes(self) -> Mapping[str, float | str]:
        """Give free, a count."""
        return {"free": float(self.free)}


class Flush(FaultSpec):
    """Everything the node holds is gone at once; it is healthy and empty."""

    backend = "memcached_admin"
    effects = frozenset({Effect.COLD})
    emulated_by = "memcached: flush_all at the start of the fault; its end undoes nothing"
    kind: Literal["flush"]


class Overload(FaultSpec):
    """A neighbour reads large values from the node all the time."""

    backend = "memcached_admin"
    effects = frozenset({Effect.PRESSURE})
    emulated_by = (
        "a process of memquake's own reads large values from the node, past the proxies, at a "
        "bounded rate"
    )
    kind: Literal["overload"]
    rate: Annotated[float, BeforeValidator(_rate)]
    size: Annotated[int, BeforeValidator(_size)] = LARGE_VALUE_BYTES

    @model_validator(mode="after")
    def _is_bounded(self) -> Overload:
        if self.rate * self.size > MOST_BYTES_S:
            raise ValueError(
                f"fault {self.id} would read {self.rate * self.size / 1e9:.1f} GB/s: rate x size "
                f"is {MOST_BYTES_S / 1e9:g} GB/s at most"
            )
        return self

    def attributes(self) -> Mapping[str, float | str]:
        """Give rate, reads a second, and size, bytes."""
        return {"rate": self.rate, "size": float(self.size)}


KINDS: Mapping[str, type[FaultSpec]] = {
    "memory": Memory,
    "connections": Connections,
    "flush": Flush,
    "overload": Overload,
}

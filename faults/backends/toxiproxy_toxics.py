"""Which toxics a planned fault is made of: pure, in Toxiproxy's own words and units.

Toxiproxy's delays are whole milliseconds, a slicer's are microseconds, rates are KB/s. Names carry
the fault's id, so two faults on one proxy never touch each other's; a second toxic of one fault
has a colon in its name, which no id has. The order is the order of the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cluster.toxiproxy import OWN_PREFIX, Stream, Toxic
from faults.planned import PlannedFault

Settings = tuple[str, Mapping[str, int]]

HOLD: Settings = ("bandwidth", {"rate": 0})  # keeps every byte until it is removed

_STREAMS: Mapping[str, tuple[Stream, ...]] = {
    "downstream": ("downstream",),
    "upstream": ("upstream",),
    "both": ("downstream", "upstream"),
}


def toxics_of(fault: PlannedFault) -> tuple[Toxic, ...]:
    """Give the toxics of a fault in the order they are added; none for a proxy that is closed."""
    if fault.kind == "down":
        return ()
    share = float(fault.attributes.get("stall_share", 1.0))
    # What a stall stands in for may know directions of its own; a stall holds replies.
    stalls = "stall_share" in fault.attributes
    direction = "downstream" if stalls else fault.attributes.get("direction", "downstream")
    streams = _STREAMS[str(direction)]
    made = []
    for stream in streams:
        for place, (kind, attributes) in enumerate(_chain(fault, stream)):
            way = "" if stream == streams[0] else ":up"
            made.append(
                Toxic(
                    name=f"{OWN_PREFIX}{fault.id}{way}{':wait' if place else ''}",
                    type=kind,
                    stream=stream,
                    toxicity=share,
                    attributes=attributes,
                )
            )
    # What waits comes before what it waits for: a chain runs in the order of adding.
    return tuple(sorted(made, key=lambda toxic: not toxic.name.endswith(":wait")))


def is_as_asked(found: Toxic | None, asked: Toxic) -> bool:
    """Tell whether the server has a toxic exactly as it was asked for."""
    return (
        found is not None
        and (found.type, found.stream) == (asked.type, asked.stream)
        # The server keeps 32 bits of a share.
        and abs(found.toxicity - asked.toxicity) < 1e-6
        and {name: found.attributes.get(name) for name in asked.attributes}
        == dict(asked.attributes)
    )


def _chain(fault: PlannedFault, stream: Stream) -> list[Settings]:
    """Give the toxics of one direction, the one that matters first."""
    if "stall_share" in fault.attributes:  # of a stall, or of what a stall stands in for
        return [HOLD]
    return _CHAINS[fault.kind](fault.attributes, stream)


def _timeout(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    # Held requests would be carried out after healing, by a server nobody expects it of.
    return [("timeout", {"timeout": 0})] if stream == "upstream" else [HOLD]


def _latency(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    return [("latency", {"latency": _ms(has["latency_s"]), "jitter": _ms(has.get("jitter_s", 0))})]


def _bandwidth(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    return [("bandwidth", {"rate": round(has["bytes_per_second"] / 1000)})]


def _slow_close(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    return [("slow_close", {"delay": _ms(has["delay_s"])})]


def _reset_peer(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    # With a timeout of its own the toxic cannot be removed before that has passed.
    reset: Settings = ("reset_peer", {"timeout": 0})
    wait = _ms(has.get("delay_s", 0.0))
    return [reset, ("latency", {"latency": wait, "jitter": 0})] if wait else [reset]


def _limit_data(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    return [("limit_data", {"bytes": round(has["bytes"])})]


def _slicer(has: Mapping[str, Any], stream: Stream) -> list[Settings]:
    average, variation = round(has["average_size"]), round(has.get("size_variation", 0))
    delay_us = round(has["delay_s"] * 1e6)
    return [
        ("slicer", {"average_size": average, "size_variation": variation, "delay": delay_us}),
    ]


def _ms(seconds: Any) -> int:
    return round(float(seconds) * 1000)


_CHAINS: Mapping[str, Callable[[Mapping[str, Any], Stream], list[Settings]]] = {
    "timeout": _timeout,
    "latency": _latency,
    "bandwidth": _bandwidth,
    "slow_close": _slow_close,
    "reset_peer": _reset_peer,
    "limit_data": _limit_data,
    "slicer": _slicer,
}

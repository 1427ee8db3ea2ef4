"""What is done in place of a kernel fault where no packet filter can be used. Pure.

A stand-in has to feel the same to a client in what is judged: a node out of reach, one that answers
late, one that resets. Where nothing honest does, there is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from faults.planned import PlannedFault

# The side of the node's packets that is cut -> the stream of the proxy that is held back.
STREAMS: Mapping[str, str] = {"both": "both", "to": "upstream", "from": "downstream"}

BACKLOG_WORDS = (
    "Toxiproxy: proxy disabled, open connections closed, and its port held by a listener that "
    "accepts nobody and whose queue is full"
)
"""What is really done for connects that never complete (kernel_backlog.py)."""


def proxy_fault(fault: PlannedFault) -> PlannedFault | None:
    """Give the fault of a proxy that stands in for this one, None where there is none."""
    match fault.kind:
        case "loss" if fault.attributes["loss_share"] < 1:
            share = fault.attributes["loss_share"]
            return dataclasses.replace(fault, kind="stall", attributes={"stall_share": share})
        case "loss" | "partition":
            stream = STREAMS[fault.attributes["direction"]]
            way = {} if stream == "downstream" else {"direction": stream}  # as the kind does
            return dataclasses.replace(fault, kind="timeout", attributes=way)
        case "reset":
            return dataclasses.replace(fault, kind="reset_peer", attributes={})
    return None


def is_for_backlog(fault: PlannedFault) -> bool:
    """Tell whether a full queue of connections is an honest stand-in.

    It is where open connections end too, because the proxy that holds them has to leave the port.
    """
    return fault.kind == "no_connect" and fault.attributes["open_connections"] == "reset"


def way_out(fault: PlannedFault) -> str:
    """Say what a user can do for a fault that nothing stands in for."""
    root = "run as root with nft (package nftables)"
    if fault.kind == "no_connect":
        return f"{root}, or give open_connections: reset, for which there is a stand-in"
    if fault.kind == "duplicate":
        return f"{root}, or leave the fault out: nothing else doubles packets"
    return f"{root}, or let proxies stand in front of the nodes"

"""What a client feels of a kernel fault at one door, seen by the harness's own packets.

Rule: where chance decides, the rules' counters prove that packets were treated; where nothing
passes, a connect that does not come about does, or what became of one SYN where the fault is over
before a silence is.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.probe import ProbeError, version
from faults.backends.base import SILENCE_S
from faults.backends.kernel_doors import (
    Door,
    expect_no_connection,
    expect_open_answer,
    expect_reset,
)
from faults.backends.kernel_rules import Count, counted, counts
from faults.errors import FaultError
from faults.planned import PlannedFault

BRIEF_S = 1.5  # a fault shorter than this is over before a silence of 0.5 s is surely heard
LOOK_S = 3.0
LATE_S = 0.1  # half of the time after which Linux sends a lost segment again
PROBES_A_ROUND = 20  # about 160 packets: of 2 percent loss 1 round in 25 sees nothing

Listed = Callable[[], Sequence[Mapping[str, Any]]]


def look(
    fault: PlannedFault,
    door: Door,
    *,
    first: Mapping[str, Count],
    kept: socket.socket | None,
    listed: Listed,
) -> str:
    """Give the evidence that a client would feel it, or raise FaultError.

    `first` is what the rules had counted when they were read back, `listed` reads them again;
    `kept` is a connection that has to live through the fault.
    """
    if _by_chance(fault):
        return _look_for_counts(door, listed)
    if fault.kind == "reset":
        return expect_reset(door)
    if fault.duration_s < BRIEF_S and any(count.treated for count in first.values()):
        return f"{door.node}: {counted(first)}, a connect of the harness among them"
    told = expect_no_connection(door)
    return told if kept is None else f"{told}; {expect_open_answer(door, kept)}"


def _look_for_counts(door: Door, listed: Listed) -> str:
    """Send until a packet was treated: by chance the first ones may all come through."""
    limit = time.monotonic() + LOOK_S
    while True:
        found = counts(listed())
        if any(count.treated for count in found.values()):
            return f"{door.node}: {counted(found)}"
        if time.monotonic() > limit:
            raise FaultError(f"nothing was seen to happen to {door.node}: {counted(found)}")
        _ask_until_late(door)


def _by_chance(fault: PlannedFault) -> bool:
    share = fault.attributes.get("loss_share", 1.0)
    return fault.kind == "duplicate" or share < 1


def _ask_until_late(door: Door) -> None:
    """Send a round of questions, ended early by one that is late: its packets may be the ones."""
    for _ in range(PROBES_A_ROUND):
        began = time.monotonic()
        with contextlib.suppress(ProbeError):
            version(door.address, SILENCE_S)
        if time.monotonic() - began > LATE_S:
            return

"""What a client feels of each fault on the way to a node, seen by talks of our own.

Rule: a look shows the effect itself (late, slow, cut, in pieces), never only that the node is
there, and is short: where the effect is longer than a look may take, or than a third of the fault,
it shows that nothing came until then. Looks only ask `version` and `stats`, which change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cluster.node import Address
from faults.backends.base import SILENCE_S, expect_silence
from faults.backends.conversation import Heard, talk
from faults.backends.toxiproxy_stall import expect_stalls
from faults.errors import FaultError
from faults.planned import PlannedFault

LOOK_S = 3.0  # most that one look may take; a proof is not waited for longer than 4 s
LOOK_SHARE = 1 / 3  # of the fault: what is seen after its heal proves nothing
SLACK_S = 1.0  # a machine under load
FELT_SHARE = 0.8  # of what is due; timers and jitter make some of it quicker
TRIES = 5  # with a jitter as large as the latency, 1 probe in 3 is quicker than the share
TRANSFER_S = 0.4  # what a throttled transfer is sized for
MOST_TRANSFER = 1_000_000
LEAST_PIECES = 3
MOST_PIECES = 400
LONG_PAUSE_S = 0.25  # with shorter ones the fewest pieces there can be are through by then
SMALL = 4000  # below it `version` is asked many times, above it `stats`

VERSION = b"version\r\n"
VERSION_REPLY = 12  # `VERSION 1.6.0` and its end are no shorter
STATS = b"stats\r\n"
STATS_REPLY = 1500  # 2.2 KB and more on every server of these years

Look = Callable[[str, Address, PlannedFault], str]


@dataclass(frozen=True, kw_only=True)
class _Question:
    """Something to ask, and how its answers are counted."""

    text: bytes
    answers: int
    ending: bytes


def look(name: str, address: Address, fault: PlannedFault) -> str:
    """Give the evidence that a client would feel the fault on this node, or raise FaultError."""
    return _LOOKS[fault.kind](name, address, fault)


def _is_silent(name: str, address: Address, fault: PlannedFault) -> str:
    if _patience_s(fault) < SILENCE_S:
        return _waits(name, address, VERSION, _patience_s(fault))
    return expect_silence(name, address)


def _is_late(name: str, address: Address, fault: PlannedFault) -> str:
    due_s = float(fault.attributes["latency_s"]) * len(_ways(fault))
    patience_s = _patience_s(fault)
    if FELT_SHARE * due_s > patience_s:
        return _waits(name, address, VERSION, patience_s)
    limit_s = 2 * due_s + SLACK_S  # the jitter is no larger than the latency
    longest_s = 0.0
    for _ in range(TRIES):
        heard = _ask(address, VERSION, limit_s)
        if heard.end != "complete":
            raise FaultError(f"{name} was to answer late, but: {heard}")
        longest_s = max(longest_s, heard.took_s)
        if longest_s >= FELT_SHARE * due_s:
            return f"{name} answered `version` after {longest_s * 1000:.0f} ms"
    raise FaultError(
        f"{name} was to answer {due_s * 1000:g} ms late, but took {longest_s * 1000:.0f} ms at most"
    )


def _is_throttled(name: str, address: Address, fault: PlannedFault) -> str:
    rate = float(fault.attributes["bytes_per_second"])
    size = min(rate * min(TRANSFER_S, _patience_s(fault)), MOST_TRANSFER)
    question, heard = _exchange(address, fault, size, LOOK_S)
    # Until the last answer came everything that was asked had gone the slow way.
    moved = heard.size if "downstream" in _ways(fault) else len(question.text)
    due_s = moved / rate
    if heard.end != "complete" or heard.took_s < FELT_SHARE * due_s:
        raise FaultError(
            f"{name} was to take {due_s * 1000:.0f} ms for {moved} bytes, but: {heard}"
        )
    return (
        f"{name} took {heard.took_s * 1000:.0f} ms for {moved} bytes, "
        f"{moved / heard.took_s / 1000:.0f} KB/s"
    )


def _ends_late(name: str, address: Address, fault: PlannedFault) -> str:
    ways = _ways(fault)
    due_s = float(fault.attributes["delay_s"]) * len(ways)
    limit_s = min(due_s + SLACK_S, _patience_s(fault))
    # The node ends a connection that quits; of a client's end it learns by the end of its bytes.
    heard = talk(
        address,
        b"" if "upstream" in ways else b"quit\r\n",
        answers=0,
        ending=b"\r\n",
        limit_s=limit_s,
        hang_up="upstream" in ways,
    )
    if heard.end == "silent" and limit_s < due_s:
        return f"{name} had not ended a connection {heard.took_s * 1000:.0f} ms after its end"
    if not heard.ended or heard.took_s < FELT_SHARE * due_s:
        raise FaultError(f"{name} was to end {due_s * 1000:g} ms late, but: {heard}")
    return f"{name} ended a connection {heard.took_s * 1000:.0f} ms after its end"


def _is_reset(name: str, address: Address, fault: PlannedFault) -> str:
    due_s = float(fault.attributes.get("delay_s", 0.0))
    patience_s = _patience_s(fault)
    if FELT_SHARE * due_s > patience_s:
        return _waits(name, address, VERSION, patience_s)
    heard = _ask(address, VERSION, due_s + SLACK_S)
    if not heard.ended or heard.size or heard.took_s < FELT_SHARE * due_s:
        raise FaultError(f"{name} was to reset a connection, but: {heard}")
    how = "by RST" if heard.end == "reset" else "cleanly"
    return f"{name} ended a connection {how} {heard.took_s * 1000:.0f} ms after `version`"


def _is_cut(name: str, address: Address, fault: PlannedFault) -> str:
    most = round(float(fault.attributes["bytes"]))
    _, heard = _exchange(address, fault, most + SMALL, LOOK_S)
    # Requests that were cut off can have had replies of any length.
    if not heard.ended or ("downstream" in _ways(fault) and heard.size > most):
        raise FaultError(f"{name} was to cut a connection after {most} bytes, but: {heard}")
    return f"{name} cut a connection: {heard}"


def _is_in_pieces(name: str, address: Address, fault: PlannedFault) -> str:
    pause_s = float(fault.attributes["delay_s"])
    has = fault.attributes
    most = float(has["average_size"]) + float(has.get("size_variation", 0.0))
    wanted = min(max(LEAST_PIECES, TRANSFER_S / pause_s), MOST_PIECES)
    size = max(min(wanted * most, MOST_TRANSFER), LEAST_PIECES * most)
    question, heard = _exchange(address, fault, size, LOOK_S)
    moved = heard.size if "downstream" in _ways(fault) else len(question.text)
    if heard.end == "silent" and pause_s >= LONG_PAUSE_S:
        return f"{name} sent no more than {heard.size} bytes in {heard.took_s:.1f} s"
    # After the last piece nobody waits.
    due_s = (math.ceil(moved / most) - 1) * pause_s
    if heard.end != "complete" or heard.took_s < FELT_SHARE * due_s:
        raise FaultError(
            f"{name} was to take {due_s * 1000:.0f} ms for {moved} bytes in pieces, but: {heard}"
        )
    return (
        f"{name} took {heard.took_s * 1000:.0f} ms for {moved} bytes, read in {heard.pieces} pieces"
    )


def _is_stalled(name: str, address: Address, fault: PlannedFault) -> str:
    return expect_stalls(name, address)


def _waits(name: str, address: Address, question: bytes, patience_s: float) -> str:
    """Give the evidence that nothing came for a while, for an effect that takes longer."""
    heard = _ask(address, question, patience_s)
    if heard.end != "silent" or heard.size:
        raise FaultError(f"{name} was to answer late, but: {heard}")
    return f"{name} did not answer `version` within {heard.took_s * 1000:.0f} ms"


def _ask(address: Address, question: bytes, limit_s: float) -> Heard:
    return talk(address, question, answers=1, ending=b"\r\n", limit_s=limit_s)


def _exchange(
    address: Address, fault: PlannedFault, size: float, limit_s: float
) -> tuple[_Question, Heard]:
    question = _question(_ways(fault), size)
    heard = talk(
        address,
        question.text,
        answers=question.answers,
        ending=question.ending,
        limit_s=limit_s,
    )
    return question, heard


def _question(ways: tuple[str, ...], size: float) -> _Question:
    """Give something to ask that moves at least so many bytes in the directions meant."""
    if "upstream" in ways:
        times = math.ceil(size / len(VERSION))
    elif size < SMALL:
        times = math.ceil(size / VERSION_REPLY)
    else:
        times = math.ceil(size / STATS_REPLY)
        return _Question(text=STATS * times, answers=times, ending=b"END\r\n")
    times = max(1, times)
    return _Question(text=VERSION * times, answers=times, ending=b"\r\n")


def _ways(fault: PlannedFault) -> tuple[str, ...]:
    direction = str(fault.attributes.get("direction", "downstream"))
    return ("downstream", "upstream") if direction == "both" else (direction,)


def _patience_s(fault: PlannedFault) -> float:
    return min(LOOK_S, fault.duration_s * LOOK_SHARE)


_LOOKS: Mapping[str, Look] = {
    "timeout": _is_silent,
    "latency": _is_late,
    "bandwidth": _is_throttled,
    "slow_close": _ends_late,
    "reset_peer": _is_reset,
    "limit_data": _is_cut,
    "slicer": _is_in_pieces,
    "stall": _is_stalled,
}

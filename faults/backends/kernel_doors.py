"""The doors of a node, the ports where clients meet it, and how a client finds them under a fault.

Every look is bounded, goes over `address` as a client does, and gives one line of evidence or
raises FaultError with what was found instead.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.direct import connect
from cluster.names import look_up
from cluster.node import Address, Node, spell
from cluster.probe import MADE, ProbeError, RefusedError, UnreachableError, version
from faults.backends.base import SILENCE_S
from faults.errors import FaultError

OPENED_WITHIN_S = 1.0  # on loopback within a millisecond


@dataclass(frozen=True, kw_only=True)
class Door:
    """One port of a node, with the numbers behind its host name (none: it cannot be resolved)."""

    node: str
    address: Address
    hosts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{spell(self.address)} of {self.node}"


def doors_of(node: Node) -> list[Door]:
    """Give the doors of a node, of all groups of users."""
    return [
        Door(node=node.name, address=door.address, hosts=_numbers(door.address[0]))
        for door in node.doors
    ]


def is_here(host: str) -> bool:
    """Tell whether an address is one of this machine: only those can be bound."""
    try:
        with socket.socket(_family(host)) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def knocking(doors: Sequence[Door]) -> Iterator[None]:
    """Send one connect to each door and wait for none of them."""
    socks: list[socket.socket] = []
    try:
        for door in doors:
            for host in door.hosts:
                sock = socket.socket(_family(host))
                socks.append(sock)
                sock.setblocking(False)
                sock.connect_ex((host, door.address[1]))
        yield
    finally:
        for sock in socks:
            sock.close()


def connected(door: Door) -> socket.socket:
    """Open a connection that is to live through a fault."""
    try:
        sock = connect(door.address, OPENED_WITHIN_S)
    except OSError as why:
        raise FaultError(f"{door.node} took no connection before the fault: {why}") from None
    MADE[door.address] += 1
    return sock


def expect_open_answer(door: Door, sock: socket.socket) -> str:
    """Give the evidence that an open connection lives on."""
    try:
        sock.settimeout(OPENED_WITHIN_S)
        sock.sendall(b"version\r\n")
        if sock.recv(64).startswith(b"VERSION"):
            return "a connection that was open before is answered"
    except OSError as why:
        raise FaultError(f"an open connection to {door.node} was to live on, but {why}") from None
    raise FaultError(f"an open connection to {door.node} was to live on, but ended")


def expect_no_connection(door: Door) -> str:
    """Give the evidence that a connect never completes."""
    evidence = f"{door.node} took no connection within {SILENCE_S:g} s"
    return _expect(door, UnreachableError, "be out of reach", evidence)


def expect_reset(door: Door) -> str:
    """Give the evidence that a connect is answered with a reset."""
    evidence = f"{door.node} answered a connect with a reset"
    return _expect(door, RefusedError, "reset connections", evidence)


def _expect(door: Door, error: type[ProbeError], wanted: str, evidence: str) -> str:
    try:
        version(door.address, SILENCE_S)
    except error:
        return evidence
    except ProbeError as why:
        raise FaultError(f"{door.node} was to {wanted}, but {why}") from None
    raise FaultError(f"{door.node} was to {wanted}, but answered")


def _numbers(host: str) -> tuple[str, ...]:
    try:
        found = [str(entry[4][0]) for entry in look_up(host, None)]
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(found))


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

"""Whether each node of a cluster is one server, and each of them another one.

A key that is stored through one connection must be there through every other, and through no other
node. Otherwise several servers stand behind one name (its records) or one address (a load balancer,
a Kubernetes service, processes that share a port), or one server behind two names: its reads look
stale and its updates lost, whatever the client does. Everything found ends in one line before any
load. A node that stores nothing now is left to those who say so.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from cluster.errors import ClusterError
from cluster.names import look_up
from cluster.node import Address, is_unix, spell
from cluster.probe import ProbeError, drop, held_of, store, version

CONNECTIONS = 12
"""Two servers that take turns at random both show themselves in all but one of 2,000 times."""

AT_ONCE = 16
ANSWER_WITHIN_S = 2.0
MARK_TTL_S = 60
NAMES_EVERY_S = 3.0

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Endpoint:
    """One of the addresses that a node's name stands for, with the key that marks its server."""

    node: Address
    address: Address
    mark: str


def endpoints_of(node: Address) -> list[Address]:
    """Return the addresses a node's name stands for, in the order of the resolver.

    A name with one address stands for itself: a certificate may be for the name.
    """
    if is_unix(node):
        return [node]
    try:
        found = look_up(*node)
    except (OSError, UnicodeError, OverflowError):
        return []
    addresses = dict.fromkeys((str(entry[4][0]), int(entry[4][1])) for entry in found)
    return list(addresses) if len(addresses) > 1 else [node]


def refuse_mistaken(nodes: Sequence[Address]) -> None:
    """Raise ClusterError for a node that is several servers, or the same server as another."""
    marked = _marked(nodes)
    try:
        _refuse_mistaken(marked)
    finally:
        _at_once(_drop_mark, marked)


def _refuse_mistaken(marked: Sequence[Endpoint]) -> None:
    marks = [endpoint.mark for endpoint in marked]
    asked = [endpoint for endpoint in marked for _ in range(CONNECTIONS)]
    answers = _at_once(lambda endpoint: _held(endpoint.address, marks), asked)
    seen: dict[Endpoint, list[set[str]]] = {endpoint: [] for endpoint in marked}
    for endpoint, held in zip(asked, answers, strict=True):
        if held is not None:
            seen[endpoint].append(held)
    for endpoint, held_each in seen.items():
        _refuse_several(endpoint, marked, held_each)
    for one, other in itertools.combinations(marked, 2):
        if one.node != other.node and any(one.mark in held for held in seen[other]):
            raise ClusterError(
                f"--nodes: {spell(one.node)} and {spell(other.node)} are the same server: "
                "leave one out"
            )


def _refuse_several(
    endpoint: Endpoint, marked: Sequence[Endpoint], held_each: Sequence[set[str]]
) -> None:
    """Refuse a node whose connections, or whose addresses, do not lead to one server."""
    if any(endpoint.mark not in held for held in held_each):
        raise ClusterError(
            f"--nodes: {spell(endpoint.address)}{_known_as(endpoint)} is not one server: what is "
            "stored through one connection is not there through another. Is it a load balancer, "
            "or do several processes share the port? Name each server by its own address"
        )
    others = [
        each
        for each in marked
        if each.node == endpoint.node and any(each.mark not in held for held in held_each)
    ]
    if others:
        every = ",".join(spell(each.address) for each in marked if each.node == endpoint.node)
        raise ClusterError(
            f"--nodes: {spell(endpoint.node)} stands for several servers: name each by its own "
            f"address: --nodes {every}"
        )


def _known_as(endpoint: Endpoint) -> str:
    return "" if endpoint.node == endpoint.address else f" ({spell(endpoint.node)})"


def _marked(nodes: Sequence[Address]) -> list[Endpoint]:
    """Store a mark through every address that answers; return those that took it."""
    token = uuid.uuid4().hex[:12]
    pairs = [(node, address) for node in nodes for address in endpoints_of(node)]
    endpoints = [
        Endpoint(node, address, f"memquake:who:{token}:{at}")
        for at, (node, address) in enumerate(pairs)
    ]
    taken = _at_once(_takes_mark, endpoints)
    return [endpoint for endpoint, is_taken in zip(endpoints, taken, strict=True) if is_taken]


def _takes_mark(endpoint: Endpoint) -> bool:
    with contextlib.suppress(ProbeError):
        version(endpoint.address, ANSWER_WITHIN_S)
        reply = store(endpoint.address, endpoint.mark, b"1", MARK_TTL_S, ANSWER_WITHIN_S)
        return reply == "STORED"
    return False


def _drop_mark(endpoint: Endpoint) -> None:
    with contextlib.suppress(ProbeError):  # it expires by itself
        drop(endpoint.address, endpoint.mark, ANSWER_WITHIN_S)


def _held(address: Address, marks: Sequence[str]) -> set[str] | None:
    with contextlib.suppress(ProbeError):
        return held_of(address, marks, ANSWER_WITHIN_S)
    return None  # one answer less


def _at_once(ask: Callable[[T], R], of: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, of))


class NameWatch:
    """Looks in the course of a run at names that begin to stand for several servers."""

    def __init__(self, nodes: Sequence[Address], clock: Callable[[], float] = time.monotonic):
        self._nodes = list(nodes)
        self._clock = clock
        self._known = {node: set(endpoints_of(node)) for node in nodes}
        self._looked_at = clock()

    def look(self) -> None:
        """Raise ClusterError when a name has several addresses now, and several servers there."""
        if self._clock() - self._looked_at < NAMES_EVERY_S:
            return
        now = {node: set(endpoints_of(node)) for node in self._nodes}
        self._looked_at = self._clock()
        changed, self._known = now != self._known, now
        if changed and any(len(addresses) > 1 for addresses in now.values()):
            refuse_mistaken(self._nodes)

"""Many keys in one call: whose they are, what becomes of those whose node failed, and the results.

A key whose node failed is in `.failed` with the error and is never called a miss, because nobody
could ask. With failover on, keys that their node definitely did not take are asked of other nodes,
all at once again and under the same deadline. What is asked and what the replies mean is for
`multi_reading` and `multi_writing`; how the nodes' parts run side by side, for `batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from client.batch import Batch, Share
from client.errors import MemcacheClientError
from client.exchange import Work
from client.failover import is_refusal
from client.node import Node

CHUNK_KEYS = 100  # 25 KB of keys at most: two requests fit into any socket's buffer
CHUNK_BYTES = 65_536  # of values in one request, but for a single one that is larger

Key = str | bytes
Route = tuple[Node, bytes]
# The nodes to turn to, in order, for a key (as sent) that the node of this label did not take.
Fallbacks = Callable[[bytes, str], Sequence[Node]]


class PartialDict(dict[Any, Any]):
    """The answers of a batch. `failed` maps the keys nobody could answer to the error."""

    __slots__ = ("failed",)

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[Any, MemcacheClientError] = {}


class FailedKeys(list[Any]):
    """The keys of a batch that were not stored, as pymemcache gives them.

    `failed` maps those whose node failed to the error; a key that is only in the list was refused
    by its node.
    """

    __slots__ = ("failed",)

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[Any, MemcacheClientError] = {}


class Terms(NamedTuple):
    """What a batch is told beside its keys: when it began and must end, and its choices."""

    started: float
    deadline: float
    protocol: str = "auto"
    fallbacks: Fallbacks | None = None


@dataclass(slots=True)
class _Refused:
    """A key that its own node did not take."""

    name: Any
    wire: bytes
    node: Node
    error: MemcacheClientError


def by_node(
    routes: Mapping[Key, Route], keys: Iterable[Key]
) -> tuple[dict[Node, Share], dict[Any, list[Any]]]:
    """Sort keys by node, each once; the second result has the other names of keys given twice.

    Raises IllegalKey.
    """
    names = keys if type(keys) is list else list(keys)
    kinds = set(map(type, names))
    if len(set(names)) != len(names) or kinds not in (_TEXT, _BYTES):
        return _by_node_once(routes, names)  # a key may be there twice: as text and as bytes, say
    shares: dict[Node, Share] = {}
    for name in names:
        node, wire = routes[name]
        try:
            share = shares[node]
        except KeyError:
            share = shares[node] = ([], [])
        share[0].append(name)
        share[1].append(wire)
    return shares, {}


_TEXT: set[type] = {str}
_BYTES: set[type] = {bytes}


def _by_node_once(
    routes: Mapping[Key, Route], names: list[Any]
) -> tuple[dict[Node, Share], dict[Any, list[Any]]]:
    shares: dict[Node, Share] = {}
    first: dict[bytes, Any] = {}
    aliases: dict[Any, list[Any]] = {}
    for name in dict.fromkeys(names):
        node, wire = routes[name]
        if wire in first:
            aliases.setdefault(first[wire], []).append(name)
            continue
        first[wire] = name
        named, wires = shares.setdefault(node, ([], []))
        named.append(name)
        wires.append(wire)
    return shares, aliases


def carry_out(
    work: Work,
    shares: Mapping[Node, Share],
    terms: Terms,
    elsewhere: Work | None = None,
    *,
    forgets: bool = False,
) -> dict[Any, MemcacheClientError]:
    """Run a batch and give what failed, by the caller's key.

    `elsewhere` is what is asked of other nodes, where that is not the same. With `forgets` all of
    them are asked, and the key has failed with its own node's error whatever they answer.
    """
    failed: dict[Any, MemcacheClientError] = {}
    refused: list[_Refused] = []

    def fail(
        node: Node, names: Sequence[Any], wires: Sequence[bytes], error: MemcacheClientError
    ) -> None:
        if terms.fallbacks is None or not is_refusal(error):
            failed.update(dict.fromkeys(names, error))
        else:
            refused.extend(
                _Refused(name, wire, node, error) for name, wire in zip(names, wires, strict=True)
            )

    Batch(work, terms.started, terms.deadline, fail).run(shares)
    if refused:
        told = {key.name: key.error for key in refused} if forgets else {}
        _carry_elsewhere(elsewhere or work, refused, terms, failed, goes_round=forgets)
        failed.update(told)
    return failed


def _carry_elsewhere(
    work: Work,
    refused: list[_Refused],
    terms: Terms,
    failed: dict[Any, MemcacheClientError],
    *,
    goes_round: bool,
) -> None:
    """Ask other nodes for keys their own did not take; who is refused again, asks the next."""
    assert terms.fallbacks is not None
    turn = 0
    while refused:
        shares: dict[Node, Share] = {}
        asked: dict[Any, _Refused] = {}
        for key in refused:
            others = terms.fallbacks(key.wire, key.node.label)
            if turn >= len(others) or key.node.clock() >= terms.deadline:
                failed[key.name] = key.error  # as when nobody else were there
                continue
            names, wires = shares.setdefault(others[turn], ([], []))
            names.append(key.name)
            wires.append(key.wire)
            asked[key.name] = key
        refused = []

        def fail(
            _: Node,
            names: Sequence[Any],
            __: Sequence[bytes],
            error: MemcacheClientError,
            asked: dict[Any, _Refused] = asked,
            refused: list[_Refused] = refused,
        ) -> None:
            if error.happened == "not_sent":
                refused.extend(asked[name] for name in names)
            else:
                failed.update(dict.fromkeys(names, error))

        if shares:
            started = next(iter(shares)).clock()
            Batch(work, started, terms.deadline, fail).run(shares)
        if goes_round:
            refused = list(asked.values())
        turn += 1

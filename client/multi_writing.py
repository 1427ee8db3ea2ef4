"""Writing many keys: what is asked of a node, in chunks, and what its answers are to the caller.

Everything is checked and serialised before the first byte leaves, so an argument memcached cannot
take fails the whole call and changes nothing. The commands themselves are built chunk by chunk.

Over meta every request of a chunk has the chunk's one opaque and every answer must bring it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from client.bulk import Reply
from client.bulk_lines import Lines
from client.errors import MetaUnsupported, ServerError
from client.multi import (
    CHUNK_BYTES,
    CHUNK_KEYS,
    FailedKeys,
    Key,
    PartialDict,
    Route,
    Terms,
    by_node,
    carry_out,
)
from client.node import Node

Encode = Callable[[Any, Any], tuple[bytes, int]]  # the caller's key and value -> bytes, flags
Reword = Callable[[bytes], bytes]  # a single request as it is put to another node


class _Storing:
    """The requests of a batch store."""

    writes = True

    def __init__(
        self,
        values: Mapping[Any, tuple[bytes, int]],
        expire: int,
        *,
        result: FailedKeys,
        is_meta: bool,
        reword: Reword | None,
    ) -> None:
        self._values = values
        self._expire = expire
        self._result = result
        self._is_meta = is_meta
        self._reword = reword

    def chunk(
        self, node: Node, connection: Any, names: Sequence[Any], wires: Sequence[bytes], at: int
    ) -> tuple[bytes, Reply, int]:
        """Make the request for what fits into one. Raises MetaUnsupported."""
        opaque = _take_opaque(node, connection, is_first=not at) if self._is_meta else b""
        requests: list[bytes] = []
        size = 0
        for name, wire in zip(
            names[at : at + CHUNK_KEYS], wires[at : at + CHUNK_KEYS], strict=True
        ):
            data, flags = self._values[name]
            if requests and size + len(data) > CHUNK_BYTES:
                break
            size += len(data)
            if opaque:
                head = b"ms %b %d T%d F%d %b" % (wire, len(data), self._expire, flags, opaque)
            else:
                head = b"set %b %d %d %d" % (wire, flags, self._expire, len(data))
            request = b"%b\r\n%b\r\n" % (head, data)
            requests.append(request if self._reword is None else self._reword(request))
        answers = {b"HD " + opaque: True, b"NS " + opaque: False} if opaque else _STORED
        count = len(requests)

        def refuse(name: Any, error: ServerError) -> None:
            node.count_failure(error)
            self._result.failed[name] = error

        reply = Lines(names[at : at + count], answers, self._accept, refuse, has_data=True)
        return b"".join(requests), reply, count

    def _accept(self, names: Sequence[Any], is_stored: bool) -> None:
        if not is_stored:
            self._result.extend(names)


class _Deleting:
    """The requests of a batch delete. `into` gets whether each key was there."""

    writes = True

    def __init__(self, into: PartialDict, *, is_meta: bool) -> None:
        self._into = into
        self._is_meta = is_meta

    def chunk(
        self, node: Node, connection: Any, names: Sequence[Any], wires: Sequence[bytes], at: int
    ) -> tuple[bytes, Reply, int]:
        """Make the request for at most CHUNK_KEYS keys. Raises MetaUnsupported."""
        names = names[at : at + CHUNK_KEYS]
        wires = wires[at : at + CHUNK_KEYS]
        answers = _DELETED
        verb, end = b"delete ", b"\r\n"
        if self._is_meta:
            opaque = _take_opaque(node, connection, is_first=not at)
            answers = {b"HD " + opaque: True, b"NF " + opaque: False}
            verb, end = b"md ", b" %b\r\n" % opaque

        def refuse(name: Any, error: ServerError) -> None:
            node.count_failure(error)
            self._into.failed[name] = error

        reply = Lines(names, answers, self._accept, refuse, has_data=False)
        return verb + (end + verb).join(wires) + end, reply, len(names)

    def _accept(self, names: Sequence[Any], was_there: bool) -> None:
        self._into.update(dict.fromkeys(names, was_there))


_STORED: Mapping[bytes, bool] = {b"STORED": True, b"NOT_STORED": False}
_DELETED: Mapping[bytes, bool] = {b"DELETED": True, b"NOT_FOUND": False}


def store_many(
    routes: Mapping[Key, Route],
    values: Mapping[Any, Any],
    encode: Encode,
    expire: int,
    begin: Callable[[], Terms],
    *,
    reword: Reword | None = None,
) -> FailedKeys:
    """Set every key; `encode(key, value)` gives its bytes and flags. Gives the keys not stored.

    `begin` starts the time when all is serialised: no node is to blame for a slow serde.
    `reword` is how a request is put to a node that is not the key's own. Raises IllegalKey and what
    `encode` raises, before anything is sent. A key whose error says "indeterminate" may be stored.
    """
    shares, aliases = by_node(routes, list(values))
    encoded = {name: encode(name, value) for name, value in values.items()}
    for name, others in aliases.items():  # one key, given twice: the last value counts
        encoded[name] = encoded[others[-1]]
    result = FailedKeys()
    terms = begin()
    is_meta = terms.protocol == "meta"

    def work(reword: Reword | None) -> _Storing:
        return _Storing(encoded, expire, result=result, is_meta=is_meta, reword=reword)

    result.failed.update(carry_out(work(None), shares, terms, work(reword)))
    result[:] = dict.fromkeys([*result, *result.failed])
    for name in result.copy() if aliases else ():
        for other in aliases.get(name, ()):
            result.append(other)
            if name in result.failed:
                result.failed[other] = result.failed[name]
    return result


def delete_many(routes: Mapping[Key, Route], keys: Iterable[Key], terms: Terms) -> PartialDict:
    """Delete all `keys`: a mapping of key to whether it was there, with `.failed`.

    With fallbacks, copies of a key whose node refused it are deleted elsewhere, and the key has
    failed all the same: its own node still has it. A key whose error says "indeterminate" may have
    been deleted. Raises IllegalKey, before anything is sent.
    """
    shares, aliases = by_node(routes, keys)
    result, copies = PartialDict(), PartialDict()
    is_meta = terms.protocol == "meta"
    elsewhere = _Deleting(copies, is_meta=is_meta)
    failed = carry_out(_Deleting(result, is_meta=is_meta), shares, terms, elsewhere, forgets=True)
    result.failed.update(failed)
    for name in failed:  # answers that came before a reply went wrong
        result.pop(name, None)
    for name, others in aliases.items():
        for other in others:
            if name in result:
                result[other] = result[name]
            elif name in result.failed:
                result.failed[other] = result.failed[name]
    return result


def _take_opaque(node: Node, connection: Any, *, is_first: bool) -> bytes:
    """Give the opaque of a chunk. Raises MetaUnsupported."""
    if not node.speaks_meta:  # one that does not know `ms` would take the values for commands
        raise MetaUnsupported(in_step=is_first)
    connection.serial += 1
    return b"O%d" % connection.serial

"""Many keys in one call: what is asked of each node, and what its replies mean.

A key whose node failed is in `.failed` with the error and is never called a miss, because nobody
could ask. How the nodes' parts run side by side is `batch`'s concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from client.batch import Batch, Chunk
from client.errors import MemcacheClientError, ServerError
from client.node import Node
from client.replies import ReplyStream, error_of, item_header

CHUNK_KEYS = 100  # 25 KB of keys at most: two requests fit into any socket's buffer
CHUNK_BYTES = 65_536  # of values under way before replies are read

Key = str | bytes
Route = tuple[Node, bytes]


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


def fetch_many(
    routes: Mapping[Key, Route],
    keys: Iterable[Key],
    *,
    with_cas: bool,
    started: float,
    deadline: float,
) -> PartialDict:
    """Get all `keys`. The result has those that were found, `.failed` those nobody could ask."""
    names: dict[bytes, list[Key]] = {}
    shares = _by_node(routes, keys, names)
    verb = b"gets " if with_cas else b"get "
    result = PartialDict()

    def read(stream: ReplyStream, _: Sequence[bytes]) -> None:
        while True:
            line = stream.line()
            if line == b"END":
                return
            if not line.startswith(b"VALUE "):
                error = error_of(line, has_data=False)
                error.in_step = False  # replies to a further chunk may follow
                raise error
            key, size, cas = item_header(line)
            value = stream.block(size)
            if key not in names:
                raise error_of(line, has_data=False)  # a value nobody asked for
            for name in names[key]:
                result[name] = (value, cas) if with_cas else value

    def fail(unanswered: Sequence[bytes], error: MemcacheClientError) -> None:
        for key in unanswered:
            for name in names[key]:
                if name not in result:
                    result.failed[name] = error

    chunks = {
        node: [
            (verb + b" ".join(part) + b"\r\n", part)
            for part in (wires[at : at + CHUNK_KEYS] for at in range(0, len(wires), CHUNK_KEYS))
        ]
        for node, wires in shares.items()
    }
    Batch(started, deadline, read, fail).run(chunks)
    return result


def store_many(
    routes: Mapping[Key, Route],
    values: Mapping[Any, Any],
    encode: Callable[[bytes, Any], bytes],
    *,
    started: float,
    deadline: float,
) -> FailedKeys:
    """Set every key; `encode(key, value)` builds the command. Gives the keys not stored."""
    names: dict[bytes, list[Key]] = {}
    shares = _by_node(routes, values, names)
    # Encoded before anything is sent: an argument memcached cannot take fails the whole call.
    commands = {key: encode(key, values[name[-1]]) for key, name in names.items()}
    result = FailedKeys()

    def read(stream: ReplyStream, keys: Sequence[bytes]) -> None:
        for key in keys:
            line = stream.line()
            if line == b"STORED":
                continue
            if line == b"NOT_STORED":
                result.extend(names[key])
                continue
            error = error_of(line, has_data=True)
            if not isinstance(error, ServerError):
                raise error
            routes[names[key][0]][0].count_failure(error)
            fail((key,), error)

    def fail(unanswered: Sequence[bytes], error: MemcacheClientError) -> None:
        for key in unanswered:
            for name in names[key]:
                if name not in result.failed and name not in result:
                    result.append(name)
                    result.failed[name] = error

    chunks = {
        node: list(_chunked([(commands[key], key) for key in wires]))
        for node, wires in shares.items()
    }
    Batch(started, deadline, read, fail).run(chunks)
    return result


def delete_many(
    routes: Mapping[Key, Route], keys: Iterable[Key], *, started: float, deadline: float
) -> PartialDict:
    """Delete all `keys`: a mapping of key to whether it was there, with `.failed`."""
    names: dict[bytes, list[Key]] = {}
    shares = _by_node(routes, keys, names)
    result = PartialDict()

    def read(stream: ReplyStream, asked: Sequence[bytes]) -> None:
        for key in asked:
            line = stream.line()
            if line not in (b"DELETED", b"NOT_FOUND"):
                error = error_of(line, has_data=False)
                error.in_step = False  # replies to the keys that follow are still to come
                raise error
            for name in names[key]:
                result[name] = line == b"DELETED"

    def fail(unanswered: Sequence[bytes], error: MemcacheClientError) -> None:
        for key in unanswered:
            for name in names[key]:
                if name not in result:
                    result.failed[name] = error

    chunks = {
        node: list(_chunked([(b"delete " + key + b"\r\n", key) for key in wires]))
        for node, wires in shares.items()
    }
    Batch(started, deadline, read, fail).run(chunks)
    return result


def _by_node(
    routes: Mapping[Key, Route], keys: Iterable[Key], names: dict[bytes, list[Key]]
) -> dict[Node, list[bytes]]:
    """Sort the keys by node, each once; `names` gets what the caller calls each."""
    shares: dict[Node, list[bytes]] = {}
    for name in keys:
        node, key = routes[name]
        known = names.get(key)
        if known is not None:
            if name not in known:
                known.append(name)
            continue
        names[key] = [name]
        share = shares.get(node)
        if share is None:
            shares[node] = [key]
        else:
            share.append(key)
    return shares


def _chunked(commands: Sequence[tuple[bytes, bytes]]) -> Iterator[Chunk]:
    """Group commands into requests of at most CHUNK_KEYS keys and about CHUNK_BYTES."""
    parts: list[bytes] = []
    keys: list[bytes] = []
    size = 0
    for command, key in commands:
        if keys and (len(keys) >= CHUNK_KEYS or size + len(command) > CHUNK_BYTES):
            yield b"".join(parts), keys
            parts, keys, size = [], [], 0
        parts.append(command)
        keys.append(key)
        size += len(command)
    if keys:
        yield b"".join(parts), keys

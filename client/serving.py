"""What is asked of nodes and not of keys: version, statistics, and forgetting everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymemcache.client.base import STAT_TYPES

from client import commands, replies
from client.errors import IllegalInput, MemcacheClientError, ProtocolError
from client.node import Node
from client.replies import error_of
from client.reply_stream import Readable, ReplyStream

MAX_STATS = (
    100_000  # lines of one reply; memcached has some hundred, a peer that babbles any number
)

_FLUSHED: Mapping[bytes, Any] = {b"OK\r\n": True}


class Serving:
    """Methods that go to nodes as such."""

    _nodes: dict[str, Node]

    def flush_all(self, delay: int = 0, noreply: bool | None = None) -> bool:
        """Have every node forget all it holds, in `delay` seconds; True when all said yes.

        All nodes are told even if one fails; then the first failure is raised, and its `node` says
        where. The others have been flushed.
        """
        commands.refuse_noreply(noreply)
        if not isinstance(delay, int) or not 0 <= delay <= commands.MAX_EXPIRE:
            raise IllegalInput("delay must be a whole number of seconds, 0 or more")
        failure: MemcacheClientError | None = None
        for node in list(self._nodes.values()):
            try:
                node.call(b"flush_all %d\r\n" % delay, replies.read_status, _FLUSHED)
            except MemcacheClientError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return True

    def version(self, *, node: str | None = None) -> bytes:
        """Give memcached's version, as bytes.

        `node` ("host:port") says whose; it may be left out where there is only one. Raises
        IllegalInput when it is needed or unknown.
        """
        found: bytes = self._node_of(node).call(b"version\r\n", _read_version, None)
        return found

    def stats(self, *args: str | bytes, node: str | None = None) -> dict[bytes, Any]:
        """Give a node's statistics, {name: value}, with pymemcache's types; `node` as in `version`.

        `args` choose a set, such as "items" or "slabs".
        """
        words = [b"stats", *map(commands.wire_key, args)]
        request = b" ".join(words) + b"\r\n"
        found: dict[bytes, Any] = self._node_of(node).call(request, _read_stats, None)
        return {name: _stat(name, value) for name, value in found.items()}

    def _node_of(self, label: str | None) -> Node:
        if label is None and len(self._nodes) == 1:
            return next(iter(self._nodes.values()))
        if label not in self._nodes:
            raise IllegalInput(f"node must be one of {', '.join(self._nodes)}")
        return self._nodes[label]


def _stat(name: bytes, value: bytes) -> Any:
    try:
        return STAT_TYPES.get(name, int)(value)
    except (ValueError, IndexError):
        return value


def _read_version(connection: Readable, _: None, deadline: float) -> bytes:
    stream = ReplyStream(connection, deadline, connection.read())
    line = stream.line()
    if not stream.is_empty:
        raise ProtocolError("bytes behind the reply")
    if not line.startswith(b"VERSION "):
        raise error_of(line, has_data=False)
    return line.removeprefix(b"VERSION ")


def _read_stats(connection: Readable, _: None, deadline: float) -> dict[bytes, bytes]:
    stream = ReplyStream(connection, deadline, connection.read())
    found: dict[bytes, bytes] = {}
    for _line in range(MAX_STATS):
        line = stream.line()
        if line in (b"END", b"RESET"):
            if not stream.is_empty:
                raise ProtocolError("bytes behind the reply")
            return found
        kind, _space, rest = line.partition(b" ")
        if kind not in (b"STAT", b"ITEM"):
            error = error_of(line, has_data=False)
            error.in_step = error.in_step and not found and stream.is_empty
            raise error
        name, _space, value = rest.partition(b" ")
        found[name] = value
    raise ProtocolError("statistics without an end")

"""Where keys really live: direct reads on every node, past the proxies and past the client.

A client's own word about its ring is evidence, not truth. So after the prefill every node is asked
for every key over a plain connection of the harness's own. Requests are bounded in size and every
wait has a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import BinaryIO

from cluster.direct import connect
from cluster.node import Node, spell
from users.direct_counts import DIRECT
from users.spelling import AS_GIVEN, Spelling

DIRECT_TIMEOUT_S = 5.0  # nothing is broken yet while this runs: a node this slow is a problem
KEYS_A_REQUEST = 100


class LocationError(Exception):
    """A node that cannot be read directly. One line."""


class DirectNode:
    """One plain connection to a node's direct address. Use as a context manager."""

    def __init__(
        self, node: Node, timeout_s: float = DIRECT_TIMEOUT_S, spelling: Spelling = AS_GIVEN
    ) -> None:
        self.node = node
        self.spelling = spelling
        try:
            self._socket = connect(node.direct, timeout_s)
        except OSError as error:
            raise self._trouble(error) from error
        DIRECT.connections[node.name] += 1
        self._replies: BinaryIO = self._socket.makefile("rb")

    def __enter__(self) -> DirectNode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._replies.close()
        self._socket.close()

    def fetch(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Give the values of those of `keys` that the node holds."""
        found: dict[str, bytes] = {}
        for part in self._parts(keys):
            try:
                self._socket.sendall(f"get {' '.join(part)}\r\n".encode())
                DIRECT.commands[self.node.name] += len(part)
                here = dict(self._read_values())
                DIRECT.misses[self.node.name] += len(part) - len(here)
                found.update(here)
            except OSError as error:
                raise self._trouble(error) from error
        return found

    def _read_values(self) -> Iterable[tuple[str, bytes]]:
        while (line := self._replies.readline()) != b"END\r\n":
            words = line.split()
            if len(words) < 4 or words[0] != b"VALUE":
                raise self._trouble(f"unexpected reply {line[:60]!r}")
            length = int(words[3])
            value = self._replies.read(length + 2)[:length]
            yield self.spelling.key(words[1].decode()), value

    def store(self, key: str, value: bytes, ttl_s: int) -> str:
        """Store a value for so long; return the server's reply, "STORED" where it did."""
        line = f"set {self.spelling.name(key)} 0 {ttl_s} {len(value)}\r\n".encode()
        try:
            self._socket.sendall(line + value + b"\r\n")
            DIRECT.commands[self.node.name] += 1
            return self._replies.readline().decode("latin-1").strip()
        except OSError as error:
            raise self._trouble(error) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Remove `keys` from the node, whether it holds them or not."""
        for part in self._parts(keys):
            try:
                self._socket.sendall("".join(f"delete {key}\r\n" for key in part).encode())
                DIRECT.commands[self.node.name] += len(part)
                for _ in part:
                    line = self._replies.readline()
                    if line not in (b"DELETED\r\n", b"NOT_FOUND\r\n"):
                        raise self._trouble(f"unexpected reply {line[:60]!r}")
            except OSError as error:
                raise self._trouble(error) from error

    def _parts(self, keys: Iterable[str]) -> Iterable[list[str]]:
        rest = map(self.spelling.name, keys)
        while part := list(islice(rest, KEYS_A_REQUEST)):
            yield part

    def _trouble(self, why: object) -> LocationError:
        where = spell(self.node.direct)
        return LocationError(f"{self.node.name} cannot be read directly at {where}: {why}")


def fetch_all(
    connections: Sequence[DirectNode], keys: Sequence[str], spelling: Spelling = AS_GIVEN
) -> dict[str, dict[str, bytes]]:
    """Give, for every key, its value by the name of each node that holds it, in their order.

    The connections keep the `spelling`, for what is asked of them next.
    """
    where: dict[str, dict[str, bytes]] = {key: {} for key in keys}
    for connection in connections:
        connection.spelling = spelling
        for key, value in connection.fetch(keys).items():
            if key in where:
                where[key][connection.node.name] = value
    return where

"""Under which names a client stores its keys: as they were given, or with a prefix of its own.

Clients put services apart by a prefix, or by a suffix. The servers know such keys by those names
alone, so whoever reads them directly has to know them too. What a client makes of a key is learned
from the servers: `watch mutations` shows the name of whatever is stored.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import gevent

from cluster.direct import connect
from cluster.node import Node

WATCH_S = 1.0  # a server tells its watchers within milliseconds
LOOK_EVERY_S = 0.01
_RECEIVE_BYTES = 65_536
_OK = b"OK\r\n"


class Spelling(NamedTuple):
    """What stands before and after a key in its name on the servers."""

    prefix: str = ""
    suffix: str = ""

    def name(self, key: str) -> str:
        """Give the name under which a server has the key."""
        return f"{self.prefix}{key}{self.suffix}"

    def key(self, name: str) -> str:
        """Give the key of such a name."""
        return name[len(self.prefix) : len(name) - len(self.suffix)]


AS_GIVEN = Spelling()


def learn_spelling(
    nodes: Sequence[Node], key: str, store: Callable[[], object], limit_s: float = WATCH_S
) -> Spelling | None:
    """Have `store` store `key`, and give the name it got; None where no server shows one.

    That is so for names that do not contain the key (a hash of it), for servers that let nobody
    watch (before memcached 1.5), and for nodes that cannot be reached.
    """
    rests: dict[socket.socket, bytes] = {}  # by watcher: the begin of a line that is not whole yet
    wanted = quote(key, safe="").encode()
    try:
        for node in nodes:
            _watch(node, limit_s, rests)
        store()
        deadline = time.monotonic() + limit_s
        while rests and time.monotonic() < deadline:
            for watcher in list(rests):
                *lines, rests[watcher] = (rests[watcher] + _received(watcher)).split(b"\n")
                for line in lines:
                    name = _name_in(line) if wanted in line else ""
                    if key in name:
                        prefix, _, suffix = name.partition(key)
                        return Spelling(prefix, suffix)
            gevent.sleep(LOOK_EVERY_S)
        return None
    finally:
        for watcher in rests:
            watcher.close()


def _watch(node: Node, limit_s: float, rests: dict[socket.socket, bytes]) -> None:
    """Add a connection that shows what is stored on a node, where there is one to be had."""
    try:
        watcher = connect(node.direct, limit_s)
    except OSError:
        return
    rests[watcher] = b""
    try:
        watcher.sendall(b"watch mutations\r\n")
        is_shown = watcher.recv(len(_OK)) == _OK
    except OSError:
        is_shown = False
    if is_shown:
        watcher.setblocking(False)
    else:
        del rests[watcher]
        watcher.close()


def _received(watcher: socket.socket) -> bytes:
    try:
        return watcher.recv(_RECEIVE_BYTES)
    except OSError:  # nothing yet, or never again
        return b""


def _name_in(line: bytes) -> str:
    for word in line.decode("ascii", "replace").split():
        if word.startswith("key="):
            return unquote(word.removeprefix("key="))
    return ""

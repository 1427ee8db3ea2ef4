"""What all calls of single keys share: the way to a key's node and the choice of its protocol.

Rules of the choice, per call by the keyword `protocol`, else by the client's setting. "auto": reads
go over meta where the node speaks it, because an opaque proves whose reply it is; writes go as
text; what only meta can do goes over meta. "meta": everything goes over meta. "text": nothing does.
Where meta is needed and the node has none, MetaUnsupported is raised before anything is sent.

A node is asked what it speaks before the first `ms`, unless the setting "meta" says that it is
known: a node that does not know the command would read the value as commands of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client import meta
from client.errors import IllegalInput, MetaUnsupported
from client.node import Node
from client.settings import PROTOCOLS, ClientSettings
from client.values import Values

Key = str | bytes
Route = tuple[Node, bytes]
Value = Any  # bytes, text or a number; with a serde whatever it takes


class Calls:
    """What the client gives its methods. Made by the client alone."""

    settings: ClientSettings
    _routes: Mapping[Key, Route]
    _values: Values

    def _reads_meta(self, node: Node, protocol: str | None) -> bool:
        """Say whether a read goes over meta."""
        chosen = self._chosen(protocol)
        if chosen == "text":
            return False
        return speaks_meta(node) or self._refuse(is_needed=chosen == "meta")

    def _writes_meta(self, node: Node, protocol: str | None) -> bool:
        """Say whether a write goes over meta."""
        if protocol is None and self.settings.protocol != "meta":
            return False
        if self._chosen(protocol) != "meta":
            return False
        return speaks_meta(node) or self._refuse(is_needed=True)

    def _need_meta(self, node: Node, protocol: str | None) -> None:
        """Raise MetaUnsupported unless meta is allowed and spoken."""
        if self._chosen(protocol) == "text" or not speaks_meta(node):
            self._refuse(is_needed=True)

    def _chosen(self, protocol: str | None) -> str:
        if protocol is None:
            return self.settings.protocol
        if protocol not in PROTOCOLS:
            raise IllegalInput(f"protocol must be one of {', '.join(PROTOCOLS)}")
        return protocol

    @staticmethod
    def _refuse(*, is_needed: bool) -> bool:
        if is_needed:
            raise MetaUnsupported
        return False


def speaks_meta(node: Node) -> bool:
    """Say whether the node speaks meta; a node that nobody has asked yet is asked.

    Opening its first connection asks, and takes silence and nonsense for an answer. Only who comes
    while another caller's connection is asking has to ask by itself.
    """
    known = node.speaks_meta
    if known is None:
        node.call(b"", _read_nothing, None)
        known = node.speaks_meta
    if known is None:
        answer = bool(node.call(b"mn\r\n", meta.read_no_op, None))
        known = node.speaks_meta  # making the first connection may have asked as well
        return answer if known is None else known
    return known


def _read_nothing(*_: object) -> None:
    """Read the reply to no request at all."""


def ask(node: Node, request: meta.Request) -> Any:
    """Send a meta request to a node and give its answer."""
    return node.call(request.data, meta.read, request)

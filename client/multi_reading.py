"""Reading many keys: what is asked of a node, in chunks, and what its values are to the caller.

Where a node speaks meta the requests are quiet `mg`s and the last one of a chunk, which is not, has
an opaque: a node answers in order, so the one number that comes back proves the whole reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from client.bulk import MetaValues, Reply, TextValues
from client.errors import MetaUnsupported
from client.multi import CHUNK_KEYS, Key, PartialDict, Route, Terms, by_node, carry_out
from client.node import Node

Decode = Callable[[Any, bytes, int], Any]  # the caller's key, the bytes, the flags -> the value


class _Reading:
    """The requests of a batch read. `into` gets bytes, or (bytes, flags, cas) when not plain."""

    writes = False

    def __init__(self, into: dict[Any, Any], protocol: str, *, with_cas: bool, is_plain: bool):
        self._into = into
        self._protocol = protocol
        self._is_plain = is_plain
        self._verb = b"gets " if with_cas else b"get "
        self._wants = b" v k" if is_plain else b" v k f c"
        self._between = self._wants + b" q\r\nmg "

    def chunk(
        self, node: Node, connection: Any, names: Sequence[Any], wires: Sequence[bytes], at: int
    ) -> tuple[bytes, Reply, int]:
        """Make the request for at most CHUNK_KEYS keys. Raises MetaUnsupported."""
        if at or len(wires) > CHUNK_KEYS:
            names = names[at : at + CHUNK_KEYS]
            wires = wires[at : at + CHUNK_KEYS]
        if self._protocol == "text" or not node.speaks_meta:
            if self._protocol == "meta" and node.speaks_meta is False:
                raise MetaUnsupported(in_step=not at)
            request = b"%b%b\r\n" % (self._verb, b" ".join(wires))
            reply: Reply = TextValues(names, wires, self._into, self._is_plain)
            return request, reply, len(names)
        connection.serial = serial = connection.serial + 1
        opaque = b" O%d" % serial
        request = b"mg " + self._between.join(wires) + self._wants + opaque + b"\r\n"
        return request, MetaValues(names, wires, self._into, opaque, self._is_plain), len(names)


def fetch_many(
    routes: Mapping[Key, Route],
    keys: Iterable[Key],
    terms: Terms,
    *,
    with_cas: bool = False,
    decode: Decode | None = None,
) -> PartialDict:
    """Get all `keys`. The result has those that were found, `.failed` those nobody could ask.

    `decode`, which may be foreign code, runs when every reply has been read. Raises what it raises
    and IllegalKey, before anything is sent.
    """
    shares, aliases = by_node(routes, keys)
    result = PartialDict()
    is_plain = not with_cas and decode is None
    # A token means something on the node that gave it, so such reads stay with the key's own.
    if with_cas and terms.fallbacks is not None:
        terms = terms._replace(fallbacks=None)
    work = _Reading(result, terms.protocol, with_cas=with_cas, is_plain=is_plain)
    result.failed = carry_out(work, shares, terms)
    for name in result.failed:  # values that came before the reply went wrong
        result.pop(name, None)
    if not is_plain:
        for name, (data, flags, cas) in result.items():
            value = data if decode is None else decode(name, data, flags)
            result[name] = (value, cas) if with_cas else value
    for name, others in aliases.items():
        for other in others:
            if name in result:
                result[other] = result[name]
            elif name in result.failed:
                result.failed[other] = result.failed[name]
    return result

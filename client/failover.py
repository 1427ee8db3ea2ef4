"""A call whose node refused it goes to other nodes: the target of a key when failover is on.

The rule: the key's own node is always asked first, so a key is back the moment its node is. Only
what was definitely not sent goes elsewhere, and only where the node is at fault or its breaker is
open: a call that may have happened is never made twice, and a full pool is nobody's failure. All
attempts share one deadline and there are at most as many as there are `others`.

When the others refuse it too, the error is that of the key's own node. What may be asked of them
is for `failover_rules` to say; which nodes they are, for `routing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from client import meta
from client.errors import BreakerOpen, Happened, MemcacheClientError
from client.failover_rules import Manner, manner_of, needs_meta
from client.node import Node, fetch_until

Read = Callable[[Any, Any, float], Any]


def is_refusal(error: MemcacheClientError) -> bool:
    """Say whether a node did not take a request at all, through its own fault."""
    return error.happened is Happened.NOT_SENT and (
        error.blames_node or isinstance(error, BreakerOpen)
    )


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all detours of a client share. `moved` counts calls that ended well elsewhere."""

    clock: Callable[[], float]
    op_timeout: float
    reword: Callable[[bytes], bytes]  # a request for the key's own node -> for another
    moved: Counter[str] = field(default_factory=Counter)  # by the label of the key's own node


class Detour:
    """A node and those to turn to in its place. It has a node's face as far as calls go."""

    __slots__ = ("_terms", "others", "primary")

    def __init__(self, primary: Node, others: Sequence[Node], terms: Terms) -> None:
        self.primary = primary
        self.others = others
        self._terms = terms

    @property
    def label(self) -> str:
        """The label of the key's own node."""
        return self.primary.label

    @property
    def speaks_meta(self) -> bool | None:
        """Whether the key's own node speaks meta, or else the first other that is known to."""
        for node in (self.primary, *self.others):
            if node.speaks_meta is not None:
                return node.speaks_meta
        return None

    def fetch(self, key: bytes) -> bytes | None:
        """Get one value, as `Node.fetch`; a miss of another node is a miss."""
        deadline = self._terms.clock() + self._terms.op_timeout
        try:
            return self.primary.fetch(key)
        except MemcacheClientError as error:
            if not is_refusal(error):
                raise
            refusal = error

        value: bytes | None = self._elsewhere(
            lambda node: fetch_until(node, key, deadline), refusal, deadline
        )
        return value

    def call(self, request: bytes, read: Read, expected: Any) -> Any:
        """Send one request, as `Node.call`; elsewhere it may be reworded.

        Raises MemcacheClientError; its `happened` holds for every node that was asked.
        """
        deadline = self._terms.clock() + self._terms.op_timeout
        try:
            return self.primary.call(request, read, expected, deadline)
        except MemcacheClientError as error:
            manner = manner_of(request)
            if manner is Manner.STAYS or not is_refusal(error):
                raise
            refusal = error
        reworded = self._terms.reword(request)

        def call(node: Node) -> Any:
            if needs_meta(request) and not _speaks_meta(node, deadline):
                raise refusal
            return node.call(reworded, read, expected, deadline)

        if manner is Manner.FORGETS:
            self._forget(call, deadline)
            raise refusal
        return self._elsewhere(call, refusal, deadline)

    def _elsewhere(
        self, attempt: Callable[[Node], Any], refusal: MemcacheClientError, deadline: float
    ) -> Any:
        for node in self.others:
            if self._terms.clock() >= deadline:
                break
            try:
                result = attempt(node)
            except MemcacheClientError as error:
                if error.happened is not Happened.NOT_SENT:
                    raise
            else:
                self._terms.moved[self.primary.label] += 1
                return result
        raise refusal

    def _forget(self, attempt: Callable[[Node], Any], deadline: float) -> None:
        for node in self.others:
            if self._terms.clock() >= deadline:
                return
            try:
                attempt(node)
            except MemcacheClientError:
                continue  # its copy ends by itself, or it has none

    def __repr__(self) -> str:
        others = ", ".join(node.label for node in self.others)
        return f"<Detour {self.primary.label}, then {others or 'nobody'}>"


def _speaks_meta(node: Node, deadline: float) -> bool:
    """Say whether a node speaks meta; one that was never asked would take a value for commands."""
    if node.speaks_meta is None:
        return bool(node.call(b"mn\r\n", meta.read_no_op, None, deadline))
    return node.speaks_meta

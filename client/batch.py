"""Batches: one deadline, all nodes at once, no greenlet per node.

Every node's part is sent before any reply is read, so a batch takes as long as its slowest node. A
node that fails costs only its own part. There are three cases for a node's part:
1. An idle connection took the whole request: its reply is waited for with all the others'.
2. There is none, or the request is larger than the socket's buffer: that part goes on beside the
   others, see `aside`. It holds a place in one pool at most, and the caller holds places while it
   waits for nothing but replies, so batches cannot lock each other up.
3. The only part is of the second kind: the caller carries it out by itself.

What a node did not answer goes to `fail` with the error. The batch does not know what the requests
are, nor how replies are waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from client import batch_in_turns
from client.aside import Aside, join_all
from client.errors import ConnectionClosed, Happened, MemcacheClientError, OutOfResources
from client.exchange import Exchange, Work
from client.node import Node
from client.runtime import has_hub_io

Share = tuple[list[Any], list[bytes]]  # a node's keys as the caller names them, and as they go out
# Told the node, the keys it did not answer (named and as sent), and why.
Fail = Callable[[Node, Sequence[Any], Sequence[bytes], MemcacheClientError], None]


class Batch:
    """A batch under way; for one call of `run`."""

    def __init__(self, work: Work, started: float, deadline: float, fail: Fail) -> None:
        self._work = work
        self._started = started
        self._deadline = deadline
        self._fail = fail
        self._held: list[Exchange] = []  # parts that this caller must end
        self._asides: list[tuple[Aside, Exchange]] = []

    def run(self, shares: Mapping[Node, Share]) -> None:
        """Carry out every node's share; failures of nodes are reported, not raised."""
        try:
            self._run(shares)
        except BaseException as error:
            # A kill or the caller's own timeout: no reply still to come may meet another request.
            for aside, part in self._asides:
                if not aside.cancel():
                    self._held.append(part)
            while self._held:
                self._held.pop().fail(error)
            raise

    def _run(self, shares: Mapping[Node, Share]) -> None:
        held = self._held
        ready: list[Exchange] = []
        stuck: list[Exchange] = []
        for node, share in shares.items():
            part = Exchange(node, share, self._work, self._started, self._deadline)
            held.append(part)
            try:
                (ready if part.begin() else stuck).append(part)
            except MemcacheClientError as error:
                self._end(part, error)
        for part in stuck if ready else stuck[1:]:
            self._put_aside(part)
        if ready:
            gather = _gather_for(ready)
            gather(ready, self._deadline, self._take, self._end)
        elif stuck:
            held.remove(stuck[0])
            self._drive(stuck[0])
        if self._asides:
            join_all(aside for aside, _ in self._asides)

    def _take(self, part: Exchange, data: bytes) -> bool:
        """Take in what came for a part; False when it need not be waited for any more."""
        try:
            if part.take(data):
                self._held.remove(part)
                return False
            if not part.send():
                self._put_aside(part)
                return False
        except MemcacheClientError as error:
            self._end(part, error)
            return False
        return True

    def _put_aside(self, part: Exchange) -> None:
        try:
            self._asides.append((Aside(partial(self._drive, part)), part))
        except RuntimeError as error:  # no further thread could be started
            failure = OutOfResources()
            failure.__cause__ = error
            self._end(part, failure)
        else:
            self._held.remove(part)

    def _drive(self, part: Exchange) -> None:
        while True:
            try:
                part.drive()
                return
            except MemcacheClientError as error:
                part.fail(error)
                if not part.restart(error):
                    self._report(part, error)
                    return
            except BaseException as error:
                part.fail(error)
                raise

    def _end(self, part: Exchange, error: MemcacheClientError) -> None:
        self._held.remove(part)
        part.fail(error)
        self._report(part, error)

    def _report(self, part: Exchange, error: MemcacheClientError) -> None:
        names, wires = part.unanswered()
        known = 0 if error.happened is Happened.NOT_SENT else 1  # the error is about the first
        count = part.under_way
        if self._work.writes and error.happened is not Happened.INDETERMINATE and count > known:
            # Their requests had left when the connection was given up: nobody knows.
            unknown = ConnectionClosed("connection given up with requests under way")
            unknown.node, unknown.__cause__ = part.node.label, error
            self._fail(part.node, names[:known], wires[:known], error)
            self._fail(part.node, names[known:count], wires[known:count], unknown)
            names, wires = names[count:], wires[count:]
        self._fail(part.node, names, wires, error)


_gathers: dict[bool, Any] = {False: batch_in_turns.gather}


def _gather_for(parts: Sequence[Exchange]) -> Any:
    """Give the way to wait that suits the connections."""
    for part in parts:
        if not part.connection.waits_on_hub:
            return _gathers[False]
    if True not in _gathers:
        _load_gather_on_hub()
    return _gathers[True]


def _load_gather_on_hub() -> None:
    from client.batch_on_hub import gather  # noqa: PLC0415 - needs gevent

    _gathers[True] = gather


if has_hub_io():
    _load_gather_on_hub()  # at once, as in `transport`

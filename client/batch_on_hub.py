"""Wait for all nodes of a batch at once on gevent's event loop: one switch for the usual batch.

The loop itself takes what arrives off the sockets. It wakes the caller when every node has sent
something that may be its whole reply, or as soon as there is something to do before that: more to
ask, a long reply to take in pieces, a connection that ended. So a node that is silent holds up
nobody, and three nodes that answer cost one wake-up.

Imported only where there are connections that wait on the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gevent import getcurrent

from client.connection import FIRST_READ, LATE_READS, NEXT_READ
from client.errors import ConnectionClosed, MemcacheClientError, OperationTimeout
from client.exchange import Exchange
from client.hub_connection import HubConnection
from client.watchdog import TIMED_OUT

Take = Callable[[Exchange, bytes], bool]
Fail = Callable[[Exchange, MemcacheClientError], None]


class _Meeting:
    """Who is to be woken, and how many inboxes are still empty."""

    __slots__ = ("empty", "greenlet")

    def __init__(self, empty: int) -> None:
        self.empty = empty
        self.greenlet: Any = None  # None while the caller is at work


class _Inbox:
    """What has arrived on one connection. Called by the event loop when there is more."""

    __slots__ = ("connection", "data", "error", "is_timed", "meeting", "part", "recv", "size")

    def __init__(self, part: Exchange, meeting: _Meeting) -> None:
        self.part = part
        self.meeting = meeting
        self.connection: HubConnection = part.connection
        self.recv = self.connection._recv
        self.is_timed = part.node.breaker.slow_call_s is not None
        self.size = FIRST_READ
        self.data = b""
        self.error: OSError | None = None

    def __call__(self) -> None:
        meeting = self.meeting
        if meeting.greenlet is None:  # it is busy: what has come waits in the kernel
            self.connection._mark()
            return
        try:
            data = self.recv(self.size)
        except BlockingIOError:
            return
        except OSError as error:
            self.error = error
            data = b""
        if self.is_timed:  # what waits here for other nodes must not look slow
            self.part.arrived_at = self.part.node.clock()
        if not data:
            self.connection._mark()  # an ended stream stays readable for ever
            self.error = self.error or ConnectionResetError()
        elif not self.data and data[-2:] == b"\r\n" and self.part.is_last:
            self.data = data
            meeting.empty -= 1
            if meeting.empty:
                return
        else:
            self.data += data
            self.size = NEXT_READ
        meeting.greenlet.switch()

    def listen(self) -> None:
        """Have the event loop call this inbox."""
        connection = self.connection
        if connection._mark.is_readable:
            connection._mark.is_readable = False
            connection._watcher.start(self)
        else:
            connection._watcher.callback = self

    def leave(self) -> None:
        """Give the connection back to its own ways, unless the part has done with it already."""
        if self.part.connection is self.connection:
            self.connection._watcher.callback = self.connection._mark


def gather(parts: Sequence[Exchange], deadline: float, take: Take, fail: Fail) -> None:
    """Hand what each part's node sends to `take` until it gives False for that part.

    A part whose connection fails, or is silent at the deadline, goes to `fail`.
    """
    meeting = _Meeting(len(parts))
    waiting = [_Inbox(part, meeting) for part in parts]
    try:
        for inbox in waiting:
            inbox.listen()
        while waiting and _wait(meeting, waiting[0].connection, deadline):
            waiting = [
                inbox
                for inbox in waiting
                if not (inbox.data or inbox.error) or _is_open(inbox, take, fail)
            ]
            for inbox in waiting:  # while this one was at work, they may have been marked
                if inbox.connection._mark.is_readable:
                    inbox.listen()
            meeting.empty = len(waiting)
    finally:
        for inbox in waiting:
            inbox.leave()
    for inbox in waiting:
        _take_late(inbox, take, fail)


def _wait(meeting: _Meeting, connection: HubConnection, deadline: float) -> bool:
    """Wait until an inbox wakes this greenlet; False at the deadline."""
    connection.deadline = deadline
    dog = connection._dog
    if deadline < dog.next_at:
        dog.arm(deadline)
    connection.waiter = meeting.greenlet = getcurrent()
    try:
        return connection._switch() is not TIMED_OUT
    finally:
        connection.waiter = meeting.greenlet = None


def _is_open(inbox: _Inbox, take: Take, fail: Fail) -> bool:
    """Hand over what has come; False when that was the end of the part."""
    data = inbox.data
    if data:
        inbox.data = b""
        connection = inbox.connection  # it may be somebody else's before `take` returns
        connection._watcher.callback = connection._mark
        if not take(inbox.part, data):
            return False
        inbox.listen()
    if inbox.error is None:
        return True
    inbox.leave()
    closed = ConnectionClosed()
    closed.__cause__ = inbox.error
    fail(inbox.part, closed)
    return False


def _take_late(inbox: _Inbox, take: Take, fail: Fail) -> None:
    """At the deadline: take what has arrived already, without waiting."""
    part = inbox.part
    data = inbox.data
    for _ in range(LATE_READS):
        if not data:
            part.arrived_at = 0.0
            try:
                data = inbox.recv(NEXT_READ)
            except OSError:
                break
            if not data:
                break
        if not take(part, data):
            return
        data = b""
    fail(part, OperationTimeout())

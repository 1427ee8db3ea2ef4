"""A connection that waits on gevent's event loop by itself, for a third of the usual cost.

gevent's own socket tries a `recv` that must fail, raises, starts a watcher, asks the kernel to
watch, and starts a timer, for every reply. Here the watcher of a connection is started once and
stays: whoever waits for a reply puts its own `switch` in as the callback, and one timer for all
connections of a hub ends the waits that are over time. What is left of a call is one `send`, one
turn of the event loop and one `recv`.

Rules. 1. A connection belongs to the hub (the thread) that opened it. 2. When nobody waits, bytes
or an end of the stream mark the connection readable and switch the watcher off; in the pool that
means stale, in a batch that its reply has come. 3. Deadlines as in `connection`: no call lasts
longer than its deadline, and what has already arrived then is taken without waiting.
"""

from __future__ import annotations

import _socket
import contextlib
import random
import socket
from collections.abc import Callable
from typing import Any

from gevent import get_hub, getcurrent

from client.connection import FIRST_READ, MINIMUM_WAIT_S, NEXT_READ
from client.errors import ConnectionClosed, OperationTimeout
from client.hub_reading import READ, HubReading, Mark
from client.watchdog import TIMED_OUT, watchdog_of


class HubConnection(HubReading):
    """A connected socket. Not for two callers at once: the pool gives it to one at a time."""

    waits_on_hub = True

    __slots__ = ()

    def __init__(
        self,
        sock: socket.socket,
        *,
        op_timeout: float,
        clock: Callable[[], float],
        address: object = None,
    ) -> None:
        hub = get_hub()
        # The plain type: gevent's keeps watchers of its own.
        bare: Any = _socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._socket = bare
        bare.setblocking(False)
        self._send = bare.send
        self._recv = bare.recv
        self._switch = hub.switch
        self._clock = clock
        self._op_timeout = op_timeout
        self._late_reads = 0
        self.address = address
        self.armed = False
        self.allowed_s = op_timeout
        self.deadline = 0.0
        self.idle_since = 0.0
        self.expires_at = 0.0
        self.serial = random.getrandbits(31)
        self.waiter: Any = None
        # Idle connections do not keep the hub alive; the watchdog's timer does while one waits.
        self._watcher = hub.loop.io(self._socket.fileno(), READ, ref=False)
        self._mark = Mark(self._watcher)
        self._watcher.start(self._mark)
        self._dog = watchdog_of(hub, clock)
        self._dog.connections.add(self)

    @property
    def is_stale(self) -> bool:
        """Whether an idle connection has been closed by the peer or holds bytes of nobody's."""
        return self._mark.is_readable

    def ask(self, request: bytes, deadline: float) -> bytes:
        """Send a request and give the first bytes of its reply.

        Raises OperationTimeout, ConnectionClosed.
        """
        self.deadline = deadline
        try:
            sent = self._send(request)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._end_because(error) from error
        if sent != len(request):
            self._write_rest(memoryview(request)[sent:], deadline)
            return self._read(FIRST_READ)
        # The rest is `_read`, written out: this is the way of nearly every call.
        dog = self._dog
        if deadline < dog.next_at:
            dog.arm(deadline)
        watcher = self._watcher
        self.waiter = greenlet = getcurrent()
        watcher.callback = greenlet.switch
        try:
            woken = self._switch()
        finally:
            self.waiter = None
            watcher.callback = self._mark
        if woken is TIMED_OUT:
            return self._read_late()
        try:
            data = self._recv(FIRST_READ)
        except BlockingIOError:
            return self._read(FIRST_READ)
        except OSError as error:
            raise ConnectionClosed from error
        if not data:
            raise ConnectionClosed
        return data

    def begin(self, deadline: float) -> None:
        """Start a call part of whose time is already gone. Raises OperationTimeout."""
        self.arm(deadline)
        self.allowed_s = deadline - self._clock()

    def arm(self, deadline: float) -> None:
        """Set the deadline of what follows. Raises OperationTimeout when it has passed."""
        if deadline <= self._clock():
            raise OperationTimeout
        self.armed = True
        self.deadline = deadline

    def disarm(self) -> None:
        """Forget what belonged to one call; called when the connection goes back to the pool."""
        self._late_reads = 0
        self.allowed_s = self._op_timeout
        self.armed = False

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`. Raises OperationTimeout, ConnectionClosed."""
        self.deadline = deadline
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._end_because(error) from error
        if sent < len(data):
            self._write_rest(memoryview(data)[sent:], deadline)

    def write_some(self, data: bytes) -> int:
        """Send what can be sent without waiting; say how many bytes. Raises ConnectionClosed."""
        try:
            return self._send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._end_because(error) from error

    def read(self) -> bytes:
        """Give the next bytes, at least one, within the deadline of the last write."""
        return self._read(FIRST_READ)

    def read_before(self, deadline: float) -> bytes:
        """Give the next bytes of a reply that has been read in part, or of a batch."""
        self.deadline = deadline
        return self._read(NEXT_READ)

    def read_within(self, seconds: float) -> bytes:
        """Give the bytes that come within `seconds`, or none at all when none do."""
        self.deadline = self._clock() + max(seconds, MINIMUM_WAIT_S)
        if self._wait() is TIMED_OUT:
            return b""
        return self._receive(FIRST_READ) or b""

    def disown(self) -> None:
        """In a forked process: close this copy, and be stale to whoever has it idle."""
        self._watcher.stop()
        with contextlib.suppress(OSError):
            self._socket.close()
        self._mark.is_readable = True  # the watchdog keeps it: it wakes whoever waits here

    def close(self) -> None:
        """Close the socket; never raises for a socket that is broken already."""
        self._watcher.stop()
        self._dog.connections.discard(self)
        with contextlib.suppress(OSError):
            self._socket.close()

    def __del__(self) -> None:
        # An active watcher is kept by the loop: nothing else would ever stop it.
        watcher = getattr(self, "_watcher", None)
        if watcher is not None:
            watcher.stop()

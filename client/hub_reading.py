"""Waiting for one connection's bytes on gevent's event loop, and reading what comes.

The watcher of a connection is started once and stays: whoever waits puts its own `switch` in as the
callback, and the watchdog, one timer for all connections of a hub, ends the waits that are over
time. When nobody waits, bytes or an end of the stream mark the connection readable and switch the
watcher off. What has already arrived at the deadline is taken without waiting.
"""

from __future__ import annotations

import contextlib
from typing import Any

from gevent import getcurrent
from gevent.socket import wait_write

from client.connection import LATE_READS, NEXT_READ, Connection
from client.errors import ConnectionClosed, OperationTimeout
from client.watchdog import TIMED_OUT

READ = 1  # libev's EV_READ


class Mark:
    """What the event loop calls when there is something to read and nobody waits for it."""

    __slots__ = ("is_readable", "watcher")

    def __init__(self, watcher: Any) -> None:
        self.watcher = watcher
        self.is_readable = False

    def __call__(self) -> None:
        """Note it, and look no further."""
        self.is_readable = True
        self.watcher.stop()  # the loop would come back for it at once, for ever


class HubReading(Connection):
    """The waiting half of a connection; `HubConnection` opens it, asks and closes."""

    __slots__ = ("_dog", "_mark", "_switch", "_watcher", "waiter")

    _dog: Any
    _mark: Mark
    _switch: Any  # the hub's
    _watcher: Any
    waiter: Any  # the greenlet that waits, for the watchdog to wake

    def _wait(self) -> Any:
        """Wait for something to read, until the deadline; TIMED_OUT says there was nothing."""
        mark, watcher = self._mark, self._watcher
        if mark.is_readable:  # it came while this call was waiting elsewhere
            mark.is_readable = False
            watcher.start(mark)
            return None
        dog = self._dog
        if self.deadline < dog.next_at:
            dog.arm(self.deadline)
        self.waiter = greenlet = getcurrent()
        watcher.callback = greenlet.switch
        try:
            return self._switch()
        finally:
            self.waiter = None
            watcher.callback = mark

    def _read(self, size: int) -> bytes:
        if self._late_reads:
            return self._read_late()  # the time is over: no turn of the hub for each piece more
        while True:
            if self._wait() is TIMED_OUT:
                return self._read_late()
            data = self._receive(size)
            if data is not None:
                return data

    def _receive(self, size: int) -> bytes | None:
        """Give the bytes that are there, None when there are none. Raises ConnectionClosed."""
        try:
            data = self._recv(size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ConnectionClosed from error
        if not data:
            raise ConnectionClosed
        return data

    def _read_late(self) -> bytes:
        """Take what has already arrived, without waiting; OperationTimeout when nothing has."""
        self.armed = True  # so that the count of late reads starts anew with the next call
        self._late_reads += 1
        data = None if self._late_reads > LATE_READS else self._receive(NEXT_READ)
        if data is None:
            raise OperationTimeout
        return data

    def _write_rest(self, rest: memoryview, deadline: float) -> None:
        """Send what did not fit into the socket's buffer, waiting for room."""
        # Replies may begin meanwhile (a refusal, a batch): the watcher must not spin on them.
        self._watcher.stop()
        try:
            while rest:
                remaining = deadline - self._clock()
                if remaining <= 0:
                    raise OperationTimeout
                wait_write(self._socket.fileno(), timeout=remaining, timeout_exc=OperationTimeout())
                with contextlib.suppress(BlockingIOError):
                    rest = rest[self._send(rest) :]
        except OperationTimeout:
            raise
        except OSError as error:
            raise self._end_because(error) from error
        finally:
            self._watcher.start(self._mark)

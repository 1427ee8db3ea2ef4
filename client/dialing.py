"""Sockets to the first address of a node that takes one, all of them tried in the time there is.

Happy eyeballs, in a small way: the addresses start one after the other, each with an equal share of
the time that is left before the next joins in, and an attempt once started goes on until one wins.
So a black hole in first place delays, but never hides, the address behind it; an address that
refuses hands over at once; and one that failed lately is tried last.

An address that is connected in the kernel when the time is over is taken: this process may have
stalled, not the peer. Nothing is sent here, and every socket but the winner is closed, whatever
ends the race.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
from collections.abc import Callable, Sequence

from client.connection import pristine_select
from client.errors import (
    ConnectRefused,
    ConnectTimeout,
    MemcacheClientError,
    OutOfResources,
    Unreachable,
)
from client.resolver import LOCAL_ERRNOS, SocketAddress

AVOID_S = 5.0  # how long an address that failed goes last
BUSY_RETRY_S = 0.005  # a unix socket with a full queue says so instead of letting us wait
# A peer that vanished is found on an idle connection in 25 s, before the pool's idle time is up.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

# The failure to report when several addresses failed: the one that says most about the node.
_TELLING = (OutOfResources, Unreachable, ConnectRefused, ConnectTimeout)
_UNDER_WAY = (errno.EINPROGRESS, errno.EINTR)


class Dialer:
    """Connect to one node, and remember which of its addresses failed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed_at: dict[SocketAddress, float] = {}

    def dial(
        self, addresses: Sequence[SocketAddress], until: float
    ) -> tuple[socket.socket, SocketAddress]:
        """Give a connected, non-blocking socket and its address, or the most telling failure.

        Raises ConnectTimeout, ConnectRefused, Unreachable, OutOfResources: nothing was sent.
        """
        now = self._clock()
        avoided = {one: at for one, at in self._failed_at.items() if now - at < AVOID_S}
        race = _Race(sorted(addresses, key=avoided.__contains__), until, self._clock)
        try:
            sock, address = race.run()
        finally:
            race.close()
            # Replaced, never changed: callers run side by side, each with what it saw at first.
            # What has left the name is dropped.
            failed = dict.fromkeys(race.losers, self._clock())
            kept = {one: at for one, at in avoided.items() if one in addresses}
            self._failed_at = kept | failed
        self._failed_at = {one: at for one, at in self._failed_at.items() if one != address}
        return sock, address


class _Race:
    def __init__(
        self, addresses: Sequence[SocketAddress], until: float, clock: Callable[[], float]
    ) -> None:
        self._waiting = list(addresses)
        self._until = until
        self._clock = clock
        self._running: dict[int, tuple[socket.socket, SocketAddress]] = {}
        self._failures: list[MemcacheClientError] = []
        self._next_at = clock()
        self.losers: list[SocketAddress] = []

    def run(self) -> tuple[socket.socket, SocketAddress]:
        while self._waiting or self._running:
            now = self._clock()
            if self._waiting and now >= self._next_at and (now < self._until or not self._running):
                winner = self._start_next(now)
            elif now < self._until:
                pause = self._until if not self._waiting else min(self._until, self._next_at)
                winner = self._settle(_poll(select.poll(), self._running, pause - now))
            else:
                winner = self._settle(_poll(pristine_select.poll(), self._running, 0.0))
                if winner is None:
                    break
            if winner is not None:
                return winner
        if self._running or self._waiting:
            self._failures.append(ConnectTimeout())
            self.losers += [address for _, address in self._running.values()]
        raise max(self._failures, key=lambda one: _TELLING.index(type(one)))

    def close(self) -> None:
        """Close every socket that did not win."""
        for sock, _ in self._running.values():
            with contextlib.suppress(OSError):
                sock.close()
        self._running.clear()

    def _start_next(self, now: float) -> tuple[socket.socket, SocketAddress] | None:
        address = self._waiting.pop(0)
        self._next_at = now + (self._until - now) / (len(self._waiting) + 1)
        try:
            sock = _socket_for(address)
        except OSError as error:
            self._lose(address, error.errno, error)
            return None
        try:
            code = sock.connect_ex(address[1])
            if code == 0 and not _is_own_echo(sock):
                self.losers += [loser for _, loser in self._running.values()]
                return sock, address
        except BaseException:
            sock.close()
            raise
        if code in _UNDER_WAY:
            self._running[sock.fileno()] = (sock, address)
            return None
        sock.close()
        if code == errno.EAGAIN and address[0] == socket.AF_UNIX:
            self._waiting.append(address)
            self._next_at = now + BUSY_RETRY_S
            return None
        self._lose(address, code)
        return None

    def _settle(self, ready: Sequence[int]) -> tuple[socket.socket, SocketAddress] | None:
        """Take a winner out of those that came to an end; drop the losers."""
        for number in ready:
            sock, address = self._running[number]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0 and not _is_own_echo(sock):
                del self._running[number]
                self.losers += [loser for _, loser in self._running.values()]
                return sock, address
            del self._running[number]
            sock.close()
            self._next_at = self._clock()
            self._lose(address, code)
        return None

    def _lose(self, address: SocketAddress, code: int | None, error: OSError | None = None) -> None:
        self._next_at = self._clock()
        code = code or errno.ECONNREFUSED  # 0: connected to itself
        failure = _failure_of(code)
        failure.__cause__ = error or OSError(code, f"{os.strerror(code)}: {address[1]}")
        self._failures.append(failure)
        self.losers.append(address)


def _socket_for(address: SocketAddress) -> socket.socket:
    family, _ = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE.items():
                if hasattr(socket, name):  # not every system has them
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except BaseException:
        sock.close()
        raise
    return sock


def _poll(
    poller: select.poll, running: dict[int, tuple[socket.socket, SocketAddress]], seconds: float
) -> list[int]:
    for number in running:
        poller.register(number, select.POLLOUT)
    return [number for number, _ in poller.poll(math.ceil(max(seconds, 0.0) * 1000))]


def _is_own_echo(sock: socket.socket) -> bool:
    """Whether the socket is connected to itself.

    A port that nobody listens on may be the very one the kernel gives this end; TCP then connects
    the socket to itself, and it echoes every request.
    """
    try:
        return sock.family != socket.AF_UNIX and bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False  # the peer is gone again: reading from it will say so


def _failure_of(code: int) -> MemcacheClientError:
    if code in LOCAL_ERRNOS:
        return OutOfResources()
    if code == errno.ETIMEDOUT:
        return ConnectTimeout()
    if code in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE):
        return ConnectRefused()
    return Unreachable()

"""The addresses behind one node's name: found within a deadline, and followed when they change.

`getaddrinfo` knows no deadline, so it runs in a thread (under gevent a greenlet) that callers wait
for only as long as they have time. All callers share one look-up under way; one that hangs is given
up after a while and replaced, a few times at most: so a storm of connects starts one thread, and a
dead name server a handful.

An answer serves for `keep_s`. Afterwards it is asked for again, and while look-ups fail the last
addresses serve on for `grace_s`: the name server being down says nothing about the node, and a
cache that vanishes with it is an outage made here. An answer that the name does not exist is
different: the address may already be somebody else's, so it is forgotten at once.

This module opens no connection.
"""

from __future__ import annotations

import _thread
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from client.addresses import NodeAddress
from client.errors import ConnectTimeout, MemcacheClientError, OutOfResources, Unreachable

RETRY_S = 0.2  # after a failed look-up the next one waits: no storm of questions
ABANDON_S = 10.0  # glibc gives up on one name server twice in this time; a healthy answer takes ms
UNANSWERED_MAX = 3  # look-ups of one name that may hang at once

LOCAL_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)
_NO_SUCH_NAME = frozenset(
    {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
)  # answers of a name server that works

SocketAddress = tuple[int, Any]  # address family, what connect() takes
LookUp = Callable[[str, int], Iterable[SocketAddress]]
Start = Callable[[Callable[[], None]], object]
_Failure = tuple[type[MemcacheClientError], str, BaseException | None]  # an error to be made


class _Answer(NamedTuple):
    addresses: tuple[SocketAddress, ...]
    asked_at: float
    came_at: float


_NOTHING = _Answer((), float("-inf"), float("-inf"))


class _Query:
    """One look-up under way, for whoever wants to know."""

    __slots__ = ("answered", "is_over", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.answered = threading.Event()
        self.is_over = False


def look_up(host: str, port: int) -> list[SocketAddress]:
    """Ask the system, for as long as it takes. Raises OSError, UnicodeError."""
    try:
        infos = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except socket.gaierror:
        # Without a descriptor to spare the system says that the name does not exist. This says
        # why, by its errno.
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        raise
    return [(family, address) for family, _, _, _, address in infos]


def start_thread(run: Callable[[], None]) -> None:
    """Run something beside the caller. Raises RuntimeError when there is no thread to be had.

    Not by `threading.Thread`, whose `start` waits, and a wait is where a caller can be killed.
    """
    _thread.start_new_thread(run, ())


class Resolver:
    """Know the addresses of one node. Thread-safe; no look-up runs under the lock."""

    def __init__(
        self,
        address: NodeAddress,
        *,
        keep_s: float,
        grace_s: float,
        clock: Callable[[], float] = time.monotonic,
        look_up: LookUp = look_up,
        start: Start = start_thread,
    ) -> None:
        self._host = address.host
        self._port = address.port
        self._keep_s = keep_s
        self._grace_s = grace_s
        self._clock = clock
        self._look_up = look_up
        self._start = start
        self._fixed = _fixed(address)
        self._lock = threading.Lock()
        self._answer = _NOTHING
        self._query: _Query | None = None
        self._unanswered = 0
        self._failure: _Failure | None = None
        self._quiet_until = float("-inf")

    def addresses(self, timeout: float) -> tuple[SocketAddress, ...]:
        """Give all addresses, in the system's order of preference, within `timeout` seconds.

        Raises ConnectTimeout when none is known by then, Unreachable when the name does not
        resolve, OutOfResources.
        """
        # There are four cases:
        # 1. A number or a path: nothing to ask. 2. Known, and young enough.
        # 3. Known, but old: ask, and wait up to half the time, so that the rest is left for a
        #    connect to the old address. 4. Not known: ask, and wait as long as there is time.
        if self._fixed:
            return self._fixed
        now = self._clock()
        if now - self._answer.came_at < self._keep_s:
            return self._answer.addresses
        query = self._ask(now)
        if query is not None:
            wait = timeout
            if self._known(now):
                # Measured from the start of the look-up: when it hangs, only the first callers
                # wait for it.
                wait = query.started + timeout / 2 - now
            if wait > 0:
                query.answered.wait(wait)
        known = self._known(self._clock())
        if known:
            return known
        raise self._why_not(is_over=query is None or query.is_over)

    def current_addresses(self) -> tuple[SocketAddress, ...]:
        """Give what is known without waiting, and ask in the background when it is old.

        Empty when nothing is known, which says nothing about connections that exist.
        """
        if self._fixed:
            return self._fixed
        now = self._clock()
        if now - self._answer.came_at >= self._keep_s:
            self._ask(now)
        return self._known(now)

    def _known(self, now: float) -> tuple[SocketAddress, ...]:
        answer = self._answer
        return answer.addresses if now - answer.came_at < self._keep_s + self._grace_s else ()

    def _ask(self, now: float) -> _Query | None:
        """Give the look-up under way, begun here if need be; None just after one that failed."""
        with self._lock:
            query = self._query
            if query is not None and now - query.started < ABANDON_S:
                return query
            if now < self._quiet_until:
                return None
            if self._unanswered >= UNANSWERED_MAX:
                return query
            query = self._query = _Query(now)
            self._unanswered += 1
        try:
            self._start(lambda: self._run(query))
        except RuntimeError as error:
            self._end(query, failure=(OutOfResources, "no thread for a look-up", error))
        return query

    def _run(self, query: _Query) -> None:
        found: tuple[SocketAddress, ...] = ()
        failure: _Failure | None = (Unreachable, "look-up was cut off", None)
        is_gone = False
        try:
            found = tuple(dict.fromkeys(self._look_up(self._host, self._port)))
            is_gone = not found
            failure = (Unreachable, "name does not resolve", None) if is_gone else None
        except OSError as error:
            is_gone = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
            failure = _failure_of(error)
        except UnicodeError as error:
            failure = (Unreachable, "name is no host name", error)
        finally:
            self._end(query, found, failure, is_gone=is_gone)

    def _end(
        self,
        query: _Query,
        found: tuple[SocketAddress, ...] = (),
        failure: _Failure | None = None,
        *,
        is_gone: bool = False,
    ) -> None:
        now = self._clock()
        with self._lock:
            query.is_over = True
            self._unanswered -= 1
            if self._query is query:
                self._query = None
            if query.started >= self._answer.asked_at:  # else a younger look-up was faster
                if failure is None:
                    self._answer = _Answer(found, query.started, now)
                    self._quiet_until = now
                else:
                    self._quiet_until = now + min(RETRY_S, self._keep_s)
                    if is_gone:
                        self._answer = _NOTHING
                self._failure = failure
        query.answered.set()

    def _why_not(self, *, is_over: bool) -> MemcacheClientError:
        failure = self._failure
        if not is_over or failure is None:
            return ConnectTimeout("name not resolved within the connect timeout")
        kind, text, cause = failure
        error = kind(text)
        error.__cause__ = cause
        return error


def _failure_of(error: OSError) -> _Failure:
    is_gai = isinstance(error, socket.gaierror)  # whose numbers are its own
    if error.errno == socket.EAI_MEMORY if is_gai else error.errno in LOCAL_ERRNOS:
        return OutOfResources, "", error
    return Unreachable, "name does not resolve", error


def _fixed(address: NodeAddress) -> tuple[SocketAddress, ...]:
    """Give the address of a path or of a number, which is nobody's name."""
    if address.path:
        return ((socket.AF_UNIX, address.path),)
    host, port = address.host, address.port
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return ((family, (host, port) if family == socket.AF_INET else (host, port, 0, 0)),)
    return ()

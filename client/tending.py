"""One round of background care for one node's connections, off every call's way.

In order: close idle connections that are too old, that the peer has closed, or that lead where the
name no longer points; ask those that have been idle for long whether they live; open what is
missing from the minimum. Each connection is claimed first, so no caller can have it meanwhile, and
one at a time, so that callers find the others.

Rule: a node whose breaker is not closed is left to the breaker's probes; only what is idle to it is
closed. A check or a connect that fails is a failure of the node like any call's. One that succeeds
says less than a call, so it is not counted as a success.

It does not know when a round comes, nor that there are other nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from client.breaker import IGNORED
from client.errors import ClientClosed, MemcacheClientError, ProtocolError
from client.pool import Pool

CHECK = b"version\r\n"  # asks nothing of the cache and is understood by every version
CHECK_REPLY = b"VERSION "
LONGEST_CHECK_REPLY = 512


class Tended(Protocol):
    """What care needs of a node."""

    pool: Pool
    breaker: Any
    clock: Callable[[], float]

    def settle(self, error: BaseException, permit: int, connection: Any) -> None:
        """End what failed: permit, connection and counts."""
        ...

    def current_addresses(self) -> Collection[object]:
        """Give what the node's name stands for at present, nothing when that is not known."""
        ...


def tend(node: Tended, since: float, *, check_s: float | None, timeout_s: float) -> None:
    """Do one round; the last one was at `since`.

    Idle connections are asked whenever another `check_s` of their idleness is over, or never with
    None. A check or connect takes up to `timeout_s`. What fails is settled, not raised.
    """
    now = node.clock()
    _close_unfit(node, now)
    if check_s is not None:
        _check_idle(node, since, now, check_s, timeout_s)
    _refill(node, timeout_s)


def _close_unfit(node: Tended, now: float) -> None:
    pool = node.pool
    if not pool.idle:
        return
    addresses = node.current_addresses()

    def why(connection: Any) -> str:
        if addresses and connection.address not in addresses:
            return "moved"
        return pool.unfit_because(connection, now)

    # Claimed before it is looked at: in the hands of another thread by now, it is not ours to poll,
    # and a reply on its way to that one would look stale. The newest first, which keeps the order.
    for connection in reversed(list(pool.idle)):
        if pool.claim(connection):
            reason = why(connection)
            if reason:
                pool.drop(connection, reason)
            else:
                pool.unclaim(connection)


def _check_idle(node: Tended, since: float, now: float, check_s: float, timeout_s: float) -> None:
    pool = node.pool
    for connection in list(pool.idle):
        if pool.waiters or not node.breaker.permit:
            return
        is_asked = is_due(connection.idle_since, since, now, check_s) and pool.claim(connection)
        if is_asked and not _check(node, connection, timeout_s):
            return  # one failure is told once; the next round asks again


def is_due(idle_since: float, since: float, now: float, every_s: float) -> bool:
    """Say whether another `every_s` of an idleness ended after `since` and by `now`.

    So nothing has to be noted on the connection: a check leaves it as idle as it was.
    """
    return int((now - idle_since) / every_s) > int(max(since - idle_since, 0.0) / every_s)


def _check(node: Tended, connection: Any, timeout_s: float) -> bool:
    """Ask a claimed connection whether it lives and put it back, or end it; say which."""
    permit = node.breaker.permit
    deadline = node.clock() + timeout_s
    try:
        connection.begin(deadline)
        ask_alive(connection, deadline)
    except BaseException as error:
        node.pool.lend_claimed()  # it ends as a caller's would
        node.settle(error, permit, connection)
        if not isinstance(error, MemcacheClientError):
            raise
        return False
    node.pool.unclaim(connection)
    node.breaker.done(permit, IGNORED)
    return True


def ask_alive(connection: Any, deadline: float) -> None:
    """Make one round trip that changes nothing. Raises MemcacheClientError."""
    connection.write(CHECK, deadline)
    reply = b""
    while not reply.endswith(b"\r\n"):
        reply += connection.read_before(deadline)
        if len(reply) > LONGEST_CHECK_REPLY:
            break
    if not reply.startswith(CHECK_REPLY) or reply.find(b"\r\n") != len(reply) - 2:
        raise ProtocolError("no reply to a health check")


def _refill(node: Tended, timeout_s: float) -> None:
    pool = node.pool
    while permit := node.breaker.permit:
        try:
            was_missing = pool.open_spare(pool.minimum, node.clock() + timeout_s)
        except ClientClosed:
            return
        except BaseException as error:
            node.settle(error, permit, None)
            if not isinstance(error, MemcacheClientError):
                raise
            return
        node.breaker.done(permit, IGNORED)
        if not was_missing:
            return

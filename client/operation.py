"""What one call of a client did, as one flat record.

Every layer below the users speaks of calls in these words and no others: an `Outcome` names what
came of it, an `Operation` says when and where. Outcomes are strings, so they go over the wire and
into a dictionary key at the speed of one. This module knows neither sockets nor Locust.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What came of one call. A miss is an outcome, not an error."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    NOT_STORED = "not_stored"  # add/replace/cas refused: the server's answer, not a failure
    DELETED = "deleted"
    NOT_FOUND = "not_found"
    COUNTED = "counted"  # incr/decr returned a number
    TOUCHED = "touched"
    PARTIAL = "partial"  # a batch whose `.failed` names keys, the rest is usable
    # Failures. The call did not do what was asked, or nobody knows.
    TIMEOUT = "timeout"
    REFUSED = "refused"  # nobody listened: definite, nothing was sent
    CLOSED = "closed"  # the peer ended the connection in the middle
    UNREACHABLE = "unreachable"  # name not resolved, no route
    BREAKER_OPEN = "breaker_open"  # not attempted: the breaker refused it
    POOL_TIMEOUT = "pool_timeout"  # not attempted: no connection became free in time
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    PROTOCOL_ERROR = "protocol_error"  # bytes that are no reply
    OTHER_ERROR = "other_error"  # a failure of a type that names none of the above
    WRONG_VALUE = "wrong_value"  # a hit that fails verification
    BUG = "bug"  # a programming error raised out of the client (TypeError, KeyError, ...)
    BAD_RESULT = "bad_result"  # returned what the contract does not allow
    # Neither success nor failure of the client.
    ABORTED = "aborted"  # the harness itself cut the call off at the end of the run


UNATTEMPTED: frozenset[str] = frozenset({Outcome.BREAKER_OPEN, Outcome.POOL_TIMEOUT})
"""Failures in which nothing was sent to the node."""

FAILURES: frozenset[str] = frozenset(
    {
        Outcome.TIMEOUT,
        Outcome.REFUSED,
        Outcome.CLOSED,
        Outcome.UNREACHABLE,
        Outcome.BREAKER_OPEN,
        Outcome.POOL_TIMEOUT,
        Outcome.SERVER_ERROR,
        Outcome.CLIENT_ERROR,
        Outcome.PROTOCOL_ERROR,
        Outcome.OTHER_ERROR,
        Outcome.WRONG_VALUE,
        Outcome.BUG,
        Outcome.BAD_RESULT,
    }
)
"""Outcomes that count as errors."""


class Operation(NamedTuple):
    """One finished call, in seconds of the local monotonic clock.

    `intended` is when the call should have started (equal to `started` in closed loop), so
    response time is `ended - intended` and service time `ended - started`. `node` is the name of
    the node the key lives on, or "" for a batch over several nodes. `keys` counts the keys asked
    for, `hits` those that came back and were verified.
    """

    op: str
    node: str
    outcome: str
    intended: float
    started: float
    ended: float
    keys: int = 1
    hits: int = 0

    @property
    def service_s(self) -> float:
        """Seconds from the actual send to the answer."""
        return self.ended - self.started

    @property
    def response_s(self) -> float:
        """Seconds from the intended start to the answer."""
        return self.ended - self.intended

    @property
    def is_failure(self) -> bool:
        """Whether the call counts as an error."""
        return self.outcome in FAILURES

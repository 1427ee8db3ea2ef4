"""What came of a call, for any client: exceptions and results to outcomes.

The client under test may be a stranger's. So a type, a name or an errno decides, nothing in a
message does, and an exception may speak for itself (`.outcome`) only to name a kind of failure. A
result counts only if design.md's contract allows it for that operation; a plain `set` that answers
False has failed, whatever swallowed its reason.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gevent
from pymemcache import exceptions as pymemcache

from client.operation import FAILURES, Outcome
from users.cutting import CutOffError
from users.strangers import bases_of, module_of, name_of, part_of, text_of

BUGS = (
    TypeError,
    LookupError,  # KeyError, IndexError
    AttributeError,
    NameError,
    AssertionError,
    RuntimeError,  # NotImplementedError, RecursionError, an exhausted pool of pymemcache
    ArithmeticError,
    ValueError,
    BufferError,
    ImportError,
    StopIteration,
    SyntaxError,
)
"""Programming errors. What a service can foresee from a cache is none of these.

A class of the client's own that derives from one is no mistake of its author but a name for what
happened: `class CacheDown(RuntimeError)`. Those of Python and of gevent are meant.
"""

_OF_THE_LANGUAGE = sys.stdlib_module_names | {"builtins", "gevent", "greenlet"}

_UNREACHABLE = {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENETDOWN,
    errno.EADDRNOTAVAIL,
}
_BREAKER_WORDS = ("circuit", "breaker", "markeddown")
_OF_A_BREAKER = {("pylibmc", "ServerDown"), ("pylibmc", "ServerDead")}
"""What libraries raise for a node that they have left out until a time: libmemcached's are not of
such a name (MEMCACHED_SERVER_TEMPORARILY_DISABLED, MEMCACHED_SERVER_MARKED_DEAD)."""


def classify(error: BaseException) -> Outcome:
    """Give the outcome that an exception raised out of a call stands for."""
    # The cases, in order: 1. a typed error that names its outcome; 2. a breaker of any library,
    # by the names of its classes; 3. the harness's own cut, then pymemcache's own errors; 4. the
    # operating system's; 5. a programming error; 6. an exception that is none (SystemExit and the
    # like, raised by a stranger's code); 7. a failure that fits nothing.
    # Only its class is asked for its kind: `isinstance` would run a `__class__` of its own.
    outcome, kind = part_of(error, "outcome"), type(error)
    if issubclass(type(outcome), str):
        word = text_of(outcome, limit=40)
        if word in FAILURES:
            return Outcome(word)
    if _is_breaker(kind):
        return Outcome.BREAKER_OPEN
    for base, found in _BY_TYPE:
        if issubclass(kind, base):
            return found
    if issubclass(kind, OSError):
        number = part_of(error, "errno")
        unreachable = type(number) is int and number in _UNREACHABLE
        return Outcome.UNREACHABLE if unreachable else Outcome.OTHER_ERROR
    if _is_bug(kind) or not issubclass(kind, Exception):
        return Outcome.BUG
    return Outcome.OTHER_ERROR


# The first that matches decides, so subclasses stand before their bases.
_BY_TYPE: tuple[tuple[type[BaseException], Outcome], ...] = (
    (CutOffError, Outcome.ABORTED),
    (pymemcache.MemcacheUnexpectedCloseError, Outcome.CLOSED),
    (pymemcache.MemcacheServerError, Outcome.SERVER_ERROR),
    (pymemcache.MemcacheClientError, Outcome.CLIENT_ERROR),
    (pymemcache.MemcacheUnknownError, Outcome.PROTOCOL_ERROR),
    (gevent.Timeout, Outcome.TIMEOUT),
    (TimeoutError, Outcome.TIMEOUT),
    (ConnectionRefusedError, Outcome.REFUSED),
    (ConnectionError, Outcome.CLOSED),
    (EOFError, Outcome.CLOSED),
    (socket.gaierror, Outcome.UNREACHABLE),
    (socket.herror, Outcome.UNREACHABLE),
)


def _is_bug(kind: type[BaseException]) -> bool:
    """Tell whether a class stands for a programming error."""
    return issubclass(kind, BUGS) and module_of(kind).partition(".")[0] in _OF_THE_LANGUAGE


def _is_breaker(kind: type[BaseException]) -> bool:
    if (module_of(kind), name_of(kind)) in _OF_A_BREAKER:
        return True
    names = [name_of(base).lower() for base in bases_of(kind)]
    return any(word in name for name in names for word in _BREAKER_WORDS)


def of_write(op: str, result: Any) -> Outcome:
    """Give the outcome of what a single-key operation other than a read returned."""
    kind = type(result)
    if op in ("incr", "decr"):
        if result is None:
            return Outcome.NOT_FOUND
        return Outcome.COUNTED if kind is int else Outcome.BAD_RESULT
    if op == "cas" and result is None:
        return Outcome.NOT_FOUND
    if kind is not bool:
        return Outcome.BAD_RESULT
    yes, no = _BY_ANSWER.get(op, (Outcome.BAD_RESULT, Outcome.BAD_RESULT))
    return yes if result else no


_BY_ANSWER: Mapping[str, tuple[Outcome, Outcome]] = {
    # memcached never refuses a plain set: a False stands for an error that was swallowed.
    "set": (Outcome.STORED, Outcome.OTHER_ERROR),
    "add": (Outcome.STORED, Outcome.NOT_STORED),
    "replace": (Outcome.STORED, Outcome.NOT_STORED),
    "cas": (Outcome.STORED, Outcome.NOT_STORED),
    "delete": (Outcome.DELETED, Outcome.NOT_FOUND),
    "touch": (Outcome.TOUCHED, Outcome.NOT_FOUND),
}


def split_batch(asked: Sequence[str], result: Any) -> tuple[dict[str, Any], list[str]] | None:
    """Give (values by key, failed keys) of what a batch read returned, None if not allowed.

    Allowed is a mapping of keys that were asked for, with an optional iterable `.failed` of such
    keys. Reading it may raise anything: it is a stranger's object.
    """
    if not isinstance(result, Mapping):
        return None
    values = dict(result)
    failed = list(getattr(result, "failed", None) or ())
    known = set(asked)
    if not known.issuperset(values) or not known.issuperset(failed):
        return None
    return values, failed

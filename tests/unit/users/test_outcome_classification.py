"""Whatever a client returns or raises becomes one outcome."""

from __future__ import annotations

import errno
import signal
import socket
import sys
from json import JSONDecodeError
from typing import Any

import gevent
import pytest
from gevent.exceptions import ConcurrentObjectUseError
from pymemcache import exceptions as pymemcache

from client.operation import Outcome
from users.outcomes import classify, of_write, split_batch
from users.strangers import ends_the_user, kind_of


class TypedError(Exception):
    outcome = Outcome.POOL_TIMEOUT


class BoastingError(Exception):
    outcome = "hit"


class TouchyError(Exception):
    @property
    def outcome(self) -> str:
        raise RuntimeError


class ExitingError(Exception):
    @property
    def outcome(self) -> str:
        raise SystemExit(0)


class ManyFacedError(Exception):
    __class__ = property(lambda self: sys.exit(0))


class Namelessness(type):
    __name__ = property(lambda cls: sys.exit(0))
    __mro__ = property(lambda cls: sys.exit(0))


class NamelessError(Exception, metaclass=Namelessness): ...


class CircuitOpenError(RuntimeError): ...


class MyBreakerSaysNoError(Exception): ...


class ServerMarkedDownError(Exception): ...


class ServerDown(Exception):  # noqa: N818 - as pylibmc calls it
    __module__ = "pylibmc"


class CacheDownError(RuntimeError): ...


class NoSuchNodeError(KeyError): ...


class Odd(BaseException): ...


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TypedError(), Outcome.POOL_TIMEOUT),
        (BoastingError(), Outcome.OTHER_ERROR),
        (TouchyError(), Outcome.OTHER_ERROR),
        (ExitingError(), Outcome.OTHER_ERROR),
        (ManyFacedError(), Outcome.OTHER_ERROR),
        (NamelessError(), Outcome.OTHER_ERROR),
        (CircuitOpenError(), Outcome.BREAKER_OPEN),
        (MyBreakerSaysNoError(), Outcome.BREAKER_OPEN),
        (ServerMarkedDownError(), Outcome.BREAKER_OPEN),
        (ServerDown(), Outcome.BREAKER_OPEN),
        (type("ServerDown", (Exception,), {})(), Outcome.OTHER_ERROR),
        (pymemcache.MemcacheUnexpectedCloseError(), Outcome.CLOSED),
        (pymemcache.MemcacheServerError(), Outcome.SERVER_ERROR),
        (pymemcache.MemcacheClientError(), Outcome.CLIENT_ERROR),
        (pymemcache.MemcacheIllegalInputError(), Outcome.CLIENT_ERROR),
        (pymemcache.MemcacheUnknownError(), Outcome.PROTOCOL_ERROR),
        (pymemcache.MemcacheError("all down"), Outcome.OTHER_ERROR),
        (TimeoutError(), Outcome.TIMEOUT),
        (gevent.Timeout(1), Outcome.TIMEOUT),
        (ConnectionRefusedError(), Outcome.REFUSED),
        (ConnectionResetError(), Outcome.CLOSED),
        (BrokenPipeError(), Outcome.CLOSED),
        (EOFError(), Outcome.CLOSED),
        (socket.gaierror(-2, "unknown"), Outcome.UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, "no route"), Outcome.UNREACHABLE),
        (OSError(errno.EMFILE, "too many"), Outcome.OTHER_ERROR),
        (TypeError(), Outcome.BUG),
        (KeyError("k"), Outcome.BUG),
        (IndexError(), Outcome.BUG),
        (AttributeError(), Outcome.BUG),
        (NameError(), Outcome.BUG),
        (AssertionError(), Outcome.BUG),
        (RuntimeError("too many objects"), Outcome.BUG),
        (CacheDownError(), Outcome.OTHER_ERROR),
        (NoSuchNodeError("node1"), Outcome.OTHER_ERROR),
        (JSONDecodeError("", "", 0), Outcome.BUG),
        (ConcurrentObjectUseError(), Outcome.BUG),
        (RecursionError(), Outcome.BUG),
        (NotImplementedError(), Outcome.BUG),
        (ZeroDivisionError(), Outcome.BUG),
        (ValueError(), Outcome.BUG),
        (SystemExit(1), Outcome.BUG),
        (Odd(), Outcome.BUG),
        (Exception("whatever"), Outcome.OTHER_ERROR),
    ],
    ids=lambda value: str(value) if type(value) is Outcome else kind_of(value),
)
def test_an_exception_stands_for_one_outcome(error: BaseException, outcome: Outcome) -> None:
    assert classify(error) is outcome


def test_only_a_kill_and_ctrl_c_are_the_harness_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    assert ends_the_user(gevent.GreenletExit())
    assert ends_the_user(KeyboardInterrupt())
    assert not ends_the_user(SystemExit())
    assert not ends_the_user(gevent.Timeout(1))


def test_a_keyboard_interrupt_that_no_key_can_have_raised_is_the_client_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: lambda *_: None)
    assert not ends_the_user(KeyboardInterrupt())


@pytest.mark.parametrize(
    ("op", "result", "outcome"),
    [
        ("set", True, Outcome.STORED),
        ("set", False, Outcome.OTHER_ERROR),
        ("set", None, Outcome.BAD_RESULT),
        ("set", 1, Outcome.BAD_RESULT),
        ("add", False, Outcome.NOT_STORED),
        ("cas", None, Outcome.NOT_FOUND),
        ("cas", False, Outcome.NOT_STORED),
        ("delete", True, Outcome.DELETED),
        ("delete", False, Outcome.NOT_FOUND),
        ("touch", True, Outcome.TOUCHED),
        ("incr", 3, Outcome.COUNTED),
        ("incr", None, Outcome.NOT_FOUND),
        ("incr", True, Outcome.BAD_RESULT),
        ("incr", "3", Outcome.BAD_RESULT),
        ("incr", b"3", Outcome.BAD_RESULT),
    ],
)
def test_a_result_counts_only_as_the_contract_allows(
    op: str, result: Any, outcome: Outcome
) -> None:
    assert of_write(op, result) is outcome


class Partly(dict[str, bytes]):
    def __init__(self, failed: Any) -> None:
        super().__init__(a=b"1")
        self.failed = failed


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        pytest.param({}, ({}, []), id="nothing found"),
        pytest.param({"a": b"1"}, ({"a": b"1"}, []), id="plain dictionary"),
        pytest.param(Partly({"b": OSError()}), ({"a": b"1"}, ["b"]), id="failed as mapping"),
        pytest.param(Partly(["b"]), ({"a": b"1"}, ["b"]), id="failed as list"),
        pytest.param(Partly(None), ({"a": b"1"}, []), id="failed is None"),
        pytest.param([b"1"], None, id="a list"),
        pytest.param(None, None, id="None"),
        pytest.param({"z": b"1"}, None, id="a key not asked for"),
        pytest.param(Partly(["z"]), None, id="a failure not asked for"),
    ],
)
def test_a_batch_is_a_mapping_of_what_was_asked(result: Any, answer: Any) -> None:
    assert split_batch(["a", "b"], result) == answer

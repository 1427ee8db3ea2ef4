"""What the client says about failures and what it refuses to be told."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from pymemcache import exceptions as pymemcache_errors

from client import commands, errors
from client.breaker_settings import BREAKER_PROFILES, BreakerSettings
from client.errors import Happened, IllegalInput, MemcacheClientError
from client.operation import FAILURES, UNATTEMPTED
from client.settings import ClientSettings

TYPES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MemcacheClientError)
]


@pytest.mark.parametrize("kind", TYPES)
def test_every_error_is_typed(kind: type[MemcacheClientError]) -> None:
    """An error names its outcome, says what happened, and has a text without unique parts."""
    error = kind(node="10.0.0.1:11211")
    assert error.outcome in FAILURES
    assert isinstance(error.happened, Happened)
    assert "10.0.0.1" not in repr(error)
    assert str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.node) == (kind, str(error), "10.0.0.1:11211")
    if error.outcome in UNATTEMPTED:
        assert error.happened is Happened.NOT_SENT
        assert not error.blames_node


def test_handlers_written_for_others_keep_working() -> None:
    """Errors are also what the standard library and pymemcache call them."""
    assert issubclass(errors.OperationTimeout, TimeoutError)
    assert issubclass(errors.ConnectTimeout, TimeoutError)
    assert issubclass(errors.ConnectRefused, ConnectionRefusedError)
    assert issubclass(errors.ServerError, pymemcache_errors.MemcacheServerError)
    assert issubclass(errors.ClientError, pymemcache_errors.MemcacheClientError)
    assert issubclass(errors.IllegalKey, pymemcache_errors.MemcacheIllegalInputError)


def test_settings_of_the_harness() -> None:
    """Any object with the contract's attributes will do; what it lacks keeps its default."""
    given = SimpleNamespace(pool_size=7, op_timeout=0.3, connect_timeout=0.1)
    assert ClientSettings.of(given) == ClientSettings(
        pool_size=7, op_timeout=0.3, connect_timeout=0.1
    )
    given.breaker = {"profile": "catalogue", "open_s": 2.0}
    given.ring = "jump"
    made = ClientSettings.of(given)
    assert made.ring == "jump"
    assert made.breaker.open_s == 2.0
    assert made.breaker.consecutive_failures == 100
    assert ClientSettings.of(made) is made
    assert BreakerSettings.of("catalogue") is not None
    assert BreakerSettings.of(None) == BREAKER_PROFILES["default"]
    assert BreakerSettings.of({"open_s": 4.0}).open_max_s == 4.0


REFUSED = {
    "pool_size": ({"pool_size": 0}, "pool_size"),
    "op_timeout": ({"op_timeout": 0}, "op_timeout"),
    "not a number": ({"op_timeout": "1s"}, "op_timeout"),
    "infinite": ({"connect_timeout": float("inf")}, "connect_timeout"),
    "ring": ({"ring": "ketamma"}, "did you mean 'ketama'"),
    "failover": ({"failover": "nowhere"}, "known: fail, gutter, rehash"),
    "dns_keep_s": ({"dns_keep_s": 0}, "dns_keep_s"),
    "dns_grace_s": ({"dns_grace_s": -1}, "dns_grace_s"),
    "tls": ({"tls": True}, "tls must be an ssl.SSLContext, not bool"),
    "tls_hostname": ({"tls_hostname": "cache"}, "tls is not"),
    "auth_token": ({"auth_token": "alone"}, "user password"),
    "auth_token type": ({"auth_token": b"user password"}, "must be text, not bytes"),
    "breaker field": ({"breaker": {"open": 1}}, "did you mean 'open_s'"),
    "breaker profile": ({"breaker": "catalog"}, "did you mean 'catalogue'"),
    "breaker number": ({"breaker": {"failure_rate": 2}}, "failure_rate"),
}


@pytest.mark.parametrize(("given", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_settings_are_one_line(given: dict[str, object], line: str) -> None:
    """A bad setting is named, with the way out."""
    with pytest.raises(ValueError, match=line) as refusal:
        ClientSettings.of(SimpleNamespace(**given))
    assert "\n" not in str(refusal.value)


def test_the_token_is_not_shown() -> None:
    """Neither the settings nor the refusal of a bad token shows it."""
    assert "secret" not in repr(ClientSettings(auth_token="user secret"))
    with pytest.raises(ValueError, match="auth_token") as refusal:
        ClientSettings(auth_token="user secret\r\nflush_all")
    assert "secret" not in str(refusal.value)


COMMANDS = {
    "bytes": (commands.storage(b"set", b"k", b"\r\n\x00", 5, 1), b"set k 1 5 3\r\n\r\n\x00\r\n"),
    "text": (commands.storage(b"add", b"k", "abc", 0, 0), b"add k 0 0 3\r\nabc\r\n"),
    "number": (commands.storage(b"set", b"k", 12, -1, 0), b"set k 0 -1 2\r\n12\r\n"),
    "cas bytes": (commands.compare_and_swap(b"k", b"v", b"9", 0, 0), b"cas k 0 0 1 9\r\nv\r\n"),
    "cas number": (commands.compare_and_swap(b"k", b"v", 9, 0, 0), b"cas k 0 0 1 9\r\nv\r\n"),
    "incr": (commands.counting(b"incr", b"k", 3), b"incr k 3\r\n"),
    "touch": (commands.touching(b"k", 60), b"touch k 60\r\n"),
}


@pytest.mark.parametrize(("built", "wire"), COMMANDS.values(), ids=COMMANDS.keys())
def test_commands_on_the_wire(built: bytes, wire: bytes) -> None:
    """Commands are those of memcached's text protocol, never noreply."""
    assert built == wire


def test_arguments_memcached_cannot_take() -> None:
    """They are refused before anything is sent, as one kind of error."""
    attempts: list[Callable[[], bytes]] = [
        lambda: commands.storage(b"set", b"k", None, 0, 0),
        lambda: commands.storage(b"set", b"k", "\u00e9", 0, 0),
        lambda: commands.storage(b"set", b"k", b"v", 1.5, 0),
        lambda: commands.compare_and_swap(b"k", b"v", b"9\r\n", 0, 0),
        lambda: commands.counting(b"incr", b"k", -1),
        lambda: commands.counting(b"incr", b"k", 1 << 64),
        lambda: commands.touching(b"k", "60"),
    ]
    for attempt in attempts:
        with pytest.raises(IllegalInput) as refusal:
            attempt()
        assert refusal.value.happened is Happened.NOT_SENT

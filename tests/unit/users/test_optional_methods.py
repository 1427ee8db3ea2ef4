"""A method that the contract leaves open is there when a call of it says so, not by its look."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from pymemcache.client.retrying import RetryingClient

from session.sampling import Sampler
from users.prefill import Prefill
from users.strangers import offers

STATE = {"node1:1": {"breaker": "closed", "pool": None}}


class Plain:
    """A client with the commands that a node knows, and nothing of the harness's."""

    def gets(self, key: str) -> tuple[None, None]:
        return None, None

    def get_or_lease(self, key: str, ttl: int) -> None: ...


class Bare:
    """One without any."""


class Telling(Plain):
    """One that has all."""

    def snapshot(self) -> dict[str, Any]:
        return STATE

    def node_for(self, key: str) -> str:
        return "nowhere:1"


class Forwarding:
    """Sends whatever it is asked for to a node, which knows a few commands."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def send(*_: Any) -> Any:
            if name not in ("gets", "cas", "decr"):
                raise OSError("ERROR")

        return send


class Guessing(Forwarding):
    """Takes the node's complaint for an answer."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_: b"ERROR\r\n"


class Abstract:
    def gets(self, key: str) -> Any:
        raise NotImplementedError

    node_for = gets

    def snapshot(self) -> Any:
        raise NotImplementedError


class HandingOn:
    """Hands each call on by hand to what lacks the method."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def gets(self, key: str) -> Any:
        return self._inner.gets(key)

    def snapshot(self) -> Any:
        return self._inner.snapshot()

    def node_for(self, key: str) -> Any:
        return self._inner.node_for(key)


class Wrong(Telling):
    """Has the methods, and a mistake in each."""

    def gets(self, key: str) -> Any:
        return key.no_such_part  # type: ignore[attr-defined]

    def snapshot(self) -> Any:
        return self.no_such_part  # type: ignore[attr-defined]

    def node_for(self, key: str) -> Any:
        return key.no_such_part  # type: ignore[attr-defined]


class HonestProxy:
    """Gives what is there and no more."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


CLIENTS: list[Any] = [
    # client, has gets, has snapshot and node_for
    pytest.param(RetryingClient(Plain()), True, False, id="retrying"),
    pytest.param(RetryingClient(Bare()), False, False, id="retrying what has none"),
    pytest.param(RetryingClient(Telling()), True, True, id="retrying what has all"),
    pytest.param(Forwarding(), True, False, id="forwards to a node"),
    pytest.param(Guessing(), True, False, id="forwards and believes"),
    pytest.param(Mock(), True, False, id="mock"),
    pytest.param(Abstract(), False, False, id="not implemented"),
    pytest.param(HandingOn(Bare()), False, False, id="hands on to what has none"),
    pytest.param(HandingOn(Telling()), True, True, id="hands on to what has all"),
    pytest.param(HonestProxy(Plain()), True, False, id="honest proxy"),
    pytest.param(HonestProxy(Telling()), True, True, id="honest proxy of one that has all"),
    pytest.param(Wrong(), True, True, id="a mistake inside is no absence"),
]


@pytest.mark.parametrize(("client", "has_gets", "tells"), CLIENTS)
def test_what_is_absent_is_found_absent(
    stage: Any, client: Any, has_gets: bool, tells: bool
) -> None:
    assert offers(client, "gets", "k") == has_gets
    Prefill(stage.load, client=client)._compare({"k": ["node1"]})
    found = [kind for kind, _ in stage.recorder.findings]
    assert found == (["node_for_contradicts"] if tells else [])


@pytest.mark.parametrize(("client", "has_gets", "tells"), CLIENTS)
def test_a_snapshot_that_is_absent_is_no_lie(
    stage: Any, client: Any, has_gets: bool, tells: bool
) -> None:
    sampler = sampling(stage, client)
    said = sampler.snapshots()
    found = [kind for kind, _ in stage.recorder.findings]
    if isinstance(client, Wrong):
        assert found == ["snapshot_broken"]
    else:
        assert said == [STATE if tells else {}]
        assert found == []


def sampling(stage: Any, client: Any) -> Sampler:
    context = SimpleNamespace(recorder=stage.recorder, clients=[client])
    return Sampler(context, [], pool_size=1)  # type: ignore[arg-type]


def test_what_answers_every_name_is_asked_once(stage: Any) -> None:
    """Each question may cost a node a command that it does not know."""
    client = MagicMock()
    client.snapshot.side_effect = OSError
    sampler = sampling(stage, client)
    assert [sampler.snapshots() for _ in range(3)] == [[{}]] * 3
    assert client.snapshot.call_count == 1


def test_a_snapshot_that_ends_in_the_middle_is_a_finding(stage: Any) -> None:
    """Once it has talked it is there, whatever it raises later."""
    client = RetryingClient(Telling(), attempts=1)
    sampler = sampling(stage, client)
    assert sampler.snapshots() == [STATE]
    client._client = Bare()
    assert sampler.snapshots() == [{}]
    assert [kind for kind, _ in stage.recorder.findings] == ["snapshot_broken"]


def test_leases_are_taken_from_who_names_them(stage: Any) -> None:
    """Nothing is tried: a lease that is asked for is held."""
    assert offers(Plain(), "get_or_lease")
    assert offers(RetryingClient(Plain()), "get_or_lease")
    for client in (RetryingClient(Bare()), Forwarding(), Mock(), Bare()):
        assert not offers(client, "get_or_lease")

"""Objects of a stranger's are asked for their text without believing in their code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from client.operation import Outcome
from session.sampling import Sampler
from session.subject import build_bounded, close_bounded
from users.base import FAILED, MemcacheUser
from users.clients import ClientSpecError
from users.cutting import _is_answer
from users.prefill import Prefill
from users.stampede import StampedeUser
from users.strangers import kind_of, offers, part_of, text_of, words_of
from users.values import describe, make


class PlainUser(MemcacheUser):
    kind = "plain"


def exits(*_: Any) -> Any:
    sys.exit(0)


def kills(*_: Any) -> Any:
    raise gevent.GreenletExit


def raises(*_: Any) -> Any:
    raise ValueError("no")


def silent(fate: Callable[..., Any], base: type[Any] = object) -> Any:
    """Make an object whose text, truth and parts end as `fate` does."""
    names = ("__str__", "__repr__", "__bool__", "__len__", "outcome", "failed")
    members = {name: fate if name[0] == "_" else property(fate) for name in names}
    return type("Silent", (base,), members)()


FATES = pytest.mark.parametrize("fate", [exits, raises], ids=["exits", "raises"])


@FATES
def test_an_object_without_text_is_named_by_its_class(fate: Callable[..., Any]) -> None:
    """What its code raises goes no further."""
    thing = silent(fate)
    why = "SystemExit" if fate is exits else "ValueError"
    assert text_of(thing) == f"<no text: str raised {why}>"
    assert text_of(thing, repr) == f"<no text: repr raised {why}>"
    assert words_of(silent(fate, Exception)) == f"Silent: <no text: str raised {why}>"
    assert part_of(thing, "outcome", 7) == 7
    assert not offers(thing, "outcome")
    assert describe(thing) == f"Silent <no text: repr raised {why}>"
    assert not _is_answer(thing)


def test_a_text_is_plain_and_short() -> None:
    """It goes over the wire and into files, whatever class it has and whatever is in it."""

    class Words(str):
        __slots__ = ()
        __getitem__ = __str__ = exits

    assert type(text_of(Words("said"), lambda thing: thing)) is str
    assert text_of("\ud800") == "\\ud800"
    assert text_of("x" * 1_000, limit=5) == "xxxxx"
    assert kind_of(Words()) == "Words"


def test_only_a_kill_that_is_due_passes() -> None:
    """A GreenletExit of the object's own is no kill of the user's."""
    thing = silent(kills)
    assert "GreenletExit" in text_of(thing, is_ending=lambda: False)
    with pytest.raises(gevent.GreenletExit):
        text_of(thing)


@pytest.mark.parametrize("fate", [exits, raises, kills], ids=["exits", "raises", "is a kill"])
@pytest.mark.parametrize("op", ["get", "set", "incr", "get_many"])
def test_an_answer_without_text_is_a_bad_result(
    stage: Any, op: str, fate: Callable[..., Any]
) -> None:
    """The call stands in the record, and its user goes on."""
    thing = silent(fate)
    user = stage.user(PlainUser)
    arguments = {"set": ("k", b"v", 30), "get_many": (["k"],)}.get(op, ("k",))
    many = op == "get_many"
    stage.client.override(**{op: lambda *_: {"k": thing} if many else thing})
    user.take_client(stage.client)
    result = getattr(user, op)(*arguments)
    assert result == {} if many else result is FAILED
    (operation,) = stage.recorder.operations
    assert operation.outcome == Outcome.BAD_RESULT
    ((kind, detail),) = stage.recorder.findings
    assert kind == "bad_result"
    assert "Silent" in detail["got"]


def test_bytes_with_a_will_of_their_own_are_a_bad_result(stage: Any) -> None:
    """They are looked at as they lie in memory."""
    kind = type("Odd", (bytes,), dict.fromkeys(("__bytes__", "__len__", "__repr__"), exits))
    for found in (kind(make("k", "w0.9", 1, 100)), kind(b"junk")):
        stage.client.data["k"] = found
        assert stage.user(PlainUser).get("k") is FAILED
    outcomes = [operation.outcome for operation in stage.recorder.operations]
    assert outcomes == [Outcome.BAD_RESULT, Outcome.WRONG_VALUE]


@pytest.mark.parametrize("fate", [exits, raises, kills], ids=["exits", "raises", "is a kill"])
def test_an_error_without_text_is_a_programming_error(stage: Any, fate: Callable[..., Any]) -> None:
    """Its class tells enough."""
    parts = {"__str__": fate, "__repr__": fate, "__module__": "builtins"}
    kind_of_error = type("Silent", (TypeError,), parts)
    user = stage.user(PlainUser)
    stage.client.override(delete=lambda _: _raise(kind_of_error()))
    assert user.delete("k") is FAILED
    assert [operation.outcome for operation in stage.recorder.operations] == [Outcome.BUG]
    ((kind, detail),) = stage.recorder.findings
    assert kind == "programming_error"
    assert detail["error"].startswith("Silent: <no text: str raised ")


@FATES
@pytest.mark.parametrize("op", ["get", "set"])
def test_a_method_that_cannot_be_had_fails_the_call(
    stage: Any, op: str, fate: Callable[..., Any]
) -> None:
    """Looking it up is part of the call."""
    client = type("Client", (type(stage.client),), {op: property(fate)})()
    stage.load.clients[0] = stage.load._called[0] = client
    user = stage.user(PlainUser)
    assert (user.get("k") if op == "get" else user.set("k", b"v", 30)) is FAILED
    assert [operation.outcome for operation in stage.recorder.operations] == [Outcome.BUG]


@FATES
@pytest.mark.parametrize("part", ["value", "won", "is_held", "cas"])
def test_a_lease_that_does_not_tell_fails_the_call(
    stage: Any, part: str, fate: Callable[..., Any]
) -> None:
    """It is read while the call lasts."""
    parts = {"value": None, "won": True, "is_held": False, "cas": b"1", part: property(fate)}
    stage.client.override(get_or_lease=lambda *_: type("Lease", (), parts)())
    assert stage.user(StampedeUser).get_or_lease("k", 1) is FAILED
    assert [operation.outcome for operation in stage.recorder.operations] == [Outcome.BUG]


@FATES
@pytest.mark.parametrize("is_property", [True, False], ids=["property", "method"])
def test_a_node_for_that_cannot_be_asked_is_no_word(
    stage: Any, fate: Callable[..., Any], is_property: bool
) -> None:
    """A method without an answer is wrong; one that cannot be had is not there."""
    client = type("Client", (), {"node_for": property(fate) if is_property else fate})()
    Prefill(stage.load, client=client)._compare({"k": ["node1"]})
    kinds = [kind for kind, _ in stage.recorder.findings]
    assert kinds == ([] if is_property else ["node_for_contradicts"])


@FATES
def test_whatever_is_built_ends_in_one_line(fate: Callable[..., Any]) -> None:
    """A factory, its error and its client may all be without text or parts."""
    factory = type("Factory", (), {"__repr__": fate, "__getattr__": fate})
    for build in (
        type("Makes", (factory,), {"__call__": lambda *_: silent(fate)})(),
        type("Fails", (factory,), {"__call__": lambda *_: _raise(silent(fate, Exception))})(),
        lambda *_: type("Client", (), {"get": property(fate)})(),
    ):
        with pytest.raises(ClientSpecError):
            build_bounded(build, [], None)


def _raise(error: BaseException) -> Any:
    raise error


@FATES
def test_the_last_words_of_a_client_end_nothing(fate: Callable[..., Any]) -> None:
    """Neither an error of close() or snapshot() without text nor a snapshot that cannot be had."""
    failing = SimpleNamespace(
        close=lambda: _raise(silent(fate, Exception)),
        snapshot=lambda: _raise(silent(fate, Exception)),
    )
    assert close_bounded(failing).startswith("close() raised <no text")
    sampler = Sampler.__new__(Sampler)
    assert str(sampler._ask(failing)).startswith("snapshot() raised <no text")
    hiding = type("Hiding", (), {"snapshot": property(fate)})()
    sampler.context = SimpleNamespace(clients=[hiding])  # type: ignore[assignment]
    sampler._snapshot_broken, sampler._talks = False, {}
    assert sampler.snapshots() == [{}]


@pytest.mark.parametrize("name", ["close", "disconnect_all", "quit"])
def test_a_client_is_closed_by_what_it_has_for_that(name: str) -> None:
    """Libraries have names of their own for it; one that raises is named by its own."""
    called: list[str] = []
    good = type("Good", (), {name: lambda self: called.append(name)})()
    assert close_bounded(good) == ""
    assert called == [name]
    bad = type("Bad", (), {name: lambda self: _raise(ValueError("no such node"))})()
    assert close_bounded(bad) == f"{name}() raised ValueError('no such node')"


def test_a_client_with_nothing_to_close_is_no_finding() -> None:
    """A library may do without."""
    assert close_bounded(SimpleNamespace(get=len)) == ""

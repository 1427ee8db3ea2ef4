"""Failed and slow calls are kept with what a maintainer of the client starts from."""

from __future__ import annotations

from typing import Any

import pytest

from client.errors import ConnectTimeout
from telemetry.samples import KEYS_NAMED
from users.base import MemcacheUser
from users.samples import connection_of, request_text
from users.values import make


class PlainUser(MemcacheUser):
    kind = "plain"


class _Named(dict[str, bytes]):
    failed = ("b", "c")


def raising(error: BaseException) -> Any:
    def method(*_: Any) -> Any:
        raise error

    return method


def samples(stage: Any) -> list[dict[str, Any]]:
    return [detail for _, detail in stage.recorder.samples]


def test_a_failed_read_is_kept_with_what_was_raised(stage: Any) -> None:
    """Operation, node, key, request, class and text of the error, and its cause."""
    error = ConnectTimeout(node="127.0.0.1:11211")
    error.__cause__ = OSError(110, "timed out")
    stage.client.override(get=raising(error))
    stage.load.locations["k"] = "node2"
    user = stage.user(PlainUser)
    user.get("k")
    ((kind, detail),) = stage.recorder.samples
    assert kind == ("get", "node2", "timeout", "ConnectTimeout")
    assert detail == {
        "op": "get",
        "node": "node2",
        "outcome": "timeout",
        "key": "k",
        "request": "get(k)",
        "user": user.writer,
        "error": "ConnectTimeout",
        "text": "no connection within the connect timeout",
        "cause": "TimeoutError: [Errno 110] timed out",
    }


def test_a_write_is_kept_as_it_was_sent(stage: Any) -> None:
    """Values as their length, the time to live as it is; a swallowed error by its result."""
    stage.client.override(set=lambda *_: False)
    stage.user(PlainUser).set("k", b"x" * 100, 300)
    (found,) = samples(stage)
    assert found["request"] == "set(k, 100 bytes, 300)"
    assert (found["outcome"], found["error"]) == ("other_error", "set returned False")


def test_a_slow_success_is_kept_and_a_quick_one_is_not(stage: Any) -> None:
    """What took 5 ms is an example of a slow call, hit or not."""
    stage.client.data["k"] = make("k", "w0.9", 1, 100)
    user = stage.user(PlainUser)
    user.get("k")
    assert samples(stage) == []
    stage.clock.step = 0.02
    user.get("k")
    (found,) = samples(stage)
    assert (found["outcome"], found["error"]) == ("hit", "")


def test_keys_that_a_batch_names_are_kept_by_their_node(stage: Any) -> None:
    """A batch has no outcome for each node, its named keys have."""
    stage.client.override(get_many=lambda keys: _Named())
    stage.load.locations.update(a="node1", b="node2", c="node3")
    stage.user(PlainUser).get_many(["a", "b", "c"])
    found = [(each["node"], each["outcome"], each["key"]) for each in samples(stage)]
    assert found == [("node2", KEYS_NAMED, "b"), ("node3", KEYS_NAMED, "c")]


def test_wrong_values_are_kept_elsewhere(stage: Any) -> None:
    """With what they should have been; not twice."""
    stage.client.override(get=lambda _: b"nonsense")
    stage.user(PlainUser).get("k")
    assert samples(stage) == []
    assert len(stage.recorder.wrong) == 1


@pytest.mark.parametrize(
    ("op", "args", "keys", "text"),
    [
        ("get", ["k"], 1, "get(k)"),
        ("get_many", ["k"], 24, "get_many(k, and 23 keys more)"),
        ("incr", ["k", 3], 1, "incr(k, 3)"),
    ],
)
def test_requests_are_written_as_calls(op: str, args: list[Any], keys: int, text: str) -> None:
    """The call as a developer would write it."""
    assert request_text(op, args, keys) == text


class _Trap:
    """An object whose every attribute runs code."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)

    __class__ = property(lambda self: exec("raise SystemExit"))  # type: ignore[assignment]


def test_looking_for_a_connection_runs_no_code_of_the_client() -> None:
    """A client's objects are held by the frames of its error; they stay untouched."""
    trap = _Trap()

    def call(held: object) -> None:
        raise OSError(str(held is trap))

    with pytest.raises(OSError, match="True") as caught:
        call(trap)
    assert connection_of(caught.value) == ""


def test_errors_are_counted_by_class_and_text(stage: Any) -> None:
    """Ports and keys in a text make no other error of it; another text does."""
    texts = ["no answer from port 4711", "no answer from port 4712", "closed"]
    for text in texts:
        stage.client.override(get=raising(OSError(text)))
        stage.user(PlainUser).get("k")
    assert [kind for kind, _ in stage.recorder.errors] == [
        "OSError: no answer from port #",
        "OSError: no answer from port #",
        "OSError: closed",
    ]
    assert stage.recorder.errors[0][1]["text"] == texts[0]

"""Every call becomes one operation and one event, whatever the client does in it."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from client.operation import Outcome
from users.base import FAILED, MemcacheUser
from users.values import make


class PlainUser(MemcacheUser):
    kind = "plain"


def value_of(key: str) -> bytes:
    return make(key, "w0.9", 1, 100)


def raising(error: BaseException) -> Any:
    def method(*_: Any) -> Any:
        raise error

    return method


def test_a_hit_is_verified_and_told_to_both_in_the_same_words(stage: Any) -> None:
    stage.client.data["k"] = value_of("k")
    stage.load.locations["k"] = "node2"
    stage.clock.step = 0.001
    user = stage.user(PlainUser)
    assert user.get("k") == value_of("k")
    (operation,) = stage.recorder.operations
    assert operation[:3] == ("get", "node2", "hit")
    assert (operation.keys, operation.hits) == (1, 1)
    assert operation.service_s == pytest.approx(0.001)
    (event,) = stage.events
    assert event == {
        "request_type": "plain",
        "name": "get",
        "response_time": pytest.approx(1.0),
        "response_length": 100,
        "exception": None,
        "context": {},
    }


@pytest.mark.parametrize(
    ("returned", "outcome", "result"),
    [
        pytest.param(None, Outcome.MISS, None, id="miss"),
        pytest.param(value_of("other"), Outcome.WRONG_VALUE, FAILED, id="value of another key"),
        pytest.param(value_of("k")[:-1], Outcome.WRONG_VALUE, FAILED, id="torn"),
        pytest.param(b"", Outcome.WRONG_VALUE, FAILED, id="empty"),
        pytest.param(value_of("k").decode("latin1"), Outcome.BAD_RESULT, FAILED, id="text"),
        pytest.param(bytearray(value_of("k")), Outcome.BAD_RESULT, FAILED, id="bytearray"),
        pytest.param(0, Outcome.BAD_RESULT, FAILED, id="a number"),
        pytest.param((value_of("k"), b"1"), Outcome.BAD_RESULT, FAILED, id="value and cas"),
    ],
)
def test_what_a_get_returns(stage: Any, returned: Any, outcome: Outcome, result: Any) -> None:
    stage.client.override(get=lambda _: returned)
    assert stage.user(PlainUser).get("k") is result
    assert [operation.outcome for operation in stage.recorder.operations] == [outcome]
    assert len(stage.recorder.wrong) == (outcome is Outcome.WRONG_VALUE)
    assert len(stage.recorder.findings) == (outcome is Outcome.BAD_RESULT)


def test_a_wrong_value_comes_with_its_evidence(stage: Any) -> None:
    stage.client.data["before"] = value_of("before")
    stage.client.override(get=lambda key: value_of("before"))
    stage.load.locations["k"] = "node1"
    user = stage.user(PlainUser)
    user.get("before")
    user.get("k")
    (evidence,) = stage.recorder.wrong
    assert evidence["kind"] == "other_key"
    assert (evidence["key"], evidence["node"], evidence["op"]) == ("k", "node1", "get")
    assert "key before" in evidence["got"]
    assert "key k" in evidence["expected"]
    assert evidence["neighbours"] == ["get before: hit (0.0 ms earlier)"]


@pytest.mark.parametrize(
    ("error", "outcome", "timed"),
    [
        pytest.param(TimeoutError(), Outcome.TIMEOUT, True, id="timeout"),
        pytest.param(gevent.Timeout(1), Outcome.TIMEOUT, True, id="gevent's own timeout"),
        pytest.param(type("CircuitOpen", (Exception,), {})(), "breaker_open", False, id="breaker"),
        pytest.param(KeyError("x"), Outcome.BUG, True, id="programming error"),
        pytest.param(SystemExit(3), Outcome.BUG, True, id="an exit does not end the harness"),
    ],
)
def test_what_a_get_raises(stage: Any, error: BaseException, outcome: str, timed: bool) -> None:
    stage.client.override(get=raising(error))
    user = stage.user(PlainUser)
    assert user.get("k") is FAILED
    assert user.get("k") is FAILED
    assert [operation.outcome for operation in stage.recorder.operations] == [outcome] * 2
    first, second = stage.events
    assert str(first["exception"]) == outcome
    assert first["exception"] is second["exception"]
    assert (first["response_time"] is not None) == timed
    found = [kind for kind, _ in stage.recorder.findings]
    assert found == (["programming_error"] * 2 if outcome is Outcome.BUG else [])
    assert stage.load.inside["PlainUser"] == 0


class Partial(dict[str, Any]):
    """An answer that names the keys that failed."""

    def __init__(self, values: dict[str, Any], failed: list[str]) -> None:
        super().__init__(values)
        self.failed = failed


class CacheDownError(Exception):
    """A failure by a name of the client's own."""


def test_a_failure_without_an_outcome_of_its_own_is_told_by_its_class(stage: Any) -> None:
    """`other_error` says nothing to the maintainer of a client; the name of the class does."""
    stage.client.override(get=raising(CacheDownError("node1 is away")), set=lambda *_: False)
    stage.load.locations["k"] = "node1"
    user = stage.user(PlainUser)
    user.get("k")
    user.set("k", b"v", 1)
    assert [operation.outcome for operation in stage.recorder.operations] == ["other_error"] * 2
    assert [str(event["exception"]) for event in stage.events] == [
        "CacheDownError",
        "set returned False",
    ]
    assert stage.recorder.kinds == [
        ("get", "node1", "other_error", "CacheDownError"),
        ("set", "node1", "other_error", "set returned False"),
    ]


@pytest.mark.parametrize(
    ("returned", "nothing"),
    [
        pytest.param(raising(CacheDownError()), [("raised", ["", "node1"])], id="raised"),
        pytest.param(lambda _: {}, [("empty", ["", "node1"])], id="an empty mapping"),
        pytest.param(lambda _: Partial({}, ["b"]), [], id="an empty mapping that names a key"),
        pytest.param(lambda _: {"a": value_of("a")}, [], id="a value"),
        pytest.param(lambda _: 7, [], id="no mapping: a broken contract"),
    ],
)
def test_batches_that_gave_nothing(stage: Any, returned: Any, nothing: Any) -> None:
    """A batch that raises, or is empty without a word of what failed, gave nothing."""
    stage.client.override(get_many=returned)
    stage.load.locations["a"] = "node1"
    stage.user(PlainUser).get_many(["a", "b"])
    assert stage.recorder.nothing == nothing


@pytest.mark.parametrize("op", ["get", "set", "get_many"])
def test_a_kill_is_aborted_and_passes_through(stage: Any, op: str) -> None:
    stage.client.override(**{op: raising(gevent.GreenletExit())})
    user = stage.user(PlainUser)
    stage.load.stop()
    calls = {
        "get": lambda: user.get("k"),
        "set": lambda: user.set("k", b"v", 1),
        "get_many": lambda: user.get_many(["k"]),
    }
    with pytest.raises(gevent.GreenletExit):
        calls[op]()
    assert [operation.outcome for operation in stage.recorder.operations] == ["aborted"]
    assert stage.recorder.nothing == []
    assert stage.events == []
    assert stage.load.inside["PlainUser"] == 0


def test_a_kill_that_nobody_asked_for_is_the_clients_fault(stage: Any) -> None:
    """A client that raises GreenletExit would end its users one by one and look well."""
    stage.client.override(get=raising(gevent.GreenletExit()))
    assert stage.user(PlainUser).get("k") is FAILED
    assert [operation.outcome for operation in stage.recorder.operations] == ["bug"]
    assert [kind for kind, _ in stage.recorder.findings] == ["programming_error"]


def test_a_user_counts_as_inside_during_the_call_only(stage: Any) -> None:
    seen = []
    stage.client.override(get=lambda _: seen.append(stage.load.inside["PlainUser"]))
    stage.user(PlainUser).get("k")
    assert seen == [1]
    assert stage.load.inside["PlainUser"] == 0


def test_only_the_first_call_of_an_iteration_has_the_intended_start(stage: Any) -> None:
    user = stage.user(PlainUser)
    user._intended = 990.0
    user.get("k")
    user.get("k")
    first, second = stage.recorder.operations
    assert (first.intended, first.started) == (990.0, 1000.0)
    assert second.intended == second.started
    assert stage.events[0]["response_time"] == pytest.approx(10_000.0)


def test_writes_and_counters(stage: Any) -> None:
    user = stage.user(PlainUser)
    assert user.set("k", user.new_value("k"), 30) is True
    assert user.add("k", user.new_value("k"), 30) is False
    assert user.delete("k") is True
    assert user.delete("k") is False
    assert user.incr("n") is None
    assert user.add("n", b"0", 30) is True
    assert user.incr("n") == 1
    outcomes = [operation.outcome for operation in stage.recorder.operations]
    assert outcomes == [
        "stored",
        "not_stored",
        "deleted",
        "not_found",
        "not_found",
        "stored",
        "counted",
    ]
    assert all(event["exception"] is None for event in stage.events)


class Partly(dict[str, bytes]):
    failed: Any = ()


def test_a_batch_is_one_operation_with_its_verified_hits(stage: Any) -> None:
    stage.client.data.update(a=value_of("a"), b=value_of("b"))
    assert set(stage.user(PlainUser).get_many(["a", "b", "c"])) == {"a", "b"}
    (operation,) = stage.recorder.operations
    assert operation[:3] == ("get_many", "", "hit")
    assert (operation.keys, operation.hits) == (3, 2)
    assert stage.events[0]["response_length"] == 200


@pytest.mark.parametrize("answer", [{}, 7, ConnectionError()], ids=["misses", "junk", "raises"])
def test_a_batch_is_counted_by_the_nodes_of_its_keys(stage: Any, answer: Any) -> None:
    """Whatever comes of it: the servers may count the commands of a batch that failed."""

    def get_many(_: list[str]) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    stage.client.override(get_many=get_many)
    stage.load.locations.update(a="node1", b="node2")
    stage.user(PlainUser).get_many(["a", "b", "c"])
    assert stage.recorder.asked == ["node1", "node2", ""]


def test_failed_keys_of_a_batch_are_counted_by_their_nodes(stage: Any) -> None:
    answer = Partly(a=value_of("a"))
    answer.failed = {"b": OSError(), "c": OSError(), "d": OSError()}
    stage.client.override(get_many=lambda _: answer)
    stage.load.locations.update(a="node1", b="node2", c="node2", d="node3")
    stage.user(PlainUser).get_many(["a", "b", "c", "d"])
    assert stage.recorder.operations[0].outcome == "partial"
    assert [(node, keys) for node, _, keys in stage.recorder.batches] == [
        ("node2", 2),
        ("node3", 1),
    ]
    assert stage.events[0]["exception"] is None


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param({}, Outcome.MISS, id="nothing found"),
        pytest.param({"a": value_of("b")}, Outcome.WRONG_VALUE, id="one foreign value"),
        pytest.param({"a": None}, Outcome.BAD_RESULT, id="None as a value"),
        pytest.param({"z": value_of("z")}, Outcome.BAD_RESULT, id="a key not asked for"),
        pytest.param([], Outcome.BAD_RESULT, id="a list"),
    ],
)
def test_what_a_batch_returns(stage: Any, answer: Any, outcome: Outcome) -> None:
    stage.client.override(get_many=lambda _: answer)
    stage.user(PlainUser).get_many(["a", "b"])
    assert [operation.outcome for operation in stage.recorder.operations] == [outcome]


def test_a_mapping_that_breaks_when_read_is_the_client_s_bug(stage: Any) -> None:
    class Lazy(dict[str, bytes]):
        def keys(self) -> Any:
            raise TypeError

        @property
        def failed(self) -> Any:
            raise TypeError

    stage.client.override(get_many=lambda _: Lazy(a=b"1"))
    assert stage.user(PlainUser).get_many(["a"]) is FAILED
    assert stage.recorder.operations[0].outcome == Outcome.BUG

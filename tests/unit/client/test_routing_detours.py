"""A call whose node refused it: who is asked next, how often, and what the caller is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import (
    BreakerOpen,
    ConnectionClosed,
    ConnectRefused,
    ConnectTimeout,
    MemcacheClientError,
    OperationTimeout,
    OutOfResources,
    PoolExhausted,
    ServerError,
    Unreachable,
)
from client.failover import Detour, Terms
from client.replies import read_stored, read_value

SET = b"set k 0 0 1\r\nv\r\n"
OP_TIMEOUT_S = 0.5
REFUSALS = (BreakerOpen, ConnectRefused, ConnectTimeout, Unreachable)
OTHERS = (OperationTimeout, ConnectionClosed, PoolExhausted, OutOfResources, ServerError)


class ScriptedNode:
    """Answers with what it is given, or raises it; keeps what it was asked."""

    def __init__(self, label: str, answer: Any = None, *, clock: list[float], takes_s: float = 0.0):
        self.label = label
        self.answer = answer
        self.speaks_meta: bool | None = False
        self.asked: list[tuple[bytes, float | None]] = []
        self._clock = clock
        self._takes_s = takes_s

    def call(self, request: bytes, read: Any, expected: Any, until: float | None = None) -> Any:
        self.asked.append((request, until))
        self._clock[0] += self._takes_s
        if isinstance(self.answer, type) and issubclass(self.answer, BaseException):
            raise self.answer
        return self.answer

    def fetch(self, key: bytes) -> Any:
        return self.call(b"fetch " + key, read_value, key)


def detour(*answers: Any, takes_s: float = 0.0, reword: Callable[[bytes], bytes] = bytes) -> Any:
    """Give a detour and its nodes, the key's own first, each with its answer."""
    clock = [100.0]
    nodes = [
        ScriptedNode(f"node{index}:1", answer, clock=clock, takes_s=takes_s)
        for index, answer in enumerate(answers)
    ]
    terms = Terms(clock=lambda: clock[0], op_timeout=OP_TIMEOUT_S, reword=reword)
    return Detour(nodes[0], nodes[1:], terms), nodes, terms  # type: ignore[arg-type]


def store(made: Detour) -> Any:
    return made.call(SET, read_stored, None)


def test_a_node_that_answers_is_the_only_one_asked() -> None:
    """A miss is an answer as well: nobody else is asked for it."""
    for answer in (True, None, False):
        made, nodes, terms = detour(answer, "other")
        assert store(made) is answer
        assert made.fetch(b"k") is answer
        assert nodes[1].asked == []
        assert not terms.moved


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_goes_to_the_next_node(refusal: type[MemcacheClientError]) -> None:
    """With one deadline for all, counted from the beginning of the call."""
    made, nodes, terms = detour(refusal, "other", "never", takes_s=0.1)
    assert store(made) == "other"
    assert made.fetch(b"k") == "other"
    assert [until for _, until in nodes[1].asked] == pytest.approx([100.5, 100.7])
    assert nodes[2].asked == []
    assert terms.moved == {"node0:1": 2}


@pytest.mark.parametrize("error", OTHERS)
def test_nothing_else_goes_anywhere(error: type[MemcacheClientError]) -> None:
    """What may have happened, what the node said itself, and what is not its fault stay."""
    made, nodes, _ = detour(error, "other")
    for call in (lambda: store(made), lambda: made.fetch(b"k")):
        with pytest.raises(error):
            call()
    assert nodes[1].asked == []


def test_a_kill_goes_nowhere() -> None:
    """Whatever is not an error of ours ends the call at once."""
    made, nodes, _ = detour(KeyboardInterrupt, "other")
    with pytest.raises(KeyboardInterrupt):
        store(made)
    made, _, _ = detour(ConnectRefused, KeyboardInterrupt, "other")
    with pytest.raises(KeyboardInterrupt):
        store(made)
    assert nodes[1].asked == []


def test_refused_by_all_is_the_error_of_the_keys_own_node() -> None:
    """A full pool elsewhere is only another no; the first cause is what the caller is told."""
    made, nodes, terms = detour(ConnectRefused, PoolExhausted, BreakerOpen)
    with pytest.raises(ConnectRefused):
        store(made)
    assert [len(node.asked) for node in nodes] == [1, 1, 1]
    assert not terms.moved


def test_what_may_have_happened_elsewhere_is_said() -> None:
    """An indeterminate error of another node ends the call: no third node is written to."""
    made, nodes, _ = detour(ConnectRefused, OperationTimeout, "other")
    with pytest.raises(OperationTimeout):
        store(made)
    assert nodes[2].asked == []


def test_no_time_left_no_attempt() -> None:
    """After the deadline nobody is asked any more."""
    made, nodes, _ = detour(ConnectTimeout, ConnectTimeout, "other", takes_s=0.3)
    with pytest.raises(ConnectTimeout):
        store(made)
    assert [len(node.asked) for node in nodes] == [1, 1, 0]


@pytest.mark.parametrize("request_", [b"incr k 1\r\n", b"gets k\r\n", b"cas k 0 0 1 7\r\nv\r\n"])
def test_what_stays_fails_with_its_node(request_: bytes) -> None:
    """Counters and tokens are the key's own node's alone."""
    made, nodes, _ = detour(BreakerOpen, "other")
    with pytest.raises(BreakerOpen):
        made.call(request_, read_stored, None)
    assert nodes[1].asked == []


def test_a_delete_is_done_elsewhere_and_fails() -> None:
    """Copies go as far as they can be reached; the key's own node still has its value."""
    made, nodes, terms = detour(BreakerOpen, OperationTimeout, True)
    with pytest.raises(BreakerOpen):
        made.call(b"delete k\r\n", read_stored, None)
    assert [request for node in nodes for request, _ in node.asked] == [b"delete k\r\n"] * 3
    assert not terms.moved


def test_others_are_asked_in_other_words() -> None:
    """The key's own node gets the request as it is, others as it is put to them."""
    made, nodes, _ = detour(BreakerOpen, True, reword=lambda request: b"short " + request)
    assert store(made) is True
    assert nodes[0].asked[0][0] == SET
    assert nodes[1].asked[0][0] == b"short " + SET


def test_meta_goes_to_nodes_that_speak_it() -> None:
    """A node that does not know ms would take the value for commands: it is passed over."""
    made, nodes, _ = detour(BreakerOpen, False, True)
    nodes[1].speaks_meta, nodes[2].speaks_meta = False, None
    assert made.call(b"ms k 1 T0 O1\r\nv\r\n", read_stored, None) is True
    assert nodes[1].asked == []
    assert [request for request, _ in nodes[2].asked] == [b"mn\r\n", b"ms k 1 T0 O1\r\nv\r\n"]
    nodes[2].speaks_meta = True
    assert made.speaks_meta is False  # the key's own node is known
    nodes[0].speaks_meta = nodes[1].speaks_meta = None
    assert made.speaks_meta is True
    nodes[2].speaks_meta = None
    assert made.speaks_meta is None
    assert repr(made) == "<Detour node0:1, then node1:1, node2:1>"


@given(st.lists(st.sampled_from([*REFUSALS, *OTHERS, True]), min_size=1, max_size=6), st.booleans())
def test_never_more_than_its_bound_and_home_first(answers: list[Any], is_read: bool) -> None:
    """Each node once at most, in order, the own one first; nobody after an answer."""
    made, nodes, terms = detour(*answers)
    try:
        result = made.fetch(b"k") if is_read else store(made)
    except MemcacheClientError as error:
        result = error
    counts = [len(node.asked) for node in nodes]
    assert counts[0] == 1
    assert counts == sorted(counts, reverse=True)
    assert max(counts) == 1
    asked = sum(counts)
    if result is True:
        assert answers[asked - 1] is True
        assert all(answer is not True for answer in answers[: asked - 1])
    else:
        assert type(result) in answers[:asked]
    assert sum(terms.moved.values()) == (result is True and asked > 1)

"""Whose keys are whose in a batch, and what becomes of those whose node did not answer.

Nodes, pools and connections are made up; the real breaker decides. A connection here answers each
request the moment it is read, from a dictionary, or does what the test tells it to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from client.breaker import SUCCESS
from client.errors import (
    ConnectionClosed,
    ConnectRefused,
    IllegalKey,
    MemcacheClientError,
    OperationTimeout,
    PoolExhausted,
    ProtocolError,
)
from client.multi import PartialDict, Terms, by_node
from client.multi_reading import fetch_many
from client.multi_writing import delete_many, store_many


class MadeUpConnection:
    """Answers text commands from `store`; `broken` is raised instead of an answer."""

    waits_on_hub = False
    allowed_s = 1.0
    armed = is_stale = False
    expires_at = 1_000.0
    idle_since = 0.0

    def __init__(self, store: dict[bytes, bytes]) -> None:
        self.store = store
        self.requests: list[bytes] = []
        self.broken: BaseException | None = None
        self.begun: list[float] = []
        self._unread = b""

    def write(self, data: bytes, _: float) -> None:
        self.requests.append(bytes(data))
        self._unread += self._answer(bytes(data))

    def write_some(self, data: bytes) -> int:
        self.write(data, 0.0)
        return len(data)

    def arm(self, _: float) -> None:
        pass

    def begin(self, deadline: float) -> None:
        self.begun.append(deadline)

    def read_before(self, _: float) -> bytes:
        if self.broken is not None:
            raise self.broken
        data, self._unread = self._unread, b""
        return data

    def read_within(self, _: float) -> bytes:
        return self.read_before(0.0)

    def _answer(self, request: bytes) -> bytes:
        answer = b""
        while request:
            line, _, request = request.partition(b"\r\n")
            verb, *fields = line.split(b" ")
            if verb == b"get":
                found = [(key, self.store[key]) for key in fields if key in self.store]
                answer += b"".join(b"VALUE %b 0 %d\r\n%b\r\n" % (k, len(v), v) for k, v in found)
                answer += b"END\r\n"
            elif verb == b"set":
                size = int(fields[3])
                self.store[fields[0]] = request[:size]
                request = request[size + 2 :]
                answer += b"STORED\r\n"
            else:
                was_there = self.store.pop(fields[0], None) is not None
                answer += b"DELETED\r\n" if was_there else b"NOT_FOUND\r\n"
        return answer


class MadeUpNode:
    """A node, its pool, its breaker and that one's window. `trouble` is raised for a permit."""

    speaks_meta = False
    op_timeout = 1.0
    permit = 0
    slow_call_s = None
    events = ()
    waiters = ()
    is_closed = False
    sweep_at = ends_at = 0.0  # so that nothing is written out and all is told here

    def __init__(self, label: str) -> None:
        self.label = label
        self.store: dict[bytes, bytes] = {}
        self.connection = MadeUpConnection(self.store)
        self.trouble: MemcacheClientError | None = None
        self.requests = 0
        self.now = 0.0
        self.ended: Counter[str] = Counter()
        self.breaker = self.pool = self.window = self
        self.idle = [self.connection]

    def clock(self) -> float:
        return self.now

    def acquire(self) -> int:
        if self.trouble is not None:
            raise self.trouble
        return 1

    def release(self, connection: object, _: float) -> None:
        assert connection is self.connection
        self.idle.append(self.connection)
        self.ended["released"] += 1

    def done(self, _: int, verdict: int, *__: float) -> None:
        assert verdict == SUCCESS
        self.ended["done"] += 1

    def settle(self, error: BaseException, _: int, connection: object) -> None:
        self.ended[type(error).__name__] += 1
        self.ended["settled"] += connection is not None
        self.idle = [self.connection]

    def count_failure(self, error: MemcacheClientError) -> None:
        self.ended["refused"] += 1


A, B, C = "a", "b", "c"


class Cluster:
    """Three nodes; a key lives on the one its first letter names, the others are its fallbacks."""

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {label: MadeUpNode(label) for label in (A, B, C)}
        self.looked_up: list[Any] = []

    def __getitem__(self, key: Any) -> tuple[Any, bytes]:
        self.looked_up.append(key)
        if not isinstance(key, str | bytes) or not key:
            raise IllegalKey
        wire = key.encode() if isinstance(key, str) else key
        return self.nodes[chr(wire[0])], wire

    def others(self, wire: bytes, label: str) -> Sequence[Any]:
        return [node for name, node in self.nodes.items() if name not in {label, chr(wire[0])}]

    def terms(self, fallbacks: Callable[..., Any] | None = None) -> Terms:
        return Terms(started=0.0, deadline=1.0, fallbacks=fallbacks)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def encode(_: Any, value: bytes) -> tuple[bytes, int]:
    return value, 0


def get(cluster: Any, keys: Any, fallbacks: Any = None) -> PartialDict:
    return fetch_many(cluster, keys, cluster.terms(fallbacks))


def put(cluster: Any, values: Any, fallbacks: Any = None, reword: Any = None) -> Any:
    return store_many(cluster, values, encode, 0, lambda: cluster.terms(fallbacks), reword=reword)


SAME_KEY_TWICE = {
    "the same text twice": (["a1", "a1", "b1"], {A: ["a1"], B: ["b1"]}, {}),
    "text and bytes": (["a1", b"a1", "b1"], {A: ["a1"], B: ["b1"]}, {"a1": [b"a1"]}),
    "bytes and text": ([b"a1", "a1"], {A: [b"a1"]}, {b"a1": ["a1"]}),
    "all distinct": (["b2", "a1", "b1"], {B: ["b2", "b1"], A: ["a1"]}, {}),
}


@pytest.mark.parametrize(("keys", "asked", "aliases"), SAME_KEY_TWICE.values(), ids=SAME_KEY_TWICE)
def test_each_key_is_asked_once_in_the_order_given(
    cluster: Any, keys: list[Any], asked: dict[str, list[Any]], aliases: dict[Any, list[Any]]
) -> None:
    """A key given twice goes out once; its other names are remembered."""
    shares, others = by_node(cluster, keys)
    assert {node.label: names for node, (names, _) in shares.items()} == asked
    assert others == aliases
    for _, (names, wires) in shares.items():
        assert [cluster[name][1] for name in names] == wires


@pytest.mark.parametrize("kind", [list, tuple, iter, dict.fromkeys], ids=lambda kind: kind.__name__)
def test_keys_may_be_any_iterable(cluster: Any, kind: Callable[..., Any]) -> None:
    """A list, a generator, the keys of a mapping: each key is looked up once."""
    assert put(cluster, {"a1": b"1", "b1": b"2"}) == []
    cluster.looked_up.clear()
    assert get(cluster, kind(["a1", "b1", "c1"])) == {"a1": b"1", "b1": b"2"}
    assert cluster.looked_up == ["a1", "b1", "c1"]


def test_every_name_of_a_key_gets_its_answer(cluster: Any) -> None:
    """Text and bytes of the same key are both in the result, or both in `.failed`."""
    assert put(cluster, {"a1": b"old", b"a1": b"new", "b1": b"2"}) == []
    assert get(cluster, ["a1", b"a1", "b1"]) == {"a1": b"new", b"a1": b"new", "b1": b"2"}
    cluster.nodes[A].connection.broken = OperationTimeout()
    found = get(cluster, ["a1", b"a1", "b1"])
    assert (dict(found), set(found.failed)) == ({"b1": b"2"}, {"a1", b"a1"})
    failed = put(cluster, {"a1": b"1", b"a1": b"2", "b1": b"2"})
    assert set(failed) == set(failed.failed) == {"a1", b"a1"}


def test_a_key_that_is_illegal_sends_nothing(cluster: Any) -> None:
    """Keys are looked up, and values encoded, before the first request."""
    with pytest.raises(IllegalKey):
        get(cluster, ["a1", "b1", ""])
    with pytest.raises(TypeError):
        store_many(cluster, {"a1": 1}, lambda _, value: len(value), 0, cluster.terms)
    assert all(node.requests == 0 for node in cluster.nodes.values())


def test_many_keys_go_in_chunks_of_which_two_are_under_way(cluster: Any) -> None:
    """A hundred keys a request, and every answer in its place."""
    values = {f"a{index}": b"%d" % index for index in range(1_050)}
    assert put(cluster, values) == []
    node = cluster.nodes[A]
    node.connection.requests.clear()
    assert get(cluster, values) == values
    requests = node.connection.requests
    assert [len(request.split()) - 1 for request in requests] == [100] * 10 + [50]
    assert node.ended == {"released": 2, "done": 2}


def test_what_a_node_answered_before_it_failed_counts(cluster: Any) -> None:
    """The chunks that were answered are in the result, the keys of the others in `.failed`."""
    values = {f"a{index}": b"%d" % index for index in range(350)}
    assert put(cluster, values) == []
    connection = cluster.nodes[A].connection
    read, reads = connection.read_before, []

    def read_once(deadline: float) -> bytes:
        reads.append(deadline)
        if len(reads) > 1:
            raise ConnectionClosed
        data: bytes = read(deadline)
        return data

    connection.read_before = read_once
    found = get(cluster, values)
    assert found == dict(list(values.items())[:200]), "two chunks were under way"
    assert list(found.failed) == list(values)[200:]


@pytest.mark.parametrize("count", [3, 250], ids=["one chunk", "several chunks"])
def test_a_stale_reply_in_front_makes_nothing_of_the_node_believed(
    cluster: Any, count: int
) -> None:
    """Answers that turn out to be out of step are no misses, and what they gave is taken back."""
    values = {f"a{index}": b"%d" % index for index in range(count)}
    assert put(cluster, {**values, "b1": b"2"}) == []
    for stale in (b"END\r\n", b"VALUE a0 0 5\r\nwrong\r\nEND\r\n"):
        cluster.nodes[A].connection._unread = stale
        found = get(cluster, [*values, "b1"])
        assert found == {"b1": b"2"}
        assert list(found.failed) == list(values)
        assert {type(error) for error in found.failed.values()} == {ProtocolError}
        cluster.nodes[A].connection._unread = b""
    cluster.nodes[A].connection._unread = b"DELETED\r\n"
    deleted = delete_many(cluster, values, cluster.terms())
    assert (dict(deleted), list(deleted.failed)) == ({}, list(values))


def test_a_kill_ends_every_part_once(cluster: Any) -> None:
    """Whatever cuts a batch off, each permit and each connection is given back once, marked so."""
    cluster.nodes[B].connection.broken = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        get(cluster, ["a1", "b1", "c1"])
    ended = {label: dict(node.ended) for label, node in cluster.nodes.items()}
    cut_off = {"KeyboardInterrupt": 1, "settled": 1}
    assert ended[B] == cut_off
    assert all(end in ({"released": 1, "done": 1}, cut_off) for end in ended.values())


REFUSALS = {
    "refused": (ConnectRefused(), True),
    "a full pool, nobody's failure": (PoolExhausted(), False),
}


@pytest.mark.parametrize(("trouble", "moves"), REFUSALS.values(), ids=REFUSALS)
def test_what_was_not_sent_goes_elsewhere(
    cluster: Any, trouble: MemcacheClientError, moves: bool
) -> None:
    """Keys whose node refused them are asked of the next node; without failover they fail."""
    for label in (A, B):
        cluster.nodes[label].store.update({b"a1": b"1", b"b1": b"2"})
    cluster.nodes[A].trouble = trouble
    assert set(get(cluster, ["a1", "b1"]).failed) == {"a1"}
    found = get(cluster, ["a1", "b1"], cluster.others)
    assert found == ({"a1": b"1", "b1": b"2"} if moves else {"b1": b"2"})
    assert found.failed == ({} if moves else {"a1": trouble})


def test_what_may_have_happened_goes_nowhere(cluster: Any) -> None:
    """A write whose node did not answer is never made twice."""
    cluster.nodes[A].connection.broken = OperationTimeout()
    failed = put(cluster, {"a1": b"1"}, cluster.others)
    assert failed == ["a1"]
    assert failed.failed["a1"].happened == "indeterminate"
    assert cluster.nodes[B].store == cluster.nodes[C].store == {}


def test_the_error_is_that_of_the_keys_own_node(cluster: Any) -> None:
    """When the others refuse it too, one after the other, nothing but the first error is told."""
    own = cluster.nodes[A].trouble = ConnectRefused("own")
    cluster.nodes[B].trouble = ConnectRefused("other")
    cluster.nodes[C].trouble = ConnectRefused("another")
    assert get(cluster, ["a1"], cluster.others).failed == {"a1": own}
    assert [node.requests for node in cluster.nodes.values()] == [1, 1, 1]


def test_nobody_is_asked_after_the_deadline(cluster: Any) -> None:
    """Failover has no time of its own."""
    own = cluster.nodes[A].trouble = ConnectRefused()
    cluster.nodes[A].now = 1.0
    assert get(cluster, ["a1"], cluster.others).failed == {"a1": own}
    assert cluster.nodes[B].requests == cluster.nodes[C].requests == 0


def test_a_store_elsewhere_is_reworded(cluster: Any) -> None:
    """The key's own node is asked in the caller's words, another in those for others."""
    cluster.nodes[A].trouble = ConnectRefused()

    def reword(request: bytes) -> bytes:
        return request.replace(b" 0 0 ", b" 0 10 ")

    assert put(cluster, {"a1": b"1", "b1": b"2"}, cluster.others, reword) == []
    assert cluster.nodes[B].connection.requests == [
        b"set b1 0 0 1\r\n2\r\n",
        b"set a1 0 10 1\r\n1\r\n",
    ]


def test_a_delete_elsewhere_has_failed_all_the_same(cluster: Any) -> None:
    """Copies are deleted, but the key's own node still has the value."""
    own = cluster.nodes[A].trouble = ConnectRefused()
    cluster.nodes[B].store[b"a1"] = b"copy"
    cluster.nodes[B].store[b"b1"] = b"2"
    result = delete_many(cluster, ["a1", "b1"], cluster.terms(cluster.others))
    assert result == {"b1": True}
    assert result.failed == {"a1": own}
    assert cluster.nodes[B].store == {}


def test_a_write_behind_one_that_was_not_understood_may_have_happened(cluster: Any) -> None:
    """The refusal is about one key; the requests behind it had left and may have been carried out.

    What was never sent has failed as definitely as the key itself.
    """
    keys = [f"a{index}" for index in range(350)]
    connection = cluster.nodes[A].connection
    connection.read_before = lambda _: b"STORED\r\nCLIENT_ERROR bad data chunk\r\n"
    failed = put(cluster, dict.fromkeys(keys, b"1")).failed
    assert list(failed) == keys[1:]
    told = [str(error.happened) for error in failed.values()]
    assert told == ["server_reply"] + ["indeterminate"] * 198 + ["server_reply"] * 150


def test_a_batch_with_little_time_left_says_so_to_its_connections(cluster: Any) -> None:
    """A node that was asked late is not blamed for the time that others took."""
    terms = cluster.terms()._replace(deadline=0.25)
    assert fetch_many(cluster, ["a1"], terms) == {}
    assert cluster.nodes[A].connection.begun == [0.25]
    get(cluster, ["b1"])
    assert cluster.nodes[B].connection.begun == []


def test_the_time_of_a_batch_begins_when_all_is_serialised(cluster: Any) -> None:
    """A slow serde is nobody's failure: the nodes have the whole time."""
    done: list[str] = []

    def encode_slowly(key: str, value: bytes) -> tuple[bytes, int]:
        done.append(key)
        return value, 0

    def begin() -> Terms:
        assert done == ["a1", "b1"]
        done.append("begun")
        terms: Terms = cluster.terms()
        return terms

    assert store_many(cluster, {"a1": b"1", "b1": b"2"}, encode_slowly, 0, begin) == []
    assert done[-1] == "begun"

"""Users with real clients on real memcached: keys are found where they live, lies are seen."""

from __future__ import annotations

import hashlib
import socket
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer
from locust.user.task import LOCUST_STATE_RUNNING

from cluster.node import Node
from telemetry.recorder import Recorder
from users.clients import ClientOptions, construct, resolve
from users.context import LoadContext, LoadSettings
from users.hot_key import HotKeyUser
from users.location import DirectNode, LocationError, fetch_all
from users.mixed import MixedUser
from users.multi_get import MultiGetUser
from users.origin import Origin
from users.pacing import Schedule
from users.prefill import Item, Prefill, PrefillError
from users.spelling import learn_spelling
from users.stampede import StampedeUser
from users.values import make

CLIENTS = ["memquake", "pymemcache-hash", "pymemcache-pooled"]
OPTIONS = ClientOptions(pool_size=10, op_timeout=1.0, connect_timeout=1.0)


@pytest.fixture
def nodes(memcached: Callable[..., Any]) -> list[Node]:
    """Start three nodes without proxies."""
    servers = [memcached() for _ in range(3)]
    return [
        Node(name=f"node{i + 1}", address=server.address, direct=server.address)
        for i, server in enumerate(servers)
    ]


def build_load(nodes: list[Node], client: Any, **settings: Any) -> LoadContext:
    load = LoadContext(
        client=client,
        recorder=Recorder(),
        nodes=nodes,
        settings=LoadSettings(**settings),
        origin=Origin(0.005),
    )
    load.expected_rate = 50.0
    return load


@pytest.fixture(params=CLIENTS)
def load(request: Any, nodes: list[Node]) -> Any:
    """Give a run with each of the named clients in turn."""
    client = construct(resolve(request.param), [node.address for node in nodes], OPTIONS)
    yield build_load(nodes, client)
    client.close()


def join(load: LoadContext, kind: type[Any]) -> Any:
    fire = SimpleNamespace(fire=lambda **_: None)
    user = kind(SimpleNamespace(events=SimpleNamespace(request=fire), memquake=load))
    user._state = LOCUST_STATE_RUNNING
    user.join(load)
    return user


def test_every_key_is_found_on_the_one_node_it_lives_on(load: LoadContext) -> None:
    items = [Item(f"t:{i}", b"v", 60, stay=i % 3 > 0) for i in range(300)]
    Prefill(load).store(items)
    assert set(load.locations) == {item.key for item in items}
    assert set(load.locations.values()) == {"node1", "node2", "node3"}
    connections = [DirectNode(node) for node in load.nodes]
    left = fetch_all(connections, [item.key for item in items])
    for connection in connections:
        connection.close()
    assert {key for key, names in left.items() if names} == {i.key for i in items if i.stay}
    assert all([*names] in ([], [load.locations[key]]) for key, names in left.items())
    assert load.recorder.findings.total == 0


def test_all_kinds_of_user_do_their_work_without_an_error(load: LoadContext) -> None:
    kinds = [MixedUser, HotKeyUser, MultiGetUser, StampedeUser]
    users = [join(load, kind) for kind in kinds]
    load.recorder.start(load.clock())
    for user in users:
        user.prepare()
        for _ in range(150):
            user.iterate()
    totals = load.recorder.totals()
    assert totals["operations"] >= 600
    assert (totals["errors"], totals["wrong_values"]) == (0, 0)
    assert totals["verified_hits"] > 2000
    assert load.recorder.findings.total == 0


class Renaming:
    """A client that stores keys under other names, and values as `encode` makes them."""

    def __init__(
        self,
        nodes: list[Node],
        rename: Callable[[str], str],
        encode: Callable[[bytes], bytes] = bytes,
        decode: Callable[[bytes], bytes] = bytes,
    ) -> None:
        addresses = [node.address for node in nodes]
        self.inner = construct(resolve("pymemcache-pooled"), addresses, OPTIONS)
        self.rename, self.encode, self.decode = rename, encode, decode

    def set(self, key: str, value: bytes, expire: int = 0) -> Any:
        return self.inner.set(self.rename(key), self.encode(value), expire)

    def set_many(self, batch: dict[str, bytes], expire: int = 0) -> list[str]:
        return [key for key, value in batch.items() if not self.set(key, value, expire)]

    def get(self, key: str) -> Any:
        found = self.inner.get(self.rename(key))
        return None if found is None else self.decode(found)


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("rename", "is_known"),
    [
        pytest.param(lambda key: f"app:{key}", True, id="prefix"),
        pytest.param(lambda key: f"%{key}/v1", True, id="both ends"),
        pytest.param(hashed, False, id="hash"),
        pytest.param(lambda key: f"{zlib.crc32(key.encode())}:{key}", False, id="check sum"),
    ],
)
def test_names_of_the_clients_own_are_learned(
    nodes: list[Node], rename: Callable[[str], str], is_known: bool
) -> None:
    """A name that contains the key is found on its node, and asked for by it; a hash is hidden."""
    client = Renaming(nodes, rename)
    load = build_load(nodes, client)
    items = [Item(f"t:{i}", make(f"t:{i}", "w", 1, 100), 60, stay=i > 0) for i in range(150)]
    Prefill(load).store(items)
    assert load.accounts.hides_keys is not is_known
    assert len(load.locations) == (150 if is_known else 0)
    told = load.accounts.finish()
    assert (told["lost"], told["hides_keys"]) == ([], not is_known)
    if is_known:
        assert client.get("t:0") is None
        book = load.accounts.open_book("w")
        load.accounts.start(lambda: load.clock() - 10.0)
        for key, value in [(item.key, item.value) for item in items[1:]]:
            book.begin(key, 2)
            book.acknowledged(key, 1, value, load.clock(), 60)
        assert load.accounts.finish()["lost"] == []
    client.inner.close()


def test_values_in_a_form_of_the_clients_own_are_noticed(nodes: list[Node]) -> None:
    """Compressed, for one: whether they are there can be told, their version cannot."""
    client = Renaming(nodes, str, zlib.compress, zlib.decompress)
    load = build_load(nodes, client)
    Prefill(load).store([Item("t:1", make("t:1", "w", 1, 100), 60)])
    assert load.accounts.encodes_values
    assert set(load.locations) == {"t:1"}
    client.inner.close()


@pytest.mark.parametrize("prefix", ["", "app:"])
def test_keys_that_come_late_are_found_all_the_same(nodes: list[Node], prefix: str) -> None:
    """A client that acknowledges before it sends has a place for each, and keys go if they must."""
    client = Renaming(nodes, lambda key: prefix + key)

    def set_many(batch: dict[str, bytes], ttl: int) -> list[str]:
        gevent.spawn_later(0.2, client.set_many, batch, ttl)
        return []

    load = build_load(nodes, SimpleNamespace(set_many=set_many, get=client.get))
    Prefill(load).store([Item(f"t:{i}", b"v", 60, stay=i > 0) for i in range(250)])
    assert len(load.locations) == 250
    assert load.accounts.spelling.prefix == prefix
    assert load.accounts.finish()["lost"] == []
    assert [client.get(f"t:{i}") for i in range(2)] == [None, b"v"]
    client.inner.close()


@pytest.mark.parametrize("answer", [b"ERROR\r\n", b"OK\r\n", b""], ids=repr)
def test_a_server_that_shows_nothing_holds_nobody_up(answer: bytes) -> None:
    """It refuses its watchers, or hangs up on them: other greenlets go on meanwhile."""

    def serve(visitor: Any, _: object) -> None:
        visitor.recv(100)
        visitor.sendall(answer)

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    address = ("127.0.0.1", server.server_port)
    turns: list[int] = []
    counting = gevent.spawn(lambda: [turns.append(gevent.sleep(0.01) or 1) for _ in range(1000)])
    try:
        node = Node(name="node1", address=address, direct=address)
        assert learn_spelling([node], "t:1", lambda: gevent.sleep(0.05), limit_s=0.3) is None
        assert len(turns) >= 4
    finally:
        counting.kill()
        server.stop()


def test_a_client_that_stores_nothing_has_lost_it(nodes: list[Node]) -> None:
    """It acknowledges and has none of it: no name of its own explains that."""
    load = build_load(nodes, SimpleNamespace(set_many=lambda *_: [], get=lambda _: None))
    Prefill(load).store([Item(f"t:{i}", b"v", 60) for i in range(5)])
    assert load.accounts.finish()["lost"] == [["", -1, 5]]


def test_a_client_that_returns_another_keys_value_is_seen(nodes: list[Node]) -> None:
    client = construct(resolve("pymemcache-pooled"), [node.address for node in nodes], OPTIONS)
    honest, calls = client.get, []

    def lie(key: str) -> Any:
        calls.append(key)
        return honest(calls[-2] if len(calls) % 10 == 0 else key)

    client.get = lie
    load = build_load(nodes, client)
    load.recorder.start(load.clock())
    user = join(load, HotKeyUser)
    user.prepare()
    for _ in range(300):
        user.iterate()
    client.close()
    assert load.recorder.totals()["wrong_values"] > 5
    evidence = load.recorder.wrong.kept[0]
    assert evidence["kind"] == "other_key"
    assert evidence["node"] in {"node1", "node2", "node3"}


def test_a_key_that_was_acknowledged_and_is_nowhere_is_lost(nodes: list[Node]) -> None:
    everywhere = [
        construct(resolve("pymemcache-pooled"), [node.address], OPTIONS) for node in nodes
    ]

    def set_many(batch: dict[str, bytes], ttl: int) -> list[str]:
        for client in everywhere:
            client.set_many({key: batch[key] for key in batch if key != "t:0"}, ttl)
        return []

    load = build_load(nodes, SimpleNamespace(set_many=set_many))
    Prefill(load).store([Item(f"t:{i}", b"v", 60) for i in range(5)])
    for client in everywhere:
        client.close()
    assert "t:0" not in load.locations
    told = load.accounts.finish()
    assert told["lost"] == [["", -1, 1]]
    assert told["evidence"][0]["key"] == "t:0"


def test_a_key_on_no_node_is_where_a_ring_that_is_right_says_it_is(nodes: list[Node]) -> None:
    client = construct(resolve("pymemcache-pooled"), [node.address for node in nodes], OPTIONS)
    load = build_load(nodes, client)
    prefill = Prefill(load)

    def forget_one(batch: dict[str, bytes], ttl: int) -> Any:
        return client.set_many({key: batch[key] for key in batch if key != "t:0"}, ttl)

    prefill._client = SimpleNamespace(set_many=forget_one, node_for=client.node_for)
    prefill.store([Item(f"t:{i}", b"v", 60) for i in range(5)])
    client.close()
    by_label = {node.label: node.name for node in nodes}
    assert load.locations["t:0"] == by_label[client.node_for("t:0")]


def test_a_ring_that_says_something_else_than_it_does_is_noted(nodes: list[Node]) -> None:
    client = construct(resolve("pymemcache-pooled"), [node.address for node in nodes], OPTIONS)
    load = build_load(nodes, client)
    prefill = Prefill(load)
    prefill._client = SimpleNamespace(set_many=client.set_many, node_for=lambda _: nodes[0].label)
    prefill.store([Item(f"t:{i}", b"v", 60) for i in range(90)])
    client.close()
    (finding,) = load.recorder.findings.kept
    assert finding["kind"] == "node_for_contradicts"
    assert 30 < finding["keys"] < 90


def test_a_life_from_start_to_stop_in_a_paced_run(nodes: list[Node]) -> None:
    """Users prepare, wait for the start, keep the pace, and are killed in the end."""
    client = construct(resolve("pymemcache-hash"), [node.address for node in nodes], OPTIONS)
    load = build_load(nodes, client)
    load.recorder.paced = True
    environment = SimpleNamespace(
        events=SimpleNamespace(request=SimpleNamespace(fire=lambda **_: None)),
        memquake=None,
        catch_exceptions=False,
    )
    users = [HotKeyUser(environment) for _ in range(5)]
    greenlets = [gevent.spawn(user.run) for user in users]
    gevent.sleep(0.05)
    environment.memquake = load
    with gevent.Timeout(10):
        while load.ready_count < 5:
            gevent.sleep(0.02)
    assert (load.users["HotKeyUser"], load.problem) == (5, "")
    load.recorder.start(load.clock())
    schedule = load.schedules["HotKeyUser"] = Schedule(200.0)
    schedule.start(load.clock())
    load.go.set()
    gevent.sleep(1.0)
    load.stop()
    gevent.sleep(0.2)
    done = load.recorder.totals()["operations"]
    planned = sum(row.planned for row in schedule.drain())
    gevent.sleep(0.3)
    assert load.recorder.totals()["operations"] == done
    assert planned / 2 <= done <= planned
    assert not any(load.inside.values())
    gevent.killall(greenlets, timeout=5)
    client.close()
    assert load.user_count == 0


def test_a_node_that_cannot_be_read_directly_is_named(free_port: Callable[[], int]) -> None:
    address = ("127.0.0.1", free_port())
    with pytest.raises(LocationError, match="node7 cannot be read directly"):
        DirectNode(Node(name="node7", address=address, direct=address))


def test_a_node_that_hangs_up_is_named(nodes: list[Node]) -> None:
    with DirectNode(nodes[0]) as connection:
        connection._socket.shutdown(socket.SHUT_RDWR)
        with pytest.raises(LocationError, match="node1 cannot be read directly"):
            connection.fetch(["k"])


@pytest.mark.parametrize(
    ("options", "value_bytes", "words"),
    [
        pytest.param(
            ("-I", "512k"),
            600_000,
            "'SERVER_ERROR object too large for cache' to a value of 600,000 bytes: "
            "give a smaller --value-size",
            id="too large for -I",
        ),
        pytest.param(
            ("-M", "-m", "4"),
            200_000,
            "'SERVER_ERROR out of memory storing object' to a value of 200,000 bytes: "
            "its memory is full, and it may not evict",
            id="no room, and -M",
        ),
    ],
)
def test_a_node_that_refuses_the_prefill_is_quoted(
    memcached: Callable[..., Any], options: tuple[str, ...], value_bytes: int, words: str
) -> None:
    """The client only says that it failed; the server says why, and the line what helps."""
    server = memcached(*options)
    node = Node(name="node1", address=server.address, direct=server.address)
    client = construct(resolve("memquake"), [node.address], OPTIONS)
    prefill = Prefill(build_load([node], client), sleep=lambda _: None)
    with pytest.raises(PrefillError) as caught:
        prefill.store([Item(f"t:{i}", b"v" * value_bytes, 60) for i in range(100)])
    assert str(caught.value).startswith(f"node1 answers {words}")
    client.close()

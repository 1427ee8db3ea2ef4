"""Where keys live: golden tables against the libraries whose mapping is promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymemcache.client.hash import HashClient
from pymemcache.client.murmur3 import murmur3_32
from uhashring import HashRing

from client import ClientSettings, IllegalKey, MemcacheClient
from client.addresses import parse_address
from client.memo import Memo
from client.murmur import murmur_behind
from client.ring import MAX_WEIGHT, make_ring, point_name
from client.settings import RINGS

NODES = ("10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211", "[::1]:11212")
KEYS = [f"user:{index}:profile" for index in range(3_000)]
CONSISTENT = ("ketama", "rendezvous")

# The owners of the first 60 keys as libmemcached 1.0.16 gave them (memcached_generate_hash with
# MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, servers added with their weights).
LIBMEMCACHED = {
    "usual port": (
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        [1, 1, 1],
        "210020010222200100101110101011221012100001010000122010221210",
    ),
    "other ports": (
        ["127.0.0.1:21211", "127.0.0.1:21212", "127.0.0.1:21213"],
        [1, 1, 1],
        "201221021002220120022021000122201120200000001001220201022202",
    ),
    "weights": (
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        [1, 2, 5],
        "210220210222200222221112102222221112202200012011122222221202",
    ),
    "names and v6": (
        ["cache1", "cache2", "[::1]:11212"],
        [1, 1, 1],
        "202112010201101202121222202222110211010220111012200001011102",
    ),
    "unix sockets": (
        ["10.0.0.1", "10.0.0.2:11212", "[::1]:11213", "/tmp/a.sock", "/tmp/b", "cache.local"],
        [1] * 6,
        "1332411222204325252224513345342550141533",
    ),
    "25 nodes, 39 digests each": (
        [f"10.0.0.{index}" for index in range(25)],
        [1] * 25,
        "xnrxplvckgumiplmfhlfccixtjhegokywppdlfwqjakcamrflldsckglhpjb",
    ),
}


@pytest.mark.parametrize(
    ("nodes", "weights", "table"), LIBMEMCACHED.values(), ids=LIBMEMCACHED.keys()
)
def test_ketama_maps_as_libmemcached_does(nodes: list[str], weights: list[int], table: str) -> None:
    """A fleet of libmemcached's clients (PHP, pylibmc, ...) finds its keys where they were."""
    names = [point_name("ketama", parse_address(node)) for node in nodes]
    ring = make_ring("ketama", names, dict(zip(names, weights, strict=True)))
    letters = "0123456789" if table.isdigit() else "abcdefghijklmnopqrstuvwxyz"
    owners = [letters[names.index(ring.look_up(key.encode()))] for key in KEYS[: len(table)]]
    assert "".join(owners) == table


@pytest.mark.parametrize(
    "weights", [(1, 1, 1, 1), (2, 2, 2, 2), (1, 2, 3, 4), (7, 1, 1, 9)], ids=str
)
def test_ketama_maps_as_uhashring_does(weights: Sequence[int]) -> None:
    """Points, hash, wrap-around and weights are those of uhashring as well."""
    weighed = dict(zip(NODES, weights, strict=True))
    theirs = HashRing(weighed, hash_fn="ketama")
    ours = make_ring("ketama", NODES, weighed)
    assert [ours.look_up(key.encode()) for key in KEYS] == [theirs.get_node(key) for key in KEYS]
    for key in KEYS[:300]:
        assert list(ours.order(key.encode())) == list(theirs.iterate_nodes(key))


SERVERS = [("10.0.0.1", 11211), ("10.0.0.2", 11212), ("::1", 11212), "unix:/tmp/memcached.sock"]


def test_rendezvous_maps_as_pymemcache_does() -> None:
    """A fleet that used pymemcache's HashClient finds its keys where they were."""
    theirs = HashClient(SERVERS)
    names = [point_name("rendezvous", parse_address(server)) for server in SERVERS]
    assert names == list(theirs.clients)
    ours = make_ring("rendezvous", names)
    for key in KEYS:
        assert ours.look_up(key.encode()) == theirs.hasher.get_node(key)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.binary(max_size=40))
def test_murmur_is_pymemcaches(prefixes: list[bytes], text: bytes) -> None:
    """Wherever a prefix ends within a block, the hash is that of prefix and text in one."""
    whole = [(prefix + text).decode("latin-1") for prefix in prefixes]
    assert murmur_behind(prefixes)(text) == [murmur3_32(each) for each in whole]


GOLDEN = {  # the node of each of the first 30 keys
    "ketama": "221002101121121111121120001200",
    "rendezvous": "201120122220222212020102122202",
    "jump": "111102112022011200121020212202",
    "modulo": "020012220222211211222102010012",
}


@pytest.mark.parametrize("kind", RINGS)
def test_golden(kind: str) -> None:
    """The mapping is a promise over releases: a change moves every user's keys."""
    ring = make_ring(kind, NODES[:3])
    found = "".join(str(NODES.index(ring.look_up(key.encode()))) for key in KEYS[:30])
    assert found == GOLDEN[kind]


WEIGHED_GOLDEN = {  # the same with weights 1, 2 and 5
    "ketama": "222222202221222211221120202200",
    "rendezvous": "211122122220222222020222122212",
    "jump": "212122222011222200212222112221",
    "modulo": "022222110202222211022022221120",
}


@pytest.mark.parametrize("kind", RINGS)
def test_golden_with_weights(kind: str) -> None:
    """Weights are part of the promise, and of a ring's share: more weight, more keys."""
    ring = make_ring(kind, NODES[:3], dict(zip(NODES, (1, 2, 5), strict=False)))
    owners = [ring.look_up(key.encode()) for key in KEYS]
    assert "".join(str(NODES.index(owner)) for owner in owners[:30]) == WEIGHED_GOLDEN[kind]
    counts = Counter(owners)
    for node, weight in zip(NODES, (1, 2, 5), strict=False):
        assert 0.7 < counts[node] / (len(KEYS) * weight / 8) < 1.3


@pytest.mark.parametrize("kind", RINGS)
def test_spreads_evenly(kind: str) -> None:
    """No node has more than twice its share, nor of what it takes over from a lost one."""
    ring = make_ring(kind, NODES)
    firsts, seconds = Counter[str](), Counter[str]()
    for key in KEYS:
        first, second, *_ = ring.order(key.encode())
        firsts[first] += 1
        if first == NODES[1]:
            seconds[second] += 1
    assert set(firsts) == set(NODES)
    assert max(firsts.values()) < 2 * len(KEYS) / len(NODES)
    assert set(seconds) == set(NODES) - {NODES[1]}
    assert max(seconds.values()) < 2 * firsts[NODES[1]] / (len(NODES) - 1)


@pytest.mark.parametrize("kind", ["ketama", "rendezvous", "jump"])
def test_one_node_more_moves_only_its_share(kind: str) -> None:
    """Keys move to the new node or not at all."""
    before, after = make_ring(kind, NODES[:3]), make_ring(kind, NODES)
    moved = [key for key in KEYS if before.look_up(key.encode()) != after.look_up(key.encode())]
    assert {after.look_up(key.encode()) for key in moved} == {NODES[3]}
    assert len(moved) < 2 * len(KEYS) / len(NODES)


keys = st.binary(min_size=1, max_size=250)
weights = st.lists(st.integers(1, 9), min_size=2, max_size=8)


@given(keys, weights, st.sampled_from(RINGS))
def test_every_key_has_a_node_and_an_order(key: bytes, given: list[int], kind: str) -> None:
    """Any bytes map, always alike, and the order is every node that can own keys, each once."""
    weighed = {f"node{index}:1": weight for index, weight in enumerate(given)}
    ring = make_ring(kind, list(weighed), weighed)
    order = list(ring.order(key))
    assert order[0] == ring.look_up(key) == make_ring(kind, list(weighed), weighed).look_up(key)
    assert len(set(order)) == len(order)
    if kind != "ketama" or max(given) < 20 * min(given):
        assert set(order) == set(weighed)


@given(st.sets(st.integers(1, 24), min_size=2), st.data(), st.sampled_from(CONSISTENT))
def test_a_lost_node_moves_only_its_own_keys(
    indexes: set[int], data: st.DataObject, kind: str
) -> None:
    """Removing a node, or adding it, moves its keys alone, each to the next in its order."""
    names = [f"10.0.0.{index}:11212" for index in sorted(indexes)]
    gone = data.draw(st.sampled_from(names))
    with_it = make_ring(kind, names)
    without = make_ring(kind, [name for name in names if name != gone])
    for key in KEYS[:200]:
        order = list(with_it.order(key.encode()))
        order.remove(gone)
        assert list(without.order(key.encode())) == order
        assert without.look_up(key.encode()) == order[0]


@given(weights, st.integers(1, 9), st.data())
def test_a_changed_weight_moves_keys_from_or_to_that_node(
    given: list[int], changed: int, data: st.DataObject
) -> None:
    """With weighted rendezvous nobody else's keys move; equal weights are no weights."""
    weighed = {f"node{index}:1": weight for index, weight in enumerate(given)}
    node = data.draw(st.sampled_from(list(weighed)))
    before = make_ring("rendezvous", list(weighed), weighed)
    after = make_ring("rendezvous", list(weighed), {**weighed, node: changed})
    plain, equal = (
        make_ring("rendezvous", list(weighed), dict.fromkeys(weighed, w)) for w in (1, changed)
    )
    for key in KEYS[:200]:
        owners = {ring.look_up(key.encode()) for ring in (before, after)}
        assert len(owners) == 1 or node in owners
        assert plain.look_up(key.encode()) == equal.look_up(key.encode())


REFUSED_RINGS = {
    "no node": ([], {}, "at least one node"),
    "a node twice": (["a", "a"], {}, "given twice"),
    "weight 0": (["a", "b"], {"b": 0}, "weight of node b"),
    "half a weight": (["a"], {"a": 0.5}, "whole number"),
    "a truth": (["a"], {"a": True}, "whole number"),
    "too heavy": (["a"], {"a": MAX_WEIGHT + 1}, "from 1 to 1000"),
}


@pytest.mark.parametrize(
    ("names", "given", "line"), REFUSED_RINGS.values(), ids=REFUSED_RINGS.keys()
)
@pytest.mark.parametrize("kind", RINGS)
def test_rings_that_make_no_sense(kind: str, names: list[str], given: object, line: str) -> None:
    """What cannot be a ring is refused in one line that names it."""
    with pytest.raises(ValueError, match=line):
        make_ring(kind, names, given)  # type: ignore[arg-type]  # the wrong types are the point


def test_text_and_bytes_are_one_key() -> None:
    """'k' and b'k' live on one node; what is no key is refused before anything is sent."""
    client = MemcacheClient([("127.0.0.1", 1), ("127.0.0.1", 2), ("::1", 3)])
    assert [client.node_for(key) for key in KEYS] == [client.node_for(k.encode()) for k in KEYS]
    assert set(map(client.node_for, KEYS)) == {"127.0.0.1:1", "127.0.0.1:2", "[::1]:3"}
    for key in ("", "a b", "a" * 251, "\u00e9", "a\x00", "a\r\nget b", 7, None):
        with pytest.raises(IllegalKey) as refusal:
            client.get(key)  # type: ignore[arg-type]  # the wrong types are the point
        assert "a" * 251 not in str(refusal.value)
    assert all(node["requests"] == 0 for node in client.snapshot().values())


def test_memo_is_bounded_and_keeps_what_is_in_use() -> None:
    """However many keys there are, at most `limit` answers are kept."""
    computed: Counter[int] = Counter()

    def compute(key: int) -> int:
        computed[key] += 1
        return key * 2

    memo = Memo(compute, limit=10)
    for key in range(100):
        assert memo[key] == key * 2
        assert memo[0] == 0
        assert len(memo) + len(memo._older) <= 10
    assert computed[0] == 1
    assert computed[50] == 1


def test_node_lists_that_make_no_sense() -> None:
    """No node, or one twice, is refused in a line that says what to do."""
    with pytest.raises(ValueError, match="at least one node"):
        MemcacheClient([])
    with pytest.raises(ValueError, match="given twice"):
        MemcacheClient([("a", 1), ("a", 1)], ClientSettings())

"""Where keys live: golden tables against the libraries whose mapping is promised."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymemcache.client.rendezvous import RendezvousHash
from uhashring import HashRing

from client import ClientSettings, IllegalKey, MemcacheClient
from client.ring import Memo, make_ring
from client.settings import RINGS

NODES = ("10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211", "[::1]:11212")
KEYS = [f"user:{index}:profile" for index in range(3_000)]


def test_ketama_maps_as_uhashring_does() -> None:
    """Points, hash and wrap-around are those of libmemcached's weighted ketama."""
    theirs = HashRing(list(NODES), hash_fn="ketama")
    ours = make_ring("ketama", NODES)
    assert [ours(key.encode()) for key in KEYS] == [theirs.get_node(key) for key in KEYS]


def test_rendezvous_maps_as_pymemcache_does() -> None:
    """A fleet that used pymemcache's HashClient finds its keys where they were."""
    theirs = RendezvousHash(list(NODES))
    ours = make_ring("rendezvous", NODES)
    assert [ours(key.encode()) for key in KEYS] == [theirs.get_node(key) for key in KEYS]


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
    found = "".join(str(NODES.index(ring(key.encode()))) for key in KEYS[:30])
    assert found == GOLDEN[kind]


@pytest.mark.parametrize("kind", RINGS)
def test_spreads_evenly(kind: str) -> None:
    """No node has more than twice its share."""
    ring = make_ring(kind, NODES)
    counts = Counter(ring(key.encode()) for key in KEYS)
    assert set(counts) == set(NODES)
    assert max(counts.values()) < 2 * len(KEYS) / len(NODES)


@pytest.mark.parametrize("kind", ["ketama", "rendezvous", "jump"])
def test_one_node_more_moves_only_its_share(kind: str) -> None:
    """Keys move to the new node or not at all."""
    before, after = make_ring(kind, NODES[:3]), make_ring(kind, NODES)
    moved = [key for key in KEYS if before(key.encode()) != after(key.encode())]
    assert {after(key.encode()) for key in moved} == {NODES[3]}
    assert len(moved) < 2 * len(KEYS) / len(NODES)


@given(st.binary(min_size=1, max_size=250), st.sampled_from(RINGS))
def test_every_key_has_a_node(key: bytes, kind: str) -> None:
    """Any bytes map, and always to the same node."""
    assert make_ring(kind, NODES)(key) == make_ring(kind, NODES)(key) in NODES


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

"""Nodes that come and go: whose keys move, what a removed node still does, what is refused."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import BreakerOpen, ClientClosed, ClientSettings, IllegalKey, MemcacheClient
from client.addresses import NodeAddress
from client.failover import Detour
from client.routing import Router
from client.settings import GUTTER_TTL_MAX_S, RINGS

KEYS = [f"user:{index}:profile" for index in range(300)]
ADDRESSES = [("10.0.0.1", 11211), "10.0.0.2:11212", "[::1]:11212", "/tmp/memcached.sock"]
LABELS = ["10.0.0.1:11211", "10.0.0.2:11212", "[::1]:11212", "unix:/tmp/memcached.sock"]


class Named:
    """A node that is no more than its name."""

    def __init__(self, address: NodeAddress) -> None:
        self.label = address.label
        self.address = address


def router(nodes: Any = ADDRESSES, **settings: Any) -> Router:
    return Router(nodes, ClientSettings(**settings), Named)  # type: ignore[arg-type]


def owners(one: Router) -> dict[str, str]:
    return {key: one.homes[key][0].label for key in KEYS}


@pytest.mark.parametrize("kind", RINGS)
def test_without_failover_a_target_is_the_node_itself(kind: str) -> None:
    """Nothing stands between, nothing is computed twice, and text and bytes are one key."""
    one = router(ring=kind)
    assert one.routes is one.homes
    for key in KEYS:
        target, wire = one.routes[key]
        assert target is one.nodes[target.label]
        assert wire == key.encode()
        assert one.routes[wire] == (target, wire)
        assert one.fallbacks(wire, target.label) == ()
    with pytest.raises(IllegalKey):
        one.routes["a b"]


@pytest.mark.parametrize("kind", RINGS)
@pytest.mark.parametrize("attempts", [1, 2, 9])
def test_rehash_turns_to_distinct_others_within_its_bound(kind: str, attempts: int) -> None:
    """A key's own node is asked first; nodes in the same order share one detour."""
    one = router(ring=kind, failover="rehash", failover_attempts=attempts)
    detours: set[int] = set()
    for key in KEYS:
        target, wire = one.routes[key]
        assert isinstance(target, Detour)
        chain = [target.primary, *target.others]
        assert len({node.label for node in chain}) == len(chain) == 1 + min(attempts, 3)
        assert target.primary is one.homes[key][0]
        assert one.fallbacks(wire, target.label) == tuple(target.others)
        detours.add(id(target))
    assert len(detours) <= 24  # 4 nodes have no more orders


def test_gutter_has_a_ring_of_its_own() -> None:
    """Keys turn to gutter nodes alone, spread over them; the bound holds there too."""
    gutters = [("10.9.0.1", 11211), ("10.9.0.2", 11211), ("10.9.0.3", 11211)]
    one = router(failover="gutter", gutter_nodes=gutters, failover_attempts=2)
    assert list(one.gutters) == [f"10.9.0.{index}:11211" for index in (1, 2, 3)]
    assert list(one.everyone) == LABELS + list(one.gutters)
    firsts = set()
    for key in KEYS:
        target, wire = one.routes[key]
        assert target.primary is one.homes[key][0]
        assert len({node.label for node in target.others} & one.gutters.keys()) == 2
        assert one.fallbacks(wire, target.label) == tuple(target.others)
        firsts.add(target.others[0].label)
    assert firsts == one.gutters.keys()


def test_only_a_gutter_keeps_things_for_a_while() -> None:
    """Rehash stores for as long as was asked."""
    request = b"set k 0 0 1\r\nv\r\n"
    assert router(failover="rehash").reword(request) == request
    one = router(failover="gutter", gutter_nodes=["g:1"], gutter_ttl_s=7)
    assert one.reword(request) == b"set k 0 7 1\r\nv\r\n"


@given(st.data(), st.sampled_from(["ketama", "rendezvous"]), st.sampled_from(["fail", "rehash"]))
def test_a_removed_node_moves_its_own_keys_alone(
    data: st.DataObject, kind: str, failover: str
) -> None:
    """And in any order of changes, a node that is back has the keys it had."""
    one = router(ring=kind, failover=failover)
    before = owners(one)
    for _ in range(data.draw(st.integers(1, 3))):
        out = data.draw(st.sampled_from(sorted(one.nodes)))
        held = owners(one)
        one.remove_node(out)
        now = owners(one)
        assert {key for key in KEYS if held[key] != now[key]} == {
            key for key in KEYS if held[key] == out
        }
    for label in sorted(
        set(LABELS) - one.nodes.keys(), key=data.draw(st.permutations(LABELS)).index
    ):
        held = owners(one)
        one.add_node(label)
        now = owners(one)
        assert {now[key] for key in KEYS if held[key] != now[key]} <= {label}
    assert owners(one) == before


def test_a_change_replaces_the_memo_in_one_step() -> None:
    """Who holds the old routes still ends on the old node; nobody gets a mixture."""
    one = router(failover="rehash")
    key = next(key for key in KEYS if owners(one)[key] == LABELS[1])
    before = one.routes
    target, wire = before[key]
    removed = one.remove_node(ADDRESSES[1])
    assert target.primary is removed
    assert before[key] == (target, wire)
    assert one.routes is not before
    after, _ = one.routes[key]
    assert removed not in (after.primary, *after.others)
    assert after.primary is target.others[0]
    assert removed.label not in one.everyone


def test_weights_are_by_label_and_come_and_go_with_the_node() -> None:
    """A node of weight 5 among three of 1 owns about five eighths."""
    one = router(weights={"10.0.0.2:11212": 5})
    heavy = list(owners(one).values()).count("10.0.0.2:11212") / len(KEYS)
    assert 0.4 < heavy < 0.85
    before = owners(one)
    one.remove_node("10.0.0.2:11212")
    one.add_node("10.0.0.2:11212")
    assert list(owners(one).values()).count("10.0.0.2:11212") / len(KEYS) < 0.4
    one.remove_node("10.0.0.2:11212")
    one.add_node("10.0.0.2:11212", weight=5)
    assert owners(one) == before


REFUSED = {
    "a node twice": ({"nodes": ["a:1", ("a", 1)]}, "a:1 is given twice"),
    "no node": ({"nodes": []}, "at least one node"),
    "a gutter node twice": (
        {"failover": "gutter", "gutter_nodes": ["g:1", "g:1"]},
        "g:1 is given twice",
    ),
    "a gutter that is a node": (
        {"failover": "gutter", "gutter_nodes": ["10.0.0.2:11212"]},
        "10.0.0.2:11212 is a gutter node too",
    ),
    "gutter without nodes": ({"failover": "gutter"}, "needs gutter_nodes"),
    "nodes without gutter": ({"gutter_nodes": ["g:1"]}, "set it to 'gutter'"),
    "no address": ({"failover": "gutter", "gutter_nodes": ["g:x"]}, "whole number as port"),
    "no attempts": ({"failover": "rehash", "failover_attempts": 0}, "failover_attempts"),
    "no time": ({"failover": "gutter", "gutter_nodes": ["g:1"], "gutter_ttl_s": 0}, "gutter_ttl_s"),
    "too long": ({"gutter_ttl_s": GUTTER_TTL_MAX_S + 1}, "a day"),
    "weight of nobody": ({"weights": {"nobody:1": 2}}, "nobody:1, which is not among"),
    "no weight": ({"weights": {"10.0.0.2:11212": 0}}, "weight of node 10.0.0.2:11212"),
}


@pytest.mark.parametrize(("settings", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_make_no_sense(settings: dict[str, Any], line: str) -> None:
    """Each is refused in one line that names it."""
    with pytest.raises(ValueError, match=line) as refusal:
        router(**settings)
    assert "\n" not in str(refusal.value)


def test_changes_that_make_no_sense() -> None:
    """What is refused has changed nothing."""
    one = router(ADDRESSES[:2])
    before = owners(one)
    for change, line in (
        (lambda: one.add_node(ADDRESSES[0]), "is there already"),
        (lambda: one.add_node("a b:1"), "names no host"),
        (lambda: one.add_node("c:1", weight=0), "weight of node c:1"),
        (lambda: one.remove_node("c:1"), "not among 10.0.0.1:11211, 10.0.0.2:11212"),
    ):
        with pytest.raises(ValueError, match=line):
            change()
    assert owners(one) == before
    one.remove_node(ADDRESSES[0])
    with pytest.raises(ValueError, match="the last one"):
        one.remove_node(ADDRESSES[1])
    assert set(owners(one).values()) == {LABELS[1]}


def test_the_client_follows_its_router() -> None:
    """Calls, snapshot and repr know the nodes of the moment; guard and listeners too."""
    seen: list[str] = []
    listener = SimpleNamespace(
        state_change=lambda breaker, *_: seen.append(breaker.name),
        before_call=None, success=None, failure=None,
    )  # fmt: skip
    client = MemcacheClient(["a:1", "b:1"], ClientSettings(guard_share=0.5))
    client.add_listener(listener)
    client.add_node("c:1")
    assert list(client.snapshot()) == ["a:1", "b:1", "c:1"]
    assert set(map(client.node_for, KEYS)) == {"a:1", "b:1", "c:1"}
    client._nodes["c:1"].breaker.open()
    client._nodes["c:1"].breaker.deliver()
    assert seen == ["c:1"]
    with pytest.raises(BreakerOpen):
        client.get(next(key for key in KEYS if client.node_for(key) == "c:1"))
    guard = client._guard
    assert guard is not None
    assert (guard.members, guard.out) == (3, 1)
    client.remove_node("c:1")
    assert (guard.members, guard.out) == (2, 0)
    assert list(client.snapshot()) == ["a:1", "b:1"]
    assert set(map(client.node_for, KEYS)) == {"a:1", "b:1"}
    assert "c:1" not in repr(client)
    client.close()


def test_every_node_is_closed_with_the_client() -> None:
    """Those of a gutter and those that came later as well."""
    client = MemcacheClient(["a:1"], ClientSettings(failover="gutter", gutter_nodes=["g:1"]))
    client.add_node("b:1")
    nodes = client._nodes
    assert list(nodes) == ["a:1", "b:1", "g:1"] == list(client.snapshot())
    assert "g:1" in repr(client)
    client.close()
    for node in nodes.values():
        with pytest.raises(ClientClosed):
            node.call(b"mn\r\n", None, None)  # type: ignore[arg-type]  # never gets there
    with pytest.raises(ClientClosed):
        client.get("k")


def test_changes_from_many_threads_end_in_one_state() -> None:
    """Whoever is last, the client uses the router's newest routes."""
    client = MemcacheClient(["a:1"])
    begin = threading.Barrier(6)

    def change(index: int) -> None:
        begin.wait(5)
        for _ in range(20):
            client.add_node(f"n{index}:1")
            client.remove_node(f"n{index}:1")
        client.add_node(f"n{index}:1")

    threads = [threading.Thread(target=change, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(client.snapshot()) == {"a:1", *(f"n{index}:1" for index in range(6))}
    assert client._routes is client._router.routes
    assert client._homes is client._router.homes
    assert set(map(client.node_for, KEYS)) == set(client.snapshot())
    client.close()

"""A service that changes its constructor: which ring finds its keys, and which names it has.

Held against the other clients themselves, on real servers; docs/clients.md says the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient

from client import ClientSettings, MemcacheClient
from memquake.paths import DOCS

PAGE = DOCS / "clients.md"
KEYS = [f"user:{index}:profile" for index in range(300)]
PATIENT_S = 5.0
Store = Callable[[list[tuple[str, int]]], None]


@pytest.fixture
def nodes(memcached: Callable[..., Any]) -> list[tuple[str, int]]:
    return [memcached().address for _ in range(3)]


def by_hash_client(nodes: list[tuple[str, int]]) -> None:
    with closing(HashClient(nodes, default_noreply=False, timeout=PATIENT_S)) as theirs:
        assert theirs.set_many(dict.fromkeys(KEYS, b"v")) == []


def by_pylibmc(**behaviors: bool) -> Store:
    def store(nodes: list[tuple[str, int]]) -> None:
        pylibmc = importlib.import_module("pylibmc")
        theirs = pylibmc.Client([f"{host}:{port}" for host, port in nodes], behaviors=behaviors)
        assert theirs.set_multi(dict.fromkeys(KEYS, b"v")) == []
        theirs.disconnect_all()

    return store


# Where there is no wheel of it, unit/client/test_ring_tables.py has libmemcached's own table.
HAS_PYLIBMC = importlib.util.find_spec("pylibmc") is not None
LIBMEMCACHED = [
    pytest.param(by_pylibmc(ketama_weighted=True), "ketama", True, id="pylibmc weighted"),
    pytest.param(by_pylibmc(ketama_weighted=True), "rendezvous", False, id="and rendezvous"),
    pytest.param(by_pylibmc(ketama=True), "ketama", False, id="pylibmc unweighted"),
    pytest.param(by_pylibmc(), "ketama", False, id="pylibmc as it comes"),
]


@pytest.mark.parametrize(
    ("store", "ring", "finds_all"),
    [
        pytest.param(by_hash_client, "rendezvous", True, id="HashClient, rendezvous"),
        pytest.param(by_hash_client, "ketama", False, id="HashClient, the default"),
        *(LIBMEMCACHED if HAS_PYLIBMC else []),
    ],
)
def test_which_ring_finds_the_keys(
    nodes: list[tuple[str, int]], store: Store, ring: str, finds_all: bool
) -> None:
    store(nodes)
    settings = ClientSettings(op_timeout=PATIENT_S, ring=ring)
    with MemcacheClient(nodes, settings) as ours:
        found = len(ours.get_many(KEYS))
    if finds_all:
        assert found == len(KEYS)
    else:
        assert len(KEYS) / 6 < found < len(KEYS) / 2  # about a third, by chance


def test_the_default_ring_is_the_one_that_the_page_speaks_of() -> None:
    assert ClientSettings().ring == "ketama"


def test_names_of_pymemcache_are_here_or_on_the_page() -> None:
    """Every public name of its clients, and what stands in for [], is one or the other."""
    theirs = {
        name
        for kind in (Client, PooledClient, HashClient)
        for name in dir(kind)
        if not name.startswith("_") or name in ("__getitem__", "__setitem__", "__delitem__")
    }
    absent = {name for name in theirs if not hasattr(MemcacheClient, name)}
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("| pymemcache | here |") :]
    first = " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))
    told = set(re.findall(r"`(\w+)`", first))
    assert absent - told == {"__getitem__", "__setitem__", "__delitem__"}
    assert "`cache[key]`, `cache[key] = value`, `del cache[key]`" in first
    differs = {"delete_many", "delete_multi"}  # they are there, and give more
    assert {name for name in told - differs if hasattr(MemcacheClient, name)} == set()
    for name in ("add_node", "remove_node", "close", "gets_many"):
        assert callable(getattr(MemcacheClient, name))

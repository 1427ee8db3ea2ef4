"""What of a request may go to another node, and how a gutter's expiry is put into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import commands, meta
from client.failover_rules import RELATIVE_MAX_S, Manner, capped, manner_of, needs_meta
from client.meta_answers import deleted, item, number, stored

NOW = 1_800_000_000.0
MOVES, STAYS, FORGETS = Manner.MOVES, Manner.STAYS, Manner.FORGETS


def _store(mode: bytes, *, cas: bytes | None = None) -> bytes:
    return meta.store(mode, b"k", b"v", expire=0, flags=0, answer=stored, cas=cas).data


MANNERS = {
    "get": (b"get k\r\n", MOVES),
    "get and touch": (commands.get_and_touch(b"gat", b"k", 9), MOVES),
    "set": (commands.storage(b"set", b"k", b"v", 0, 0), MOVES),
    "add": (commands.storage(b"add", b"k", b"v", 0, 0), MOVES),
    "replace": (commands.storage(b"replace", b"k", b"v", 0, 0), MOVES),
    "append": (commands.storage(b"append", b"k", b"v", 0, 0), MOVES),
    "prepend": (commands.storage(b"prepend", b"k", b"v", 0, 0), MOVES),
    "touch": (commands.touching(b"k", 9), MOVES),
    "meta get": (meta.fetch(b"k", b"v f", item).data, MOVES),
    "meta get and touch": (meta.fetch(b"k", b"v f t T9", item).data, MOVES),
    "meta set": (_store(b"S"), MOVES),
    "meta add": (_store(b"E"), MOVES),
    "meta no-op": (b"mn\r\n", MOVES),
    "delete": (b"delete k\r\n", FORGETS),
    "meta delete": (meta.delete(b"k", None, deleted).data, FORGETS),
    "meta mark as stale": (meta.delete(b"k", 9, deleted).data, FORGETS),
    "gets": (b"gets k\r\n", STAYS),
    "gats": (commands.get_and_touch(b"gats", b"k", 9), STAYS),
    "cas": (commands.compare_and_swap(b"k", b"v", b"7", 0, 0), STAYS),
    "incr": (commands.counting(b"incr", b"k", 1), STAYS),
    "decr": (commands.counting(b"decr", b"k", 1), STAYS),
    "meta get with token": (meta.fetch(b"k", meta.ITEM, item).data, STAYS),
    "lease": (meta.fetch(b"k", meta.leasing(5, None), item).data, STAYS),
    "lease with renewal": (meta.fetch(b"k", b"v R5", item).data, STAYS),
    "meta cas": (_store(b"S", cas=b"7"), STAYS),
    "meta counter": (meta.count(b"I", b"k", 1, number).data, STAYS),
    "flush": (b"flush_all 0\r\n", STAYS),
    "unknown": (b"sing k\r\n", STAYS),
    "nothing": (b"\r\n", STAYS),
    "no request": (b"", MOVES),
}


@pytest.mark.parametrize(("request_", "manner"), MANNERS.values(), ids=MANNERS.keys())
def test_manner_of_every_request(request_: bytes, manner: Manner) -> None:
    """Reads, writes and touches move, tokens and counters stay, deletes do both."""
    assert manner_of(request_) is manner
    assert needs_meta(request_) == request_.startswith((b"mg", b"ms", b"md", b"ma"))


def test_a_key_that_looks_like_a_flag_changes_nothing() -> None:
    """Only what stands where flags stand counts; keys and values may look like anything."""
    assert manner_of(meta.fetch(b"c", b"v", item).data) is MOVES
    tricky = meta.store(b"S", b"C7", b"x C7\r\ncas", expire=0, flags=0, answer=stored)
    assert manner_of(tricky.data) is MOVES
    assert manner_of(commands.storage(b"set", b"incr", b"cas", 0, 0)) is MOVES


CAPS = {
    "for ever": (0, 10),
    "shorter": (3, 3),
    "longer": (3600, 10),
    "a month": (RELATIVE_MAX_S, 10),
    "at once": (-1, -1),
    "absolute and far": (int(NOW) + 3600, 10),
    "absolute and near": (int(NOW) + 3, 3),
    "absolute and over": (int(NOW) - 3, int(NOW) - 3),
}


@pytest.mark.parametrize(("expire", "kept"), CAPS.values(), ids=CAPS.keys())
def test_expiry_is_capped_in_every_command(expire: int, kept: int) -> None:
    """Never longer than the cap, never longer than asked; the rest is sent as it was."""

    def texts(at: int) -> list[bytes]:
        stores = (b"set", b"add", b"replace")
        return [
            *(commands.storage(verb, b"k", b"v 0 0 0\r\n", at, 5) for verb in stores),
            commands.touching(b"k", at),
            commands.get_and_touch(b"gat", b"k", at),
        ]

    assert [capped(each, 10, NOW) for each in texts(expire)] == texts(kept)
    for build in (
        lambda at: b"ms T0 3 T%d F0 MS O1\r\nT0\r\n\r\n" % at,
        lambda at: b"mg k v T%d O1\r\n" % at,
        lambda at: b"md k I T%d O1\r\n" % at,
    ):
        assert capped(build(expire), 10, NOW) == build(kept)


def test_what_has_no_expiry_is_left_alone_or_given_one() -> None:
    """A read stays as it is; a meta store without a time is one for ever."""
    for request in (b"get k\r\n", b"delete k\r\n", b"mg k v O1\r\n", b"md k O1\r\n", b"mn\r\n"):
        assert capped(request, 10, NOW) == request
    assert capped(b"ms k 1 MS\r\nv\r\n", 10, NOW) == b"ms k 1 MS T10\r\nv\r\n"


@given(st.binary(max_size=60), st.integers(-5, 2**31 - 1), st.integers(1, 86_400))
def test_the_value_is_never_touched(value: bytes, expire: int, cap_s: int) -> None:
    """Whatever a value holds, line ends too, only the expiry of the first line changes."""
    before = commands.storage(b"set", b"k", value, expire, 0)
    after = capped(before, cap_s, NOW)
    assert after.partition(b"\r\n")[2] == before.partition(b"\r\n")[2]
    kept = int(after.split(b" ", 4)[3])
    ends = NOW + kept if 0 < kept <= RELATIVE_MAX_S else kept
    assert kept < 0 or (kept == expire and ends <= NOW) or ends <= NOW + cap_s

"""What the servers show of keys that a client has moved: copies, counters, writes elsewhere."""

from __future__ import annotations

import pytest

from tests.unit.users.ledger_lab import SIZE, START_S, Lab
from users.bounds import Bounds
from users.steady import LONG_TTL_S
from users.values import make


@pytest.fixture
def lab() -> Lab:
    """Give the writer and the servers."""
    return Lab()


def test_a_read_of_what_a_left_out_node_still_holds_is_told_apart(lab: Lab) -> None:
    """Two nodes hold two versions: keys have moved, and the older one was read from one of them."""
    lab.writes(2)
    lab.holds(2, on="node3")
    lab.reads(1)
    lab.asks(0.5)
    report = lab.report()
    assert (report["stale"], report["left_over"]) == (0, [["node1", 10, 1]])
    assert sum(n for *_, n in report["moved"]) >= 1
    (evidence,) = report["evidence"]
    assert (evidence["newer_on"], evidence["held_by"]) == ("node3", "node1")


def test_a_read_that_no_other_node_holds_is_stale_wherever_keys_are(lab: Lab) -> None:
    """A client that remembers what it has read serves what no server has."""
    lab.holds(None)
    lab.writes(2)
    lab.holds(2, on="node3")
    lab.reads(1)
    lab.asks(0.5)
    report = lab.report()
    assert (report["stale"], report["left_over"]) == (1, [])


def test_stale_reads_of_keys_that_are_written_meanwhile_are_unsure(lab: Lab) -> None:
    """Nobody holds the keys of other users still: a copy may be gone by the time one looks."""
    del lab.accounts.keys["k"]
    lab.writes(2)
    lab.holds(2)
    lab.reads(1)
    lab.asks(0.5)
    report = lab.report()
    assert (report["stale"], report["stale_unsure"]) == (0, [["node1", 10, 1]])


def test_a_stale_read_that_was_written_over_since_is_none(lab: Lab) -> None:
    """The copy that was read may be what was written over."""
    lab.writes(2)
    lab.holds(2)
    lab.holds(3, on="node3")
    lab.reads(1)
    lab.asks(0.5)
    assert lab.report()["stale"] == 0


def test_a_delete_after_which_a_node_still_holds_the_key_says_nothing_of_moves(lab: Lab) -> None:
    """One that was acknowledged and not done looks the same: a write elsewhere has to be seen."""
    lab.book.begin_delete("k")
    lab.book.deleted("k", 2, lab.now)
    lab.reads(1)
    lab.asks()
    report = lab.report()
    assert (report["left_over"], report["moved"]) == ([["node1", 10, 1]], [])


def test_while_its_node_is_out_a_key_is_looked_for_on_the_others(lab: Lab) -> None:
    """A write that moved is seen at once, not when its own node is back."""
    lab.servers.out.add("node1")
    lab.writes(2)
    lab.holds(2, on="node3")
    lab.asks(0.5)
    assert not lab.accounts.held
    report = lab.report()
    assert (report["moved"], report["lost"]) == ([["node1", 10, 1]], [])


def test_versions_are_read_in_a_form_that_puts_something_before_them(lab: Lab) -> None:
    """A pickle of bytes holds them as they are: a copy elsewhere tells where keys have been."""
    lab.accounts.encodes_values = True
    for node, version in (("node1", 1), ("node3", 2)):
        lab.servers.data[node]["k"] = b"\x80\x05" + make("k", "w0.1", version, SIZE) + b"."
    lab.writes(2)
    lab.asks(0.5)
    assert lab.report()["moved"] == [["node1", 10, 1]]


@pytest.mark.parametrize(("on", "stored"), [("node3", 1), ("node1", 0)])
def test_an_add_on_another_node_stores_over_nothing(lab: Lab, on: str, stored: int) -> None:
    """An acknowledged add of what is there is held against the servers."""
    lab.book.begin("k", 2)
    lab.book.acknowledged("k", 2, make("k", "w0.1", 2, SIZE), lab.now, LONG_TTL_S)
    lab.accounts.added(lab.book, "k")
    lab.holds(2, on=on)
    lab.asks(0.5)
    assert lab.accounts.adds_stored["k"] == 1 - stored


@pytest.mark.parametrize(
    ("stored", "older", "wrong"),
    [
        ({"node1": b"5", "node3": b"1000002"}, 0, 0),
        ({"node1": b"5", "node3": b"1000003"}, 0, 1),
        ({"node1": b"5"}, 1, 0),
        ({}, 0, 0),
    ],
    ids=["both", "both, doubled", "the older one", "gone"],
)
def test_a_counter_that_began_again_is_looked_for_on_all_nodes(
    lab: Lab, stored: dict[str, bytes], older: int, wrong: int
) -> None:
    """Only the newest one tells of lost and doubled steps; an older one is a copy left behind."""
    bounds = lab.accounts.counters["n"] = Bounds(0)
    bounds.begin()
    bounds.answered(1)
    bounds.begin_again()
    bounds.restarted()
    for answer in (1_000_001, 1_000_002):
        bounds.begin()
        bounds.answered(answer)
    for node, value in stored.items():
        lab.servers.data[node]["n"] = value
    lab.accounts._ask_for_all(START_S - 10.0)
    lab.asks()
    report = lab.report()
    assert sum(n for *_, n in report["older_counters"]) == older
    assert report["wrong_updates"] == wrong


def test_a_denied_step_is_told_with_its_node_and_second(lab: Lab) -> None:
    """What excuses it, a fault or keys that moved, only the whole run shows."""
    for _ in range(20):
        lab.accounts.denied_step("n")  # in second 10
    report = lab.report()
    assert (report["denied"], report["wrong_updates"]) == ([["node1", 10, 20]], 0)
    assert report["evidence"][0]["kind"] == "denied_step"

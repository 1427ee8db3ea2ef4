"""Reads and servers held against what was acknowledged: what becomes a finding, and what not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.users.ledger_lab import SIZE, START_S, Lab
from users.audit import Auditor
from users.book import Book
from users.bounds import Bounds
from users.findings import Findings
from users.values import make


@pytest.fixture
def lab() -> Lab:
    """Give the writer and the servers."""
    return Lab()


def test_what_is_there_is_no_finding(lab: Lab) -> None:
    """A write is looked for on its server; until then the key is held, so nobody writes over it."""
    lab.writes(2)
    lab.holds(2)
    assert set(lab.accounts.held) == {"k"}
    lab.asks(0.1)
    assert not lab.accounts.held
    report = lab.report()
    assert (report["writes"], report["lost"], report["evidence"]) == (1, [], [])


def test_an_acknowledged_write_that_no_server_has_is_lost(lab: Lab) -> None:
    """The evidence names the key, its node, versions and times; the loss is told once."""
    lab.writes(2)
    lab.asks()
    report = lab.report()
    assert report["lost"] == [["node1", 10, 1]]
    (evidence,) = report["evidence"]
    assert (evidence["key"], evidence["node"], evidence["acknowledged_s"]) == ("k", "node1", 10)
    assert evidence["what"] == "version 2 was acknowledged, the servers have version 1"
    assert not lab.accounts.held


def test_a_write_that_comes_a_moment_late_is_not_lost(lab: Lab) -> None:
    """A version that is missing is asked for twice."""
    lab.writes(2)
    lab.asks(0.3)
    lab.holds(2)
    lab.asks()
    assert lab.report()["lost"] == []


def test_a_read_before_a_late_write_came_is_stale(lab: Lab) -> None:
    """Acknowledged before it was sent: whoever reads at once reads what is out of date."""
    lab.writes(2)
    lab.reads(1)
    lab.asks(0.3)
    lab.holds(2)
    lab.asks()
    report = lab.report()
    assert (report["stale"], report["lost"]) == (1, [])


def test_a_delete_that_finds_nothing_is_held_against_the_server(lab: Lab) -> None:
    """The key was there all the time; one that has gone is no finding, and not lost either."""
    for is_there, masked in ((True, 1), (False, 0)):
        lab.holds(1 if is_there else None)
        page = lab.book.pages["k"]
        lab.book.begin_delete("k")
        lab.book.not_found("k")
        lab.accounts.denied(lab.book, "k", page)
        lab.asks()
        report = lab.report()
        assert (sum(n for *_, n in report["masked"]), report["lost"]) == (masked, [])
        lab.accounts.findings = Findings()


def test_values_of_a_form_of_its_own_are_there_or_not(lab: Lab) -> None:
    """A client that compresses them loses nothing; what is gone is lost all the same."""
    lab.accounts.encodes_values = True
    lab.servers.data["node1"]["k"] = b"\x78\x9c..."
    lab.writes(2)
    lab.asks()
    lab.reads(None)
    lab.asks()
    assert lab.report()["lost"] == []
    assert lab.report()["masked"] == [["node1", 13, 1]]
    lab.writes(3)
    lab.holds(None)
    lab.asks()
    assert lab.report()["lost"] == [["node1", 16, 1]]


def test_keys_under_unknown_names_are_judged_by_reads_alone(lab: Lab) -> None:
    """No server is asked for them: a loss cannot be told, an older version is stale."""
    lab.accounts.hides_keys = True
    lab.writes(2)
    lab.reads(1)
    lab.reads(None)
    report = lab.report()
    assert (report["unasked"], report["stale"], report["lost"]) == (1, 0, [])
    assert [count for *_, count in report["stale_unsure"]] == [1]
    assert [count for *_, count in report["unproven"]] == [1]
    assert report["hides_keys"]


def test_a_write_on_another_node_is_not_lost(lab: Lab) -> None:
    """Clients may move keys; what was found elsewhere is worth a read."""
    lab.writes(2)
    lab.holds(2, on="node3")
    lab.asks(0.5)
    assert list(lab.accounts.moved) == ["k"]
    assert lab.report()["lost"] == []


def test_an_older_write_of_unknown_end_may_come_late(lab: Lab) -> None:
    """Bytes that waited on the way may overwrite what was acknowledged since."""
    lab.book.begin("k", 2)
    lab.writes(3)
    lab.holds(2)
    lab.reads(2)
    lab.asks()
    report = lab.report()
    assert (report["lost"], report["stale"]) == ([], 0)


def test_a_node_that_cannot_be_asked_keeps_its_questions(lab: Lab) -> None:
    """Nothing is said of a key while nobody can look."""
    lab.servers.out.add("node1")
    lab.writes(2)
    lab.asks()
    assert set(lab.accounts.held) == {"k"}
    lab.servers.out.clear()
    lab.holds(2)
    lab.asks(0.2)
    assert not lab.accounts.held
    assert lab.report()["lost"] == []


def test_a_read_of_an_older_version_is_stale_where_a_server_has_the_newer_one(lab: Lab) -> None:
    """The server's word tells a stale read from a lost write."""
    lab.writes(2)
    lab.holds(2)
    lab.asks(0.2)
    lab.reads(1)
    lab.asks(0.2)
    report = lab.report()
    assert (report["stale"], report["reads"], report["lost"]) == (1, 1, [])
    (evidence,) = report["evidence"]
    assert evidence["what"] == "version 1 was read after 2 was acknowledged"
    assert evidence["newer_on"] == "node1"


def test_a_read_of_an_older_version_of_a_lost_write_is_not_stale(lab: Lab) -> None:
    """One fault has one name: the write is lost, and told once."""
    lab.writes(2)
    lab.reads(1)
    lab.asks()
    report = lab.report()
    assert (report["stale"], report["lost"]) == (0, [["node1", 10, 1]])


def test_a_lost_write_that_is_written_over_makes_no_stale_read(lab: Lab) -> None:
    """Every question about a key holds it; a version nobody had was lost, not read too late."""
    lab.writes(2)
    lab.asks(0.9)
    lab.reads(1)
    lab.asks(0.5)
    assert set(lab.accounts.held) == {"k"}  # the write is settled, the read is not
    lab.holds(3)
    lab.asks()
    assert not lab.accounts.held
    report = lab.report()
    assert (report["stale"], report["lost"]) == (0, [["node1", 10, 1]])


def test_a_version_that_has_gone_since_proves_no_stale_read(lab: Lab) -> None:
    """What was acknowledged may have been lost all along, and the older one expired by now."""
    lab.writes(2)
    lab.reads(1)
    lab.holds(None)
    lab.asks()
    assert lab.report()["stale"] == 0


def test_a_read_after_a_delete_is_stale(lab: Lab) -> None:
    """What was deleted must not come back."""
    lab.book.begin_delete("k")
    lab.book.deleted("k", 2, lab.now)
    lab.holds(None)
    lab.reads(1)
    lab.asks()
    assert lab.report()["stale"] == 1


def test_newer_versions_agree(lab: Lab) -> None:
    """Another user may read between a write and its acknowledgement."""
    page = lab.book.pages["k"]
    lab.writes(2)
    lab.accounts.look(lab.book, "k", page, make("k", "w0.1", 2, SIZE))
    assert lab.report()["reads"] == 1


def test_a_miss_of_what_the_server_has_is_masked(lab: Lab) -> None:
    """The very version was on its node all the time, so it was there at the moment of the miss."""
    lab.reads(None)
    lab.asks(0.2)
    report = lab.report()
    assert report["masked"] == [["node1", 10, 1]]
    assert report["evidence"][0]["what"] == "a miss, while node1 has version 1"


MISSES: list[tuple[str, Callable[[Lab], None]]] = [
    ("another node has it", lambda lab: (lab.holds(None), lab.holds(1, on="node2"))),
    ("it was written again", lambda lab: lab.holds(2)),
    ("it is gone", lambda lab: lab.holds(None)),
]


@pytest.mark.parametrize(("why", "change"), MISSES, ids=[name for name, _ in MISSES])
def test_other_misses_are_not_masked(lab: Lab, why: str, change: Callable[[Lab], None]) -> None:
    """Only the version due, on the node of the key, proves a miss wrong."""
    lab.reads(None)
    change(lab)
    lab.asks()
    report = lab.report()
    assert (report["masked"], report["unproven"]) == ([], [])


def test_a_key_that_is_gone_may_be_written_again(lab: Lab) -> None:
    """Whether the node may have lost it is for the master to say; the ledger goes on."""
    lab.holds(None)
    lab.reads(None)
    lab.asks()
    assert lab.accounts.gone == {"k"}
    lab.reads(None)
    lab.asks()
    report = lab.report()
    assert report["lost"] == [["node1", -10, 1]]


def test_a_miss_while_nobody_could_ask_proves_nothing(lab: Lab) -> None:
    """A node that was out and came back empty cannot say what it had."""
    lab.servers.out.add("node1")
    lab.reads(None)
    lab.asks(0.3)
    lab.servers.out.clear()
    lab.holds(None)
    lab.asks()
    report = lab.report()
    assert (report["masked"], report["unproven"]) == ([], [["node1", 10, 1]])


def test_a_link_that_was_overwritten_is_a_lost_update(lab: Lab) -> None:
    """An acknowledged cas whose predecessor is on the server was lost; a chain that is gone not."""
    lab.accounts.chains.add("k")
    lab.writes(2)
    lab.asks()
    report = lab.report()
    assert (report["wrong_updates"], report["lost"]) == (1, [])


def test_a_version_that_was_refused_must_not_be_there(lab: Lab) -> None:
    """Answered as not stored and stored all the same: a blind overwrite."""
    lab.book.begin("k", 2)
    lab.book.refused("k")
    lab.reads(2)
    assert lab.report()["wrong_updates"] == 1


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [(b"5", 0), (b"5 ", 0), (b"6", 0), (b"4", 1), (b"7", 1), (None, 0), (b"x", 0)],
    ids=["exact", "padded", "pending", "missing", "doubled", "gone", "no number"],
)
def test_counters_are_read_from_the_servers_at_the_end(
    lab: Lab, stored: bytes | None, wrong: int
) -> None:
    """Exactly what was acknowledged, plus what is pending at most; gone is no finding."""
    lab.accounts.counters["n"] = Bounds(5, pending=1)
    if stored is not None:
        lab.servers.data["node1"]["n"] = stored
    lab.accounts._ask_for_all(START_S - 10.0)
    lab.asks()
    assert lab.report()["wrong_updates"] == wrong


def test_the_end_asks_for_what_was_written_in_the_run(lab: Lab) -> None:
    """Keys of the prefill alone are not asked for, nor what has expired or is of unknown end."""
    accounts = lab.accounts
    book = Book("w0.2")
    accounts.books.append(book)
    for number, (ttl_s, ends) in enumerate([(60, True), (1, True), (60, False)]):
        key = f"m{number}"
        accounts._locations[key] = "node2"  # type: ignore[index]
        book.begin(key, number + 1)
        book.acknowledged(key, number + 1, b"v", lab.now, ttl_s)
        if not ends:
            book.begin(key, 9)
    accounts._ask_for_all(START_S - 10.0)
    assert {question.key for question in accounts.auditor.waiting()} == {"m0"}


def test_a_flood_of_questions_is_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client at its worst asks for more than can be looked up: the rest is counted."""
    monkeypatch.setattr("users.audit.MOST_WAITING", 3)
    for _ in range(5):
        lab.reads(None)
    assert len(lab.accounts.auditor.waiting()) == 3
    assert lab.report()["unasked"] == 2


def test_an_auditor_without_nodes_asks_nobody() -> None:
    """A question about an unknown node is refused, and ending is harmless."""
    auditor = Auditor([], lambda *_: True, lambda *_: None)
    auditor.start()
    auditor.finish(0.1)
    assert auditor.waiting() == []

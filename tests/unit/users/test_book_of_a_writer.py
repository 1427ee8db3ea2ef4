"""What a single writer may believe of its keys after writes of every end."""

from __future__ import annotations

import sys

import pytest

from users.book import EXPIRY_SLACK_S, LATEST_KEPT, Book
from users.values import make

NOW, TTL_S = 100.0, 30


@pytest.fixture
def book() -> Book:
    """Give a book with one key, in version 1, stored a moment ago."""
    found = Book("w0.1")
    found.known("k", 1, make("k", "w0.1", 1, 100), NOW, TTL_S)
    return found


def write(book: Book, version: int) -> None:
    book.begin("k", version)
    book.acknowledged("k", version, make("k", "w0.1", version, 100), NOW, TTL_S)


def is_there(book: Book, at: float = NOW) -> bool:
    return book.is_there("k", book.pages["k"], at)


def test_an_acknowledged_write_is_there(book: Book) -> None:
    """It is the version due, and its value begins as the page says."""
    write(book, 2)
    page = book.pages["k"]
    assert page.version == 2
    assert make("k", "w0.1", 2, 100).startswith(page.head)
    assert not make("k", "w0.1", 20, 100).startswith(page.head)
    assert is_there(book)
    assert book.writes == 1


def test_a_key_is_expected_until_a_moment_before_its_ttl_ends(book: Book) -> None:
    """Memcached's clock ticks once a second, so an item may go a little early."""
    assert is_there(book, NOW + TTL_S - EXPIRY_SLACK_S - 0.01)
    assert not is_there(book, NOW + TTL_S - EXPIRY_SLACK_S)


def test_a_write_of_unknown_end_may_be_seen_for_good(book: Book) -> None:
    """It may have happened, and may still, also after later writes; the old version stays due."""
    book.begin("k", 2)
    assert book.may_be_seen("k", 2)
    assert book.pages["k"].version == 1
    assert not is_there(book)  # a write that fails may remove what was there
    write(book, 3)
    assert is_there(book)
    assert book.may_be_seen("k", 2)
    assert not book.may_be_seen("k", 1)


def test_a_write_answered_with_no_may_be_seen_and_the_key_is_there(book: Book) -> None:
    """A retry inside the client may have turned a yes into a no."""
    book.begin("k", 2)
    book.undecided("k")
    assert book.may_be_seen("k", 2)
    assert is_there(book)


def test_a_write_that_could_not_succeed_must_not_be_seen(book: Book) -> None:
    """It was answered as not stored, with a token that was used up."""
    book.begin("k", 2)
    book.refused("k")
    assert book.was_refused("k", 2)
    assert not book.may_be_seen("k", 2)
    assert is_there(book)


def test_a_deleted_key_has_no_right_version(book: Book) -> None:
    """Whatever was written before the delete is out of date."""
    book.begin_delete("k")
    assert not is_there(book)
    book.deleted("k", 2, NOW)
    assert book.pages["k"].version == 2
    assert not is_there(book)
    write(book, 3)
    assert is_there(book)


def test_a_delete_of_unknown_end_takes_the_certainty_away(book: Book) -> None:
    """It may come late, so nothing can be said of the key any more."""
    book.begin_delete("k")
    write(book, 2)
    assert not is_there(book)


def test_a_delete_that_found_nothing_leaves_versions_as_they_were(book: Book) -> None:
    """The key was not there; an older value seen later is still judged by the last version."""
    book.begin_delete("k")
    book.not_found("k")
    assert book.pages["k"].version == 1
    assert not is_there(book)


def test_a_loss_is_told_once(book: Book) -> None:
    """A page that was found lost is not expected again, until the next write."""
    page = book.pages["k"]
    book.lost("k", page)
    assert not book.is_there("k", page, NOW)
    write(book, 2)
    book.lost("k", page)  # an answer about what has been written over
    assert is_there(book)


def test_a_node_that_is_gone_for_long_does_not_fill_the_memory(book: Book) -> None:
    """Of refused writes without end the newest are kept."""
    for version in range(2, 2 + 3 * LATEST_KEPT):
        book.begin("k", version)
    assert book.may_be_seen("k", 3 * LATEST_KEPT)
    assert not book.may_be_seen("k", 2)


def test_a_key_that_was_never_written_takes_the_memory_of_one_that_was(book: Book) -> None:
    """So that memory does not grow for as long as there are keys still to be written."""
    value = make("x", "w0.1", 300, 1_000)
    book.unknown("x", 300, value, NOW)
    unwritten = book.pages["x"]
    assert not is_there_of(book, "x")
    assert not unwritten.is_deleted
    assert not value.startswith(unwritten.head)
    book.begin("x", 301)
    book.acknowledged("x", 301, make("x", "w0.1", 301, 1_000), NOW, TTL_S)
    written = book.pages["x"]
    assert [sys.getsizeof(part) for part in unwritten] == [sys.getsizeof(part) for part in written]
    assert len({id(part) for part in (*unwritten, *written)}) == 8  # none of them shared
    assert is_there_of(book, "x")


def is_there_of(book: Book, key: str) -> bool:
    return book.is_there(key, book.pages[key], NOW)

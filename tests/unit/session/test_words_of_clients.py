"""What clients say of themselves becomes states and counts of nodes, once for each node."""

from __future__ import annotations

from session.sampling import WORDS_MAX, client_counts, node_states
from telemetry.counts import LAST_WAIT
from telemetry.evidence import plain

FIRST = {
    "breaker": "open",
    "opened": 2,
    "probes": 3,
    "requests": 10,
    "failures": {"timeout": 4},
    "transitions": {"closed>open": 2},
    "pool": {"idle": 1, "in_use": 2, "created": 3, "acquire_wait_us": {256: 3}},
}
SECOND = {"breaker": "closed", "pool": {"idle": 4, "in_use": 0, "created": 5}, "requests": 7}


def test_clients_of_several_groups_are_added_up() -> None:
    """Where groups of users have a client each, a node has what all of them say of it."""
    words = [("node1", FIRST), ("node2", FIRST), ("node1", SECOND)]
    states = node_states(words)
    assert states["node1"].breaker == {"open": 1, "closed": 1}
    assert (states["node1"].idle, states["node1"].in_use) == (5, 2)
    assert (states["node1"].created_total, states["node2"].created_total) == (8, 3)
    counts = client_counts(words)
    assert (counts["node1"].requests, counts["node2"].requests) == (17, 10)
    assert counts["node1"].failures == {"timeout": 4}
    assert counts["node1"].transitions["closed", "open"] == 2


def test_words_that_are_no_numbers_count_as_nothing() -> None:
    """A stranger may say anything; what is no count of ours is 0."""
    odd = {"breaker": None, "pool": {"idle": -1, "in_use": True, "created": "3"}, "opened": None}
    assert node_states([("node1", odd)])["node1"].idle == 0
    assert node_states([("node1", odd)])["node1"].in_use == 0
    assert client_counts([("node1", odd)])["node1"].created == 0
    assert node_states([("node1", {"pool": 7})])["node1"].breaker == {}


def test_no_wait_vanishes_on_the_way() -> None:
    """A long run has waits of every length; a total that shrank would look like a new run."""
    waits = {2**bits: 1 for bits in range(LAST_WAIT + 1)}
    said = plain({"pool": {"acquire_wait_us": waits}}, 4, WORDS_MAX)
    assert sum(client_counts([("node1", said)])["node1"].waits.values()) == LAST_WAIT + 1

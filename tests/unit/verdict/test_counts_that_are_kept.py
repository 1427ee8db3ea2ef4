"""What a check reads of a server's statistics must be among what the timeline keeps of them."""

from __future__ import annotations

import pytest

from telemetry.timeline import Timeline
from tests.unit.verdict.made_up_runs import MadeUpRun
from verdict.moved_keys import COUNTER
from verdict.verdict import judge
from verdict.witness_commands import COMMANDS

OF_CONNECTIONS = ("pid", "total_connections", "curr_connections", "own_connections")


@pytest.mark.parametrize("counter", [*COMMANDS, COUNTER, *OF_CONNECTIONS])
def test_a_counter_that_a_check_reads_is_kept(counter: str) -> None:
    """One that is dropped counts as nothing, and convicts nobody any more."""
    timeline = Timeline()
    timeline.server(3, "node1", {counter: 7, "of_no_use": 1})
    assert timeline.window(3).server == {"node1": {counter: 7}}


@pytest.mark.parametrize("counter", ["incr_hits", "delete_hits", "decr_misses"])
def test_commands_of_every_kind_are_held_against_the_calls(counter: str) -> None:
    """A client that sends every step of a counter twice, or deletes twice, sends too much."""
    run = MadeUpRun(20)
    facts = run.facts()
    timeline = Timeline()
    for window in facts.windows:
        for node, stats in window.server.items():
            timeline.server(window.second, node, {**stats, counter: 100 * window.second})
    for window in facts.windows:
        window.server = timeline.window(window.second).server
    found = {check.name: check.verdict for check in judge(facts).checks}
    assert found["retry_amplification"] == "FAIL"

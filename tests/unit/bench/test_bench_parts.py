"""What the parts of the benchmark make of what their load processes wrote down."""

import pytest

from bench import batches, memtier, overhead, single_gets
from bench.__main__ import PARTS, read_options
from bench.contenders import LABELS, ONLY_HITS, PLAIN, SHIPPED
from bench.figures import Measure
from bench.nodes import BenchError
from bench.sampler import by_function, by_line, draw


def measure(cpu, speed=1000.0):
    return Measure(operations=1000, seconds=1.0, operations_per_s=speed, cpu_us_per_operation=cpu)


def words(section):
    return {figure.name: figure.word for figure in section.figures}


def test_single_gets_hold_each_ratio_against_its_goal():
    """A third of the plain user and a quarter over raw sockets reach; memtier is compared too."""
    rounds = [
        {"A": measure(18, 500), "B": measure(54), "C": measure(15), "D": measure(8, 1000)},
    ]
    found = words(single_gets.section(rounds))
    assert found["A/B CPU per operation"] == "reached"
    assert found["A/C CPU per operation"] == "reached"
    assert found["A/D operations a second"] == "reached"
    assert found["B/C CPU per operation"] == ""


def test_single_gets_that_cost_too_much_are_not_reached():
    """Half of the plain user's cost is not a 2.7th of it."""
    found = words(single_gets.section([{"A": measure(27), "B": measure(54), "C": measure(15)}]))
    assert found["A/B CPU per operation"] == "NOT reached"
    assert found["A/C CPU per operation"] == "NOT reached"


def test_a_machine_without_memtier_says_so_in_one_line():
    """What was not measured is named, never left out silently."""
    section = single_gets.section([{"A": measure(18), "B": measure(54)}])
    assert list(section.notes) == [single_gets.NO_MEMTIER]
    assert not any("D" in name for name in words(section))


def test_every_contender_has_one_way_to_be_started():
    """Shipped, plain, memtier or raw sockets: none of them twice."""
    assert set(SHIPPED) | set(PLAIN) | {"C", "D"} == set(LABELS)
    assert not set(SHIPPED) & set(PLAIN)
    assert not ONLY_HITS & set(SHIPPED)


def shape(**changes):
    batch = {"took_s": 0.5, "open": False, "complete": True, "failed_right": True}
    quick = batch | {"took_s": 0.001, "open": True}
    return {
        "op_timeout_s": 0.5,
        "far": {"single_s": [0.1, 0.1], "batch_s": [0.11, 0.12]},
        "far_peer": {"single_s": [0.1], "batch_s": [0.3]},
        "hole": [batch, batch, quick, quick],
    } | changes


def test_a_batch_is_counted_in_round_trips_and_deadlines():
    """One round trip, one deadline, at once: three different things."""
    found = {figure.name: figure for figure in batches.shape_figures(shape())}
    trips = found["all nodes +100 ms: batch in round trips"]
    assert trips.value.median == pytest.approx(1.15)
    assert found["the same, HashClient"].value.median == pytest.approx(3)
    assert found["one node a black hole: batch, of op_timeout"].value.median == pytest.approx(1)
    assert all(figure.word != "NOT reached" for figure in found.values())


LAGGING = {"took_s": 0.5, "open": True, "complete": True, "failed_right": True}
LOSING = {"took_s": 0.001, "open": True, "complete": False, "failed_right": True}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"far": {"single_s": [0.1], "batch_s": [0.3]}}, "all nodes +100 ms"),
        ({"hole": [LAGGING | {"open": False, "took_s": 1.5}, LOSING]}, "one node a black hole"),
        ({"hole": [LAGGING | {"open": False}, LAGGING]}, "the same, breaker open"),
        ({"hole": [LAGGING | {"open": False}, LOSING]}, "share of these batches"),
        (
            {
                "hole": [
                    LAGGING | {"open": False},
                    LOSING | {"complete": True, "failed_right": False},
                ]
            },
            "share of these batches",
        ),
    ],
    ids=[
        "node after node",
        "past its deadline",
        "waits though the breaker is open",
        "loses keys of healthy nodes",
        "calls a failed key a miss",
    ],
)
def test_a_batch_of_the_wrong_shape_is_seen(changes, missed):
    """Each way of getting it wrong loses the goal that is about it."""
    found = batches.shape_figures(shape(**changes))
    lost = [figure.name for figure in found if figure.word == "NOT reached"]
    assert any(name.startswith(missed) for name in lost)


def test_a_breaker_that_no_batch_found_open_is_an_error():
    """Batches that wait for ever must not pass for batches that never met an open breaker."""
    hole = [{"took_s": 0.5, "open": False, "complete": True, "failed_right": True}]
    with pytest.raises(BenchError, match="no batch met an open breaker"):
        batches.shape_figures(shape(hole=hole))


def blocks(node, shared):
    return {
        "cost_us": {
            "raw": [16.0, 32.0, 16.0],
            "bare": [15.0, 30.0, 15.0],
            "node": [15.0 + node, 30.0 + node, 15.0 + node],
            "client": [18.0, 33.0, 18.0],
        },
        "gets_per_s": {
            "bare": [1000.0, 500.0],
            "shared": [1000.0 * shared, 500.0 * shared],
            "pymemcache": [800.0, 400.0],
        },
    }


@pytest.mark.parametrize(
    ("node", "shared", "expected"),
    [
        (2.0, 0.95, ["reached", "reached", "reached"]),
        (2.1, 0.94, ["NOT reached", "NOT reached", "NOT reached"]),
    ],
    ids=["at the goals", "just beyond them"],
)
def test_overhead_is_the_difference_within_a_turn(node, shared, expected):
    """A turn in which the machine was half as fast moves neither difference nor ratio."""
    found = overhead.figures([blocks(node, shared)])
    assert found[0].value.median == pytest.approx(node)
    assert [figure.word for figure in found if figure.goal] == expected


MEMTIER = """
ALL STATS
====================================================================
Type         Ops/sec     Hits/sec   Misses/sec    Avg. Latency
--------------------------------------------------------------------
Sets            0.00          ---          ---             ---
Gets       119469.61    119469.61         0.00         0.41800
Totals     119469.61    119469.61         0.00         0.41800
"""


def test_memtier_is_read_from_the_line_of_its_gets():
    """The first number of the line is the operations a second."""
    assert memtier.gets_per_s(MEMTIER) == 119469.61


@pytest.mark.parametrize(
    "output",
    ["connection refused\n", MEMTIER.replace("Gets       119469.61", "Gets            0.00")],
    ids=["no table", "no gets"],
)
def test_memtier_without_gets_is_no_figure(output):
    """A run that got nothing measured nothing."""
    with pytest.raises(BenchError, match="D printed no gets"):
        memtier.gets_per_s(output)


def test_memtier_is_asked_for_single_gets_on_one_thread():
    """No pipelining, no sets, as many connections as users."""
    text = " ".join(memtier.command(("127.0.0.1", 1), users=50, seconds=5.0))
    assert "-t 1 -c 50 --ratio 0:1 --pipeline 1" in text


SAMPLES = {
    ("/a/client/node.py", "Node.fetch", 10): 6,
    ("/a/client/node.py", "Node.fetch", 12): 2,
    ("/a/users/base.py", "MemcacheUser.get", 5): 2,
}


def test_samples_are_summed_by_function_and_by_line():
    """Shares add up to all of the samples, the largest first."""
    functions, lines = by_function(SAMPLES), by_line(SAMPLES)
    assert [(entry.name, entry.share) for entry in functions] == [
        ("client/node.py Node.fetch", 0.8),
        ("users/base.py MemcacheUser.get", 0.2),
    ]
    assert lines[0].name == "client/node.py:10 Node.fetch"
    assert sum(entry.share for entry in lines) == pytest.approx(1)


def test_a_profile_names_microseconds_and_sums_up_the_rest():
    """What does not fit is one line, so that the shares still add up."""
    drawn = draw(by_line(SAMPLES), us_per_operation=20.0, limit=1).splitlines()
    assert drawn[0].split()[:3] == ["60.0%", "12.00", "us"]
    assert drawn[1].split() == ["40.0%", "8.00", "us", "(everything", "else)"]


def test_without_options_everything_is_measured():
    """`make bench` leaves nothing out."""
    assert read_options([]).only == list(PARTS) == ["P1", "P2", "P3", "P4"]


def test_parts_may_be_named_in_any_case():
    """`--only p3,P1` is two parts."""
    assert read_options(["--only", "p3,P1", "--rounds", "2"]).only == ["P3", "P1"]


@pytest.mark.parametrize(
    "arguments",
    [["--only", "P9"], ["--only", ""], ["--rounds", "0"], ["--seconds", "0.1"]],
    ids=["unknown part", "no part", "no round", "no time"],
)
def test_options_that_cannot_be_are_refused(arguments, capsys):
    """A usage error is exit code 2 and says which option."""
    with pytest.raises(SystemExit) as left:
        read_options(arguments)
    assert left.value.code == 2
    assert arguments[0] in capsys.readouterr().err

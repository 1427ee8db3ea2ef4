"""Medians, spreads and ratios of a benchmark; what a verdict must hold to be measured by."""

import json

import pytest

from bench.contenders import measure_of_verdict
from bench.figures import Measure, figure, measure_of, order, ratio, summarise, table, to_json
from bench.nodes import BenchError, from_option, to_option

LABELS = {"A": "ours", "B": "plain"}


def measure(speed, cpu):
    return Measure(operations=1000, seconds=1.0, operations_per_s=speed, cpu_us_per_operation=cpu)


def test_a_summary_holds_median_ends_and_relative_spread():
    """The spread is the whole range as a share of the median."""
    found = summarise([12.0, 8.0, 10.0])
    assert (found.median, found.low, found.high) == (10.0, 8.0, 12.0)
    assert found.spread == pytest.approx(0.4)


def test_nothing_measured_is_an_error_and_no_zero():
    """A figure without a round is not a figure."""
    with pytest.raises(ValueError, match="nothing was measured"):
        summarise([])


def test_ratios_are_formed_within_a_round():
    """A machine that becomes three times slower between rounds does not move a ratio."""
    rounds = [
        {"A": measure(100, 20), "B": measure(50, 40)},
        {"A": measure(33, 60), "B": measure(16.5, 120)},
    ]
    found = ratio(rounds, "A", "B", "cpu_us_per_operation")
    assert (found.low, found.median, found.high) == (0.5, 0.5, 0.5)
    assert figure(rounds, "A", "cpu_us_per_operation").spread == pytest.approx(1.0)


def test_a_ratio_with_a_contender_left_out_is_none():
    """`--only B` prints B and no ratio."""
    rounds = [{"B": measure(50, 40)}]
    assert ratio(rounds, "A", "B", "operations_per_s") is None


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, ["A", "B", "C"]), (1, ["B", "C", "A"]), (2, ["C", "A", "B"]), (3, ["A", "B", "C"])],
    ids=["first", "second", "third", "again"],
)
def test_contenders_take_turns_at_being_first(number, expected):
    """Every contender runs first equally often."""
    assert order(["A", "B", "C"], number) == expected


def test_the_table_has_a_line_for_every_contender_and_json_has_every_round():
    """What is printed and what is written agree."""
    rounds = [{"A": measure(100, 20), "B": measure(50, 40)}] * 3
    lines = table(rounds, LABELS).splitlines()
    assert [line.split()[0] for line in lines] == ["median", "ours", "plain"]
    document = json.loads(json.dumps(to_json(rounds, LABELS)))
    assert document["contenders"]["B"]["operations_per_s"]["median"] == 50
    assert len(document["rounds"]) == 3


def test_a_contender_that_was_left_out_has_no_line_and_no_figure():
    """A machine without memtier prints the others."""
    rounds = [{"B": measure(50, 40)}]
    assert "ours" not in table(rounds, LABELS)
    assert list(to_json(rounds, LABELS)["contenders"]) == ["B"]


def test_a_load_process_measures_its_steady_part():
    """CPU seconds and operations become microseconds an operation."""
    found = measure_of({"operations": 1000, "seconds": 2.0, "cpu_s": 0.05})
    assert (found.operations_per_s, found.cpu_us_per_operation) == (500.0, pytest.approx(50.0))


def test_a_load_process_that_completed_nothing_measured_nothing():
    """No operation has no cost."""
    with pytest.raises(ValueError, match="nothing was measured"):
        measure_of({"operations": 0, "seconds": 2.0, "cpu_s": 0.05})


def test_addresses_survive_the_way_through_an_option():
    """What `to_option` writes, `from_option` reads."""
    nodes = [("127.0.0.1", 1), ("::1", 2)]
    assert from_option(to_option(nodes)) == nodes


def verdict(**changes):
    return {
        "duration_s": 8.0,
        "totals": {"operations": 800, "errors": 0, "wrong_values": 0},
        "figures": {
            "throughput": {"value": 100.0, "unit": "1/s"},
            "cpu_us_per_operation": {"value": 17.5, "unit": "us"},
        },
    } | changes


def test_a_verdict_gives_the_shipped_users_measure():
    """Throughput and CPU come from the figures, the count from the totals."""
    found = measure_of_verdict("A", verdict())
    assert (found.operations, found.operations_per_s, found.cpu_us_per_operation) == (
        800,
        100.0,
        17.5,
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"totals": {"operations": 8, "errors": 3, "wrong_values": 0}}, "A met 3 errors"),
        ({"totals": {"operations": 8, "errors": 0, "wrong_values": 1}}, "A met 1 errors"),
        ({"figures": {"throughput": {"value": 1.0}}}, "no figure cpu_us_per_operation"),
        ({"figures": {"throughput": {"value": None}}}, "no figure throughput"),
    ],
    ids=[
        "errors are no hits",
        "a wrong value is an error",
        "a figure is missing",
        "a figure without value",
    ],
)
def test_a_verdict_that_proves_nothing_is_refused(changes, said):
    """A run with errors was not the load it claims to be."""
    with pytest.raises(BenchError, match=said):
        measure_of_verdict("A", verdict(**changes))

"""Budgets: names, kinds of values, and what a wrong one is told."""

from __future__ import annotations

import dataclasses

import pytest

from memquake.limits import LIMITS, LimitError, known_checks, parse_budget
from tests.unit.verdict.made_up_runs import MadeUpRun
from verdict.budgets import limit_of
from verdict.checks import CHECKS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("recovers_within=2s", 2.0, id="seconds"),
        pytest.param("recovers_within=500ms", 0.5, id="milliseconds"),
        pytest.param("recovers_within=0.01s", 0.01, id="a fraction of a second"),
        pytest.param("recovers_within=1min", 60.0, id="a minute"),
        pytest.param("recovers_within=1m", 60.0, id="a minute, as scenarios have it"),
        pytest.param("recovers_within=3", 3.0, id="a plain number is seconds"),
        pytest.param(" recovers_within = 2 s ", 2.0, id="blanks"),
        pytest.param("error_budget=5%", 0.05, id="percent"),
        pytest.param("error_budget=0.05", 0.05, id="share"),
        pytest.param("error_budget=0", 0.0, id="nothing allowed"),
        pytest.param("load_kept=100%", 1.0, id="all"),
        pytest.param("no_wrong_values=3", 3.0, id="count"),
        pytest.param("enough_requests=1e4", 10000.0, id="exponent"),
        pytest.param("unaffected_nodes_healthy=3x", 3.0, id="ratio"),
        pytest.param("unaffected_nodes_healthy=2.5", 2.5, id="ratio as a number"),
    ],
)
def test_value_is_read(text: str, value: float) -> None:
    """A value is read into base units."""
    name, read = parse_budget(text)
    assert name == text.partition("=")[0].strip()
    assert read == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("recovers_within", "give NAME=VALUE", id="no value"),
        pytest.param("recovers_within=", "is no duration (like 30s", id="empty value"),
        pytest.param("recovers_within=soon", "is no duration (like 30s", id="a word"),
        pytest.param("recovers_within=5%", "is no duration (like 30s", id="percent of no time"),
        pytest.param("recovers_within=2d", "is no duration (like 30s", id="unknown unit"),
        pytest.param("recovers_within=25h", "longer than a day", id="too long"),
        pytest.param("recovers_within=-1s", "-1s is negative", id="negative"),
        pytest.param("recovers_within=inf", "is no duration (like 30s", id="infinite"),
        pytest.param("recovers_within=nan", "is no duration (like 30s", id="not a number"),
        pytest.param("recovers_within=1e400", "is no duration (like 30s", id="too large"),
        pytest.param("error_budget=2s", "is no share (like 5%", id="a time for a share"),
        pytest.param("error_budget=150%", "must lie between 0 and 1", id="more than all"),
        pytest.param("error_budget=5", "must lie between 0 and 1", id="forgotten percent sign"),
        pytest.param("no_wrong_values=0.5", "no whole number", id="half a value"),
        pytest.param("recover_within=2s", "nearest: recovers_within", id="a typo"),
        pytest.param("zzz=2s", "there are: after_recovery", id="nothing near"),
    ],
)
def test_bad_budget_is_told_in_one_line(text: str, said: str) -> None:
    """The line names the budget and what would work."""
    with pytest.raises(LimitError) as caught:
        parse_budget(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert text.partition("=")[0] in str(caught.value)


def test_names_are_those_of_the_checks_in_order() -> None:
    """Budgets and checks have the same names in the same order."""
    assert known_checks() == tuple(CHECKS) == tuple(LIMITS)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("breaker_opens_within", 1.5),
        ("no_reconnect_storm", 10.0),
        ("recovers_within", 10.0),
        ("error_budget", 0.001),
    ],
)
def test_default_limit(name: str, limit: float) -> None:
    """Defaults are those of the contract; some depend on the run."""
    assert limit_of(MadeUpRun(3).facts(), name) == pytest.approx(limit)


def test_budget_beats_the_default() -> None:
    """A limit of 0 is a limit, not an absent one."""
    facts = dataclasses.replace(MadeUpRun(3).facts(), budgets={"recovers_within": 0.0})
    assert limit_of(facts, "recovers_within") == 0.0

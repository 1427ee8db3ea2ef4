"""Every bad state of the table: the default client has none, and each detector catches a twin."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from client import build
from tests.integration.client.bad_states.lab import Lab, Make
from tests.integration.client.bad_states.rows import ROWS, Known, Row


def leaky(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test whose client may leave sockets open: they are collected, in silence, with it."""
    for ignored in ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"):
        test = pytest.mark.filterwarnings(ignored)(test)
    return test


by_row = pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])


@by_row
def test_default_client_is_clean(lab: Lab, row: Row) -> None:
    """The client with its defaults does not enter the state, though it was provoked."""
    seen = row.detect(lab, build)
    assert seen.provoked >= row.needs, seen
    assert seen.bad == 0, seen


@pytest.mark.parametrize(
    ("row", "twin"),
    [
        pytest.param(row, twin, id=f"{row.name}: {name}")
        for row in ROWS
        for name, twin in row.twins.items()
    ],
)
@leaky
def test_broken_twin_is_caught(lab: Lab, row: Row, twin: Make) -> None:
    """A client with one part broken is caught by the same detector, or it is none."""
    seen = row.detect(lab, twin)
    gc.collect()
    assert seen.bad > 0, seen


@pytest.mark.parametrize(
    ("row", "survivor"),
    [
        pytest.param(row, survivor, id=f"{row.name}: {name}")
        for row in ROWS
        for name, survivor in row.survivors.items()
    ],
)
def test_second_line_of_defence_holds(lab: Lab, row: Row, survivor: Make) -> None:
    """Where one part is broken and another makes up for it, the state is not entered."""
    seen = row.detect(lab, survivor)
    assert seen.provoked >= row.needs, seen
    assert seen.bad == 0, seen


@pytest.mark.parametrize(
    ("row", "contender", "known"),
    [
        pytest.param(row, contender, known, id=f"{row.name}: {contender.__name__} {known.value}")
        for row in ROWS
        for contender, known in row.pymemcache.items()
        if known is not Known.SHOWN
    ],
)
@leaky
def test_pymemcache_is_as_recorded(lab: Lab, row: Row, contender: Make, known: Known) -> None:
    """What the table says of pymemcache's own clients is what they do."""
    seen = row.detect(lab, contender)
    gc.collect()
    assert (seen.bad > 0) == (known is Known.BAD), seen

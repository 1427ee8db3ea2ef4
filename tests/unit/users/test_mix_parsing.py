"""A mix is understood or refused in one line that names the part and the way out."""

from __future__ import annotations

import pytest

from users.presets import MixError, parse_mix


@pytest.mark.parametrize(
    ("text", "mix"),
    [
        ("get=100", {"get": 100}),
        ("get=60,set=30, delete=5 incr=5", {"get": 60, "set": 30, "delete": 5, "incr": 5}),
        ("get=1,set=0", {"get": 1, "set": 0}),
    ],
)
def test_weights_by_operation(text: str, mix: dict[str, int]) -> None:
    assert parse_mix(text) == mix


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gett=100", "did you mean get"),
        ("fetch=100", "known are get, set"),
        ("get", "OPERATION=WEIGHT"),
        ("get=", "OPERATION=WEIGHT"),
        ("get=-1", "OPERATION=WEIGHT"),
        ("get=1.5", "OPERATION=WEIGHT"),
        ("get=²", "OPERATION=WEIGHT"),
        ("get=1,get=2", "twice"),
        ("get=0", "nothing to do"),
        (" ", "nothing to do"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(MixError, match=says) as refusal:
        parse_mix(text)
    assert "\n" not in str(refusal.value)

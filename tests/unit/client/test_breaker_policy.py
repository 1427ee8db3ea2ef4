"""The breaker's rules as tables: what a call says of its node, when to open, for how long."""

from __future__ import annotations

import math
from typing import Any

import gevent
import hypothesis
import pytest
from hypothesis import strategies as st

from client import errors
from client.breaker_policy import FAILURE, IGNORED, SUCCESS, open_seconds, trips, verdict_of
from client.breaker_settings import BREAKER_PROFILES, COUNTABLE, BreakerSettings
from client.operation import Outcome

DEFAULT = BreakerSettings()

VERDICTS = {
    "no reply in time": (errors.OperationTimeout(), FAILURE),
    "no connection in time": (errors.ConnectTimeout(), FAILURE),
    "refused": (errors.ConnectRefused(), FAILURE),
    "unreachable": (errors.Unreachable(), FAILURE),
    "closed by the node": (errors.ConnectionClosed(), FAILURE),
    "nonsense for a reply": (errors.ProtocolError(), FAILURE),
    "the node says the request is wrong": (errors.ClientError(), SUCCESS),
    "the node says it cannot": (errors.ServerError(), SUCCESS),
    "a full pool": (errors.PoolExhausted(), IGNORED),
    "no descriptors here": (errors.OutOfResources(), IGNORED),
    "refused by the breaker": (errors.BreakerOpen(), IGNORED),
    "after close": (errors.ClientClosed(), IGNORED),
    "an illegal key": (errors.IllegalKey(), IGNORED),
    "a kill": (gevent.GreenletExit(), IGNORED),
    "a caller's timeout block": (gevent.Timeout(1), IGNORED),
    "an interrupt": (KeyboardInterrupt(), IGNORED),
    "a programming error": (TypeError(), IGNORED),
}


@pytest.mark.parametrize(("error", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdicts_by_default(error: BaseException, verdict: int) -> None:
    """A node is blamed for what it does, and praised only for what it answers in good order."""
    assert verdict_of(error, DEFAULT) == verdict


@pytest.mark.parametrize("word", COUNTABLE)
def test_what_counts_is_settable(word: Outcome) -> None:
    """Every outcome of a call that went to the node can be counted or ignored, by its word."""
    error = next(error for error, _ in VERDICTS.values() if getattr(error, "outcome", "") == word)
    assert verdict_of(error, BreakerSettings(counted=[word.value])) == FAILURE
    assert verdict_of(error, BreakerSettings(ignored=[word.value])) == IGNORED


@pytest.mark.parametrize(
    "error", [errors.BreakerOpen(), errors.IllegalKey(), SystemExit()], ids=repr
)
def test_what_never_went_to_a_node_never_counts(error: BaseException) -> None:
    """No setting makes the node pay for a call that ended before it was asked."""
    assert verdict_of(error, BreakerSettings(counted=COUNTABLE)) == IGNORED


RATES = BreakerSettings(
    consecutive_failures=5,
    failure_rate=0.5,
    minimum_calls=10,
    slow_call_s=0.1,
    slow_call_rate=0.8,
)
COUNTS = {
    "nothing": ((0, 0, 0, 0), False),
    "a streak": ((5, 5, 5, 0), True),
    "a streak in a window that was cleared": ((5, 0, 0, 0), True),
    "too few calls for a rate": ((4, 9, 9, 9), False),
    "the failure rate": ((1, 10, 5, 0), True),
    "below the failure rate": ((1, 11, 5, 0), False),
    "the slow rate": ((0, 10, 0, 8), True),
    "below the slow rate": ((0, 10, 0, 7), False),
    "each rate by itself": ((1, 10, 4, 7), False),
}


@pytest.mark.parametrize(("counts", "opens"), COUNTS.values(), ids=COUNTS.keys())
def test_what_opens(counts: tuple[int, int, int, int], opens: bool) -> None:
    """(streak, calls, failures, slow): a streak alone, or a rate of at least minimum_calls."""
    assert trips(RATES, *counts) == opens


def test_slow_calls_count_only_when_asked_for() -> None:
    """Without slow_call_s no number of slow calls opens anything."""
    assert DEFAULT.slow_call_s is None
    assert not trips(DEFAULT, 0, 1_000, 0, 1_000)


@hypothesis.given(
    profile=st.sampled_from(sorted(BREAKER_PROFILES)),
    rounds=st.integers(0, 10**6),
    spread=st.floats(0, 1, exclude_max=True),
)
def test_open_times_stay_within_their_limits(profile: str, rounds: int, spread: float) -> None:
    """Never above open_max_s, never below the first one less its jitter, whatever the rounds."""
    settings = BREAKER_PROFILES[profile]
    seconds = open_seconds(settings, rounds, spread)
    assert settings.open_s * (1 - settings.open_jitter) <= seconds <= settings.open_max_s


def test_open_times_grow_to_a_cap_that_can_be_set() -> None:
    """Each failed round multiplies; the cap holds from then on."""
    settings = BreakerSettings(open_s=1.0, open_growth=2.0, open_max_s=5.0, open_jitter=0.0)
    assert [open_seconds(settings, rounds, 0.7) for rounds in range(5)] == [1, 2, 4, 5, 5]
    assert BreakerSettings().open_max_s == 1.5


REFUSED: dict[str, dict[str, Any]] = {
    "consecutive_failures": {"consecutive_failures": 0},
    "failure_rate": {"failure_rate": 1.5},
    "failure_rate ": {"failure_rate": math.nan},
    "window_s": {"window_s": -1.0},
    "open_jitter": {"open_jitter": 1.0},
    "open_growth": {"open_growth": 0.5},
    "open_s": {"open_s": 3.0},
    "half_open_probes": {"half_open_probes": True},
    "slow_call_s": {"slow_call_s": 0},
    "slow_call_rate": {"slow_call_rate": 0.0},
    "did you mean 'timeout'": {"ignored": ["timeouts"]},
    "known: ": {"counted": ["miss"]},
    "must be a list": {"counted": "timeout"},
    "both counted and ignored": {"counted": ["timeout"], "ignored": ["timeout"]},
}


@pytest.mark.parametrize(("line", "bad"), REFUSED.items(), ids=REFUSED.keys())
def test_settings_refuse_nonsense(line: str, bad: dict[str, Any]) -> None:
    """Every bad number is one line that names the setting or shows the way out."""
    with pytest.raises(ValueError, match=line.strip()) as refusal:
        BreakerSettings(**bad)
    assert "\n" not in str(refusal.value)


def test_settings_stay_hashable_and_equal() -> None:
    """A list of outcomes becomes a tuple: settings are values."""
    one = BreakerSettings(ignored=["timeout"])
    assert one == BreakerSettings(ignored=(Outcome.TIMEOUT,))
    assert hash(one) == hash(BreakerSettings.of({"ignored": ["timeout"]}))

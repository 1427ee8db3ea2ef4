"""A stepped clock is seen by the client and not by Locust, and is put back exactly."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

from users.wallclock import SteppedClock, shift_s, true_time

TRUE, TRUE_NS = time.time, time.time_ns
SLACK_S = 1.0  # between two looks at a clock on a busy machine; the steps are far larger


def module(name: str, text: str) -> ModuleType:
    made = ModuleType(name)
    exec(text, made.__dict__)
    sys.modules[name] = made
    return made


@pytest.fixture
def clock() -> Iterator[SteppedClock]:
    made = SteppedClock(-3600.0)
    yield made
    made.back()
    for name in [name for name in sys.modules if name.split(".")[0] == "made_up_client"]:
        del sys.modules[name]


def test_code_sees_the_step_and_then_the_very_same_functions_again(clock: SteppedClock) -> None:
    """Seconds and nanoseconds step together; what is put back is what was there."""
    clock.step()
    assert clock.is_on
    assert shift_s() == pytest.approx(-3600, abs=SLACK_S)
    assert time.time_ns() / 1e9 == pytest.approx(true_time() - 3600, abs=SLACK_S)
    clock.back()
    clock.back()
    assert (time.time, time.time_ns) == (TRUE, TRUE_NS)
    assert shift_s() == pytest.approx(0, abs=SLACK_S)


def test_a_name_that_a_module_gave_the_clock_steps_too(clock: SteppedClock) -> None:
    """`from time import time` is no way around it, and is put back as well."""
    client = module("made_up_client", "from time import time as now\nimport time\n")
    clock.step()
    assert client.now() == pytest.approx(true_time() - 3600, abs=SLACK_S)
    clock.back()
    assert client.now is TRUE


def test_locust_and_monotonic_clocks_know_nothing_of_it(clock: SteppedClock) -> None:
    """Locust's tables are kept in seconds of the wall clock; deadlines never were."""
    client = module("made_up_client.locust", "import time\ndef now(): return time.time()\n")
    harness = ModuleType("locust.made_up")
    exec("import time\ndef now(): return time.time()\n", harness.__dict__)
    before = time.monotonic()
    clock.step()
    assert harness.now() == pytest.approx(true_time(), abs=SLACK_S)
    assert client.now() == pytest.approx(true_time() - 3600, abs=SLACK_S)
    assert 0 <= time.monotonic() - before < 60

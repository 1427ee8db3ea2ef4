"""Clients that move keys between nodes, and those with a connection for each greenlet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import HOLE, MOVERS, SHORT, STILL, Control, convicted, parameters

OF_KEYS = ("no_lost_writes", "no_lost_updates", "no_stale_reads", "no_false_misses")
THREAD_LOCAL = [
    "python_memcached",
    pytest.param("binary_memcached", marks=pytest.mark.prove),
    pytest.param("django_pymemcache", marks=pytest.mark.prove),
]


@pytest.mark.parametrize("control", parameters(MOVERS))
def test_a_fault_besides_moving_keys_is_convicted(judge: Callable, control: Control) -> None:
    """That keys move excuses what a left-out node still holds, and nothing else."""
    result = judge(control.arguments, timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert control.checks <= convicted(result.verdict), str(result)


@pytest.mark.prove
@pytest.mark.parametrize(
    "client",
    [
        ("memquake", "--failover", "rehash"),
        ("pymemcache-hash",),
        ("tests.clients.thread_local:django_pymemcache",),
    ],
)
def test_moving_keys_alone_convicts_nobody_of_wrong_answers(
    run_locust: Callable, client: tuple[str, ...]
) -> None:
    """By option, by the library's own failover, or in a form of its own: all are judged alike."""
    result = run_locust([*HOLE, "--client", *client], timeout_s=150, cwd=CHECKOUT)
    assert not convicted(result.verdict) & {*OF_KEYS}, str(result)
    figures = result.verdict["figures"]
    assert figures["moved_writes"]["value"] > 0, str(result)


MANY_USERS = (*STILL[:2], "-u", "500", "--target-rate", "60", "-t", "8s", "MultiGetUser")
"""At the end there are still users that call for the first time: each has a connection of its own
from then on."""


@pytest.mark.prove
@pytest.mark.parametrize("client", THREAD_LOCAL)
def test_connections_of_greenlets_are_no_leak_however_late_they_come(
    run_locust: Callable, client: str
) -> None:
    """Their number grows to the end, and beyond what any pool would need for the calls at once."""
    arguments = [*MANY_USERS, "--client", f"tests.clients.thread_local:{client}"]
    result = run_locust(arguments, timeout_s=60, cwd=CHECKOUT)
    assert result.check("no_leaks")["verdict"] == "PASS", str(result)


@pytest.mark.parametrize("client", THREAD_LOCAL)
def test_a_connection_for_each_greenlet_is_no_leak(run_locust: Callable, client: str) -> None:
    """The harness's own users have ended before it is counted."""
    arguments = [*SHORT, "--client", f"tests.clients.thread_local:{client}"]
    result = run_locust(arguments, timeout_s=60, cwd=CHECKOUT)
    assert result.check("no_leaks")["verdict"] == "PASS", str(result)

"""A client that ends or silences its process is convicted of it, in any number of processes."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from memquake.paths import CHECKOUT
from tests.e2e.controls import convicted
from tests.e2e.test_distributed_runs import wait_for

LOAD = ("--scenario", "none", "-t", "12s", "-u", "10", "--target-rate", "300")
SUMMED_UP_S = 10.0  # by the guard of a dead harness: an interpreter, and some files to read


def of(client: str, *more: str) -> list[str]:
    return [*LOAD, "--client", f"tests.e2e.broken_processes:{client}", *more]


@pytest.mark.parametrize("client", ["exits", pytest.param("kills_itself", marks=pytest.mark.prove)])
def test_python_code_cannot_end_its_process(run_locust: Callable, client: str) -> None:
    """The run goes on to its verdict, which names what was called and where."""
    result = run_locust(of(client), timeout_s=90, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    check = result.check("predictable_errors")
    assert check["verdict"] == "FAIL", str(result)
    assert "broken_processes.py" in json.dumps(check), str(result)
    assert result.check("no_wrong_values")["verdict"] != "FAIL", str(result)


@pytest.mark.prove
@pytest.mark.parametrize(
    ("client", "check"),
    [
        ("aborts", "predictable_errors"),
        ("crashes", "predictable_errors"),
        ("falls_silent", "hub_not_blocked"),
    ],
)
def test_a_client_that_takes_its_workers_along(
    run_locust: Callable, client: str, check: str
) -> None:
    """The master reads their last stacks."""
    result = run_locust(of(client, "--processes", "2"), timeout_s=150, cwd=CHECKOUT)
    assert result.exit_code == 1, str(result)
    assert check in convicted(result.verdict), str(result)


@pytest.mark.prove
def test_a_client_that_takes_the_master_along(start_locust: Callable) -> None:
    """In a local run it is one process: the guard has the verdict written."""
    locust = start_locust(of("aborts"), cwd=CHECKOUT)
    locust.process.wait(90)
    assert locust.process.returncode == -signal.SIGABRT
    wait_for(lambda: locust.result().verdict is not None, SUMMED_UP_S, "the verdict")
    found: dict[str, Any] = locust.result().verdict
    assert (found["verdict"], found["exit_code"]) == ("FAIL", 1)
    assert convicted(found) == {"predictable_errors"}
    locust.assert_nothing_left()


@pytest.mark.prove
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_somebody_else_ends_convicts_nobody(
    start_locust: Callable, number: signal.Signals
) -> None:
    """Killed, or stopped in the middle of a call: there is no stack of the client's to hold."""
    arguments = [*LOAD, "--processes", "2", "--client", "memquake"]
    locust = start_locust(arguments, cwd=CHECKOUT)
    wait_for(lambda: "running" in locust.stdout, 60, "the load")
    time.sleep(4.0)
    own = psutil.Process(locust.pid).cmdline()  # a forked worker has its master's
    worker = next(p for p in locust.members() if p.pid != locust.pid and p.cmdline() == own)
    worker.send_signal(number)
    time.sleep(12.0)
    if number == signal.SIGSTOP:
        worker.send_signal(signal.SIGCONT)
    result = locust.finish(90)
    assert not convicted(result.verdict), str(result)

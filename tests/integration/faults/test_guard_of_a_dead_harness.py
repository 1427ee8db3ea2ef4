"""Whatever becomes of the harness, its faults are undone and its children do not outlive it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.probe import stats, version
from cluster.toxiproxy import Toxiproxy
from faults.errors import FaultError
from faults.guard import Guard, undo_disabled, undo_toxic
from memquake.paths import CHECKOUT

SCRIPT = Path(__file__).parent / "harness_under_test.py"
WITHIN_S = 3.0  # the promise: after the death of the harness everything is undone by then
Bounded = Callable[..., Any]


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Harness:
    """The script, what it said, and the Toxiproxy it has broken."""

    def __init__(self, api: Toxiproxy, url: str, ports: list[int]) -> None:
        self.api = api
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), url, *map(str, ports)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        assert self.process.stdout is not None
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.children: dict[str, int] = self.told["children"]

    def healed(self) -> bool:
        proxies = self.api.proxies().values()
        return all(proxy.enabled and not proxy.known_toxics for proxy in proxies)

    def next_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def end(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
        self.process.wait(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        guard = self.told["guard"]
        deadline = time.monotonic() + 5
        while is_running(guard) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.api.close()


@pytest.fixture
def harness(memcached: Callable[..., Any], toxiproxy: Any) -> Iterator[Harness]:
    api = Toxiproxy(toxiproxy.url)
    servers = [memcached(), memcached()]
    # One proxy is there before, one is made by the harness.
    api.create(name="theirs", listen="127.0.0.1:0", upstream=servers[0].label)
    running = Harness(api, toxiproxy.url, [server.port for server in servers])
    yield running
    running.end()


def test_a_killed_harness_leaves_nothing(harness: Harness, bounded: Bounded) -> None:
    """SIGKILL: within 3 s no toxic, no closed proxy, no child, no guard."""
    assert not harness.healed()
    assert any(proxy.known_toxics for proxy in harness.api.proxies().values())
    began = time.monotonic()
    harness.process.kill()
    pids = [*harness.children.values(), harness.told["guard"]]
    bounded(
        lambda: harness.healed() and not any(is_running(pid) for pid in pids),
        within_s=WITHIN_S,
        what="everything undone and every child gone",
    )
    assert time.monotonic() - began < WITHIN_S
    assert harness.api.proxy("theirs").enabled


def test_a_halted_harness_is_healed_and_keeps_its_children(
    harness: Harness, bounded: Bounded
) -> None:
    """SIGSTOP: after two seconds without heartbeat all faults are undone; children live on.

    Once it goes on, it learns what the guard did.
    """
    harness.process.send_signal(signal.SIGSTOP)
    bounded(harness.healed, within_s=5.0, what="the faults undone")
    hung = psutil.Process(harness.children["node2"])
    bounded(lambda: hung.status() != psutil.STATUS_STOPPED)
    crashed = ("127.0.0.1", harness.told["direct"]["node1"])
    bounded(lambda: answers(crashed), what="the crashed node answering")
    assert all(is_running(pid) for name, pid in harness.children.items() if name != "node1")
    respawned = stats(crashed, 1)["pid"]
    harness.process.send_signal(signal.SIGCONT)
    ids = {harness.next_line()["id"] for _ in range(5)}
    assert ids == {"cut@node1", "hole@node2", "crash@node1", "hang@node2"}
    harness.process.kill()
    bounded(lambda: not is_running(respawned), within_s=WITHIN_S, what="the restarted node gone")


def test_signals_that_end_the_harness_do_not_end_the_guard(
    harness: Harness, bounded: Bounded
) -> None:
    """SIGINT, SIGTERM and SIGHUP are for the harness; the guard stays until its pipe ends."""
    guard = harness.told["guard"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard, number)
    time.sleep(0.2)
    assert is_running(guard)
    assert os.getsid(guard) == guard != os.getsid(0)
    harness.process.terminate()
    bounded(lambda: harness.healed() and not is_running(guard), within_s=WITHIN_S)


def answers(address: tuple[str, int]) -> bool:
    try:
        return bool(version(address, 0.3))
    except OSError:
        return False


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    guard.start()
    yield guard
    guard.close()
    assert not guard.alive


@pytest.fixture
def api(toxiproxy: Any) -> Iterator[Toxiproxy]:
    api = Toxiproxy(toxiproxy.url)
    api.create(name="p", listen="127.0.0.1:0", upstream="127.0.0.1:1")
    yield api
    api.close()


def test_a_missed_deadline_is_made_good(guard: Guard, api: Toxiproxy, bounded: Bounded) -> None:
    """The undo that is overdue is carried out, the others wait."""
    api.set_enabled("p", False)
    api.add_toxic("p", "memquake-x", "timeout", {"timeout": 0}, "downstream")
    guard.register("soon", undo_disabled(api.url, "p"), 0.3)
    guard.register("later", undo_toxic(api.url, "p", "memquake-x"), 60)

    def events() -> list[dict[str, Any]]:
        guard.heartbeat()
        return guard.events()

    (event,) = bounded(events, within_s=3.0)
    assert (event["what"], event["id"]) == ("undone", "soon")
    assert "deadline" in guard.acted["soon"]
    assert api.proxy("p").enabled
    assert api.proxy("p").known_toxics


def test_what_is_done_is_not_undone(guard: Guard, api: Toxiproxy) -> None:
    """A withdrawn undo never happens, and an orderly end is quick."""
    api.set_enabled("p", False)
    guard.register("x", undo_disabled(api.url, "p"), 0.3)
    guard.done("x")
    time.sleep(0.6)
    began = time.monotonic()
    guard.close()
    assert time.monotonic() - began < 2
    assert guard.events() == []
    assert not api.proxy("p").enabled


def test_closing_undoes_what_is_still_registered(guard: Guard, api: Toxiproxy) -> None:
    """The end of the pipe is the end of the harness, whoever closes it."""
    api.set_enabled("p", False)
    guard.register("x", undo_disabled(api.url, "p"), 60)
    guard.close()
    assert api.proxy("p").enabled
    assert [event["id"] for event in guard.events()] == ["x"]


def test_a_dead_toxiproxy_does_not_keep_the_children_alive(
    guard: Guard, free_port: Callable[[], int], bounded: Bounded
) -> None:
    """An undo that cannot work is given up in time."""
    child = subprocess.Popen(["sleep", "60"])
    guard.child(child.pid)
    guard.register("x", undo_disabled(f"http://127.0.0.1:{free_port()}", "p"), 60)
    began = time.monotonic()
    guard.close()
    assert time.monotonic() - began < WITHIN_S + 1
    bounded(lambda: child.poll() is not None)


def test_a_child_that_was_forgotten_lives(guard: Guard) -> None:
    """Only children that are registered at the end are ended."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        guard.child(child.pid)
        guard.forget_child(child.pid)
        guard.close()
        time.sleep(0.2)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait(5)


def test_a_guard_that_was_killed_takes_no_more_undos(guard: Guard, bounded: Bounded) -> None:
    """Without a guard nothing may be broken, and registering says so."""
    assert guard.pid is not None
    os.kill(guard.pid, signal.SIGKILL)
    bounded(lambda: not guard.alive)
    with pytest.raises(FaultError, match="guard process is gone"):
        guard.register("x", undo_disabled("http://127.0.0.1:1", "p"), 60)

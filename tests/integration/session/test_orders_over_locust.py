"""Orders between a real Locust master and real workers, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner

from faults.backends.workers import WorkersBackend
from faults.effect import Effect
from faults.errors import FaultError
from faults.planned import PlannedFault
from session import clientside, messages
from session.clientside import OrderBook
from session.orders import Orders
from telemetry.recorder import Recorder
from users.context import LoadContext, LoadSettings
from users.origin import Origin

WAIT_S = 10.0
STEP_S = 3600.0
STEP = PlannedFault(
    id="a",
    kind="clock_step",
    effects=frozenset(),
    nodes=("node1",),
    at_s=0.0,
    duration_s=30.0,
    attributes={"by_s": STEP_S},
)
ABORT = PlannedFault(
    id="b",
    kind="abort",
    effects=frozenset({Effect.INTERRUPTED}),
    nodes=("node1",),
    at_s=0.0,
    duration_s=30.0,
    attributes={"abort_share": 0.5},
)


def eventually(check: Callable[[], bool], what: str) -> None:
    with gevent.Timeout(WAIT_S, AssertionError(f"waited {WAIT_S} s for {what}")):
        while not check():
            gevent.sleep(0.02)


def close(end: Any) -> None:
    """Close one end with its context, which Locust leaves to the garbage collector."""
    context = end.socket.context
    end.close(linger=0)
    context.term()


class SlowClient:
    """Answers after a moment, so that a call can be cut off."""

    def get(self, key: str) -> Any:
        gevent.sleep(0.002)


class Side:
    """The worker's side of the messages, and a user that calls."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self.load = LoadContext(
            client=SlowClient(),
            recorder=Recorder(),
            nodes=[],
            settings=LoadSettings(),
            origin=Origin(0.0),
        )
        self.load.enrol(self, 0)
        self.book = OrderBook(self.load)
        self.client: Any = None
        runner.register_message(messages.ORDERS, self._on_orders)
        self.user = gevent.spawn(self._call)

    def take_client(self, client: Any) -> None:
        self.client = client

    def _on_orders(self, msg: Any, **_: Any) -> None:
        answer = {"run": msg.data["run"], **self.book.take(msg.data)}
        self.runner.send_message(messages.ORDERED, answer)

    def _call(self) -> None:
        while True:
            try:
                self.client.get("k")
            except Exception:
                gevent.sleep(0)

    def stop(self) -> None:
        self.user.kill()
        self.book.close()


class Crew:
    """A master with workers that come and go."""

    def __init__(self, master: MasterRunner) -> None:
        self.master = master
        self.sides: dict[str, Side] = {}
        self.orders = Orders(master)
        self.backend = WorkersBackend(self.orders)
        master.register_message(
            messages.ORDERED, lambda msg, **_: self.orders.answered(msg.node_id, msg.data)
        )
        self.orders.begin("run", lambda: list(self.sides))

    def hire(self) -> str:
        runner = Environment(user_classes=[]).create_worker_runner(
            "127.0.0.1", self.master.server.port
        )
        side = Side(runner)
        name = str(runner.client_id)
        eventually(lambda: name in self.master.clients, "the worker to be known")
        self.sides[name] = side
        return name

    def lose(self, name: str) -> Side:
        """Let a worker go silent; the master knows that it is lost."""
        side = self.sides.pop(name)
        side.runner.greenlet.kill(block=True, timeout=WAIT_S)
        return side


@pytest.fixture
def crew() -> Iterator[Crew]:
    runner = Environment(user_classes=[]).create_master_runner("127.0.0.1", 0)
    found = Crew(runner)
    hired: list[Side] = []
    hire = found.hire

    def noted() -> str:
        name = hire()
        hired.append(found.sides[name])
        return name

    found.hire = noted  # type: ignore[method-assign]  # so that all are ended below
    yield found
    found.backend.clean()
    for side in hired:
        side.stop()
        side.runner.greenlet.kill(block=True, timeout=WAIT_S)
        close(side.runner.client)
    runner.quit()
    runner.greenlet.kill(block=True, timeout=WAIT_S)
    close(runner.server)


def test_calls_are_cut_off_in_every_worker_in_late_ones_too_and_dead_ones_hold_nobody_up(
    crew: Crew,
) -> None:
    """From the order to its end, over workers that come and go."""
    crew.hire()
    dead = crew.hire()
    crew.backend.inject(ABORT)
    assert crew.backend.read_back(ABORT).startswith("carried out by 2 load processes")
    assert "calls cut off" in crew.backend.observe(ABORT)
    crew.lose(dead)
    late = crew.hire()

    def late_one_cuts() -> bool:
        word = crew.orders.heard("b")[late] or {}
        return int(word.get("by_timeout", 0)) + int(word.get("by_kill", 0)) > 0

    eventually(late_one_cuts, "the late worker to cut calls off")
    began = time.monotonic()
    crew.backend.heal(ABORT)
    assert crew.backend.read_back_healed(ABORT) == "ended in 2 load processes"
    assert time.monotonic() - began < WAIT_S
    assert "no call is cut off any more" in crew.backend.observe_healed(ABORT)
    assert all(isinstance(side.client, SlowClient) for side in crew.sides.values())


def test_a_worker_ends_its_orders_when_the_master_is_gone(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes the order back, and yet the clock is right again."""
    monkeypatch.setattr(clientside, "SILENCE_S", 1.0)
    name = crew.hire()
    crew.backend.inject(STEP)
    crew.backend.read_back(STEP)
    assert "+3600" in crew.backend.observe(STEP)
    stepped = time.time
    side = crew.lose(name)  # hears nothing any more, like one whose master died
    eventually(lambda: time.time is not stepped, "the worker to end it by itself")
    assert abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < 5
    assert side.book.take({"number": 9, "orders": []})["said"] == {}


def test_in_a_local_run_the_process_orders_itself() -> None:
    """Locust's local runner delivers messages on the spot."""
    runner: LocalRunner = Environment(user_classes=[]).create_local_runner()
    side = Side(runner)
    orders = Orders(runner)
    backend = WorkersBackend(orders)
    runner.register_message(
        messages.ORDERED, lambda msg, **_: orders.answered(msg.node_id, msg.data)
    )
    try:
        orders.begin("run", lambda: ["local"])
        backend.inject(ABORT)
        backend.inject(STEP)
        assert backend.read_back(ABORT) == "carried out by 1 load process: local"
        assert "calls cut off" in backend.observe(ABORT)
        assert "local +3600" in backend.observe(STEP)
        with pytest.raises(FaultError, match="still carries out a"):
            backend.observe_healed(STEP)
        assert len(backend.clean()) == 2
        assert backend.read_back_healed(STEP) == "ended in 1 load process"
        assert backend.leftovers() == []
    finally:
        side.stop()
        runner.quit()

"""Reports arrive exactly once, whatever the messages do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locust.exception import RPCSendError
from locust.rpc.protocol import Message

from client.operation import Outcome
from telemetry.collector import Collector
from telemetry.delivery import HELD_AT_MOST, RESENT_AT_MOST, Inbox, Outbox
from telemetry.recorder import Recorder
from telemetry.report import Reporter
from telemetry.timeline import Timeline


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Network:
    """Messages on their way, in the hands of the test; each really goes through the wire form."""

    def __init__(self) -> None:
        self.under_way: list[tuple[FakeRunner, bytes]] = []
        self.clock = FakeClock()
        self.cut = False

    def deliver(self, index: int, keep: bool = False) -> None:
        to, raw = self.under_way[index] if keep else self.under_way.pop(index)
        message = Message.unserialize(raw)
        to.listeners[message.type](environment=None, msg=message)

    def deliver_all(self) -> None:
        while self.under_way:
            self.deliver(0)

    def sleep(self, seconds: float) -> None:
        """Let time pass in which everything arrives."""
        self.clock.now += seconds
        self.deliver_all()


class FakeRunner:
    """What Locust's runners do with messages of our own."""

    def __init__(self, network: Network, node_id: str) -> None:
        self.network = network
        self.node_id = node_id
        self.others: dict[str, FakeRunner] = {}
        self.listeners: dict[str, Callable[..., None]] = {}

    def register_message(
        self, msg_type: str, listener: Callable[..., None], concurrent: bool = False
    ) -> None:
        if msg_type in self.listeners:
            raise Exception(f"{msg_type} registered twice")
        self.listeners[msg_type] = listener

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        if self.network.cut:
            raise RPCSendError("ZMQ sent failure")
        to = self.others[client_id or "master"]
        node_id = client_id or self.node_id
        self.network.under_way.append((to, Message(msg_type, data, node_id).serialize()))


class World:
    """One master, some workers, a network in between."""

    def __init__(self, workers: int = 1) -> None:
        self.network = Network()
        clock, sleep = self.network.clock, self.network.sleep
        self.master = FakeRunner(self.network, "master")
        self.timeline = Timeline(clock)
        self.collector = Collector(self.master, clock=clock, sleep=sleep)
        self.collector.begin("run", self.timeline)
        self.recorders: list[Recorder] = []
        self.reporters: list[Reporter] = []
        self.runners: list[FakeRunner] = []
        for number in range(workers):
            runner = FakeRunner(self.network, f"w{number}")
            runner.others["master"] = self.master
            self.master.others[runner.node_id] = runner
            recorder = Recorder(clock)
            recorder.start(0.0)
            self.runners.append(runner)
            self.recorders.append(recorder)
            self.reporters.append(Reporter(runner, recorder, run="run", clock=clock, sleep=sleep))

    def record(self, worker: int, count: int) -> None:
        now = self.network.clock.now
        for _ in range(count):
            self.recorders[worker].record("get", "node1", Outcome.HIT, now, now, now + 0.001, 1, 1)


STEP = st.one_of(
    st.tuples(st.just("record"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("report"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("deliver"), st.just(0), st.integers(0, 30)),
    st.tuples(st.just("drop"), st.just(0), st.integers(0, 30)),
    st.tuples(st.just("double"), st.just(0), st.integers(0, 30)),
    st.tuples(st.just("wait"), st.just(0), st.integers(1, 3)),
    st.tuples(st.just("cut"), st.just(0), st.integers(0, 1)),
)


def take_step(world: World, step: tuple[str, int, int]) -> None:
    what, worker, number = step
    network = world.network
    if what == "record":
        world.record(worker, number)
    elif what == "report":
        world.reporters[worker].report()
    elif what == "wait":
        network.clock.now += number
    elif what == "cut":
        network.cut = bool(number)
    elif network.under_way:
        index = number % len(network.under_way)
        if what == "drop":
            network.under_way.pop(index)
        elif not network.cut:  # the answer could not be sent
            network.deliver(index, keep=what == "double")


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_every_operation_is_counted_once(steps: list[tuple[str, int, int]]) -> None:
    """Under any drops, doubles and reorderings the master ends with the workers' own totals."""
    world = World(workers=2)
    for step in steps:
        take_step(world, step)
        for worker, recorder in enumerate(world.recorders):
            record = world.collector.workers.get(f"w{worker}")
            merged = world.timeline.operations.get(f"w{worker}", 0)
            assert merged == (record.operations if record else 0)
            assert merged <= recorder.totals()["operations"]
    world.network.cut = False
    assert all(r.finish({"worker": n}) for n, r in enumerate(world.reporters))
    for worker, recorder in enumerate(world.recorders):
        record = world.collector.workers[f"w{worker}"]
        assert record.totals == recorder.totals()
        assert record.operations == recorder.totals()["operations"]
        assert record.unaccounted == 0
        assert record.final == {"worker": worker}
    total = sum(recorder.totals()["operations"] for recorder in world.recorders)
    assert world.timeline.totals()["operations"] == total
    assert world.collector.wait_final(["w0", "w1"], timeout=0) == []


def test_an_unanswered_report_is_repeated_after_two_seconds() -> None:
    """A lost message costs time, not operations."""
    world = World()
    world.record(0, 3)
    world.reporters[0].report()
    world.network.under_way.clear()
    world.network.clock.now += 1.0
    world.reporters[0].report()
    assert len(world.network.under_way) == 1
    world.network.deliver_all()
    assert world.timeline.totals()["operations"] == 0
    world.network.clock.now += 1.0
    world.reporters[0].report()
    world.network.deliver_all()
    assert world.timeline.totals()["operations"] == 3


def test_what_is_missing_is_known() -> None:
    """When a worker dies after a lost report, its own totals say how much no report brought."""
    world = World()
    world.record(0, 3)
    world.reporters[0].report()
    world.network.under_way.clear()
    world.record(0, 4)
    world.reporters[0].report()
    world.network.deliver_all()
    record = world.collector.workers["w0"]
    assert (record.operations, record.unaccounted) == (0, 7)


def test_finish_gives_up_in_bounded_time() -> None:
    """A master that never answers holds a worker for five seconds, no longer."""
    world = World()
    world.network.cut = True
    assert world.reporters[0].finish({}) is False
    assert 5.0 <= world.network.clock.now < 5.2


def test_wait_final_names_who_is_missing() -> None:
    """Waiting for the last reports is bounded and says whose did not come."""
    world = World(workers=2)
    world.reporters[0].finish({})
    began = world.network.clock.now
    assert world.collector.wait_final(["w0", "w1", "w9"], timeout=3.0) == ["w1", "w9"]
    assert 3.0 <= world.network.clock.now - began < 3.2


def test_a_report_of_another_run_changes_nothing_and_is_told_so() -> None:
    """A worker left over from the last run stops repeating, and spoils no numbers."""
    world = World()
    world.collector.begin("next run", Timeline(world.network.clock))
    world.record(0, 3)
    assert world.reporters[0].finish({}) is False
    assert world.reporters[0].foreign
    assert world.network.clock.now < 1.0
    assert world.collector.workers == {}
    assert world.timeline.totals()["operations"] == 0


def test_runs_can_follow_each_other_in_one_process() -> None:
    """Listeners are registered once; the newest run gets the messages."""
    world = World()
    world.record(0, 3)
    assert world.reporters[0].finish({})
    second = Timeline(world.network.clock)
    world.collector.begin("second", second)
    recorder = Recorder(world.network.clock)
    recorder.start(0.0)
    recorder.record("get", "node1", Outcome.HIT, 0.5, 0.5, 0.6)
    reporter = Reporter(
        world.runners[0],
        recorder,
        run="second",
        clock=world.network.clock,
        sleep=world.network.sleep,
    )
    assert reporter.finish({"second": True})
    assert second.totals()["operations"] == 1
    assert world.timeline.totals()["operations"] == 3


def test_a_new_incarnation_counts_beside_the_old_one() -> None:
    """A restarted process under the same name begins at 1 again and loses nothing."""
    world = World()
    world.record(0, 3)
    assert world.reporters[0].finish({})
    recorder = Recorder(world.network.clock)
    recorder.start(0.0)
    clock, sleep = world.network.clock, world.network.sleep
    again = Reporter(world.runners[0], recorder, run="run", clock=clock, sleep=sleep)
    world.recorders[0] = recorder
    world.record(0, 2)
    assert again.finish({})
    assert world.collector.workers["w0"].operations == 5
    assert world.collector.workers["w0"].unaccounted == 0


def test_a_report_that_cannot_be_merged_stops_no_other() -> None:
    """One broken report leaves its operations unaccounted; the next ones count."""
    world = World()
    world.record(0, 2)
    world.reporters[0].report()
    to, raw = world.network.under_way[0]
    message = Message.unserialize(raw)
    message.data["body"]["seconds"] = [{"t": 0, "c": [["get"]]}]
    world.network.under_way[0] = (to, message.serialize())
    world.record(0, 3)
    world.reporters[0].report()
    world.network.deliver_all()
    record = world.collector.workers["w0"]
    assert (record.operations, record.unaccounted) == (3, 2)


@settings(deadline=None)
@given(st.permutations(list(range(1, 9))), st.lists(st.integers(1, 8), max_size=10))
def test_an_inbox_applies_each_number_once_and_in_order(
    order: list[int], doubles: list[int]
) -> None:
    """Whatever the order of arrival, the order of application is 1, 2, 3, ..."""
    inbox, applied = Inbox(), []
    for number in [*order, *doubles]:
        applied += [report["n"] for report in inbox.accept(number, {"n": number})]
    assert applied == list(range(1, 9))


def test_an_inbox_holds_only_so_many() -> None:
    """Reports beyond the bound are refused unanswered, so their sender repeats them."""
    inbox = Inbox()
    for number in range(2, HELD_AT_MOST + 10):
        assert inbox.accept(number, {"n": number}) == []
    assert inbox.applied == 0
    assert len(inbox.accept(1, {"n": 1})) == HELD_AT_MOST + 1


@pytest.mark.parametrize(
    ("elapsed_s", "resend", "wanted"),
    [
        pytest.param(0.0, False, [3], id="only what is new"),
        pytest.param(1.9, False, [3], id="an answer may take a while"),
        pytest.param(2.0, False, [1, 2, 3], id="then all are repeated in order"),
        pytest.param(0.0, True, [1, 2, 3], id="or when asked to"),
    ],
)
def test_an_outbox_repeats_what_is_overdue(
    elapsed_s: float, resend: bool, wanted: list[int]
) -> None:
    """Unanswered reports go again once the oldest has waited long enough."""
    clock = FakeClock()
    outbox = Outbox(clock)
    outbox.put({})
    outbox.put({})
    outbox.due()
    clock.now += elapsed_s
    outbox.put({})
    assert [number for number, _ in outbox.due(resend=resend)] == wanted
    outbox.acknowledge(2)
    assert not outbox.is_empty
    outbox.acknowledge(3)
    assert outbox.is_empty


def test_an_outage_fills_no_queue() -> None:
    """While nobody answers, only a few are repeated; once somebody does, all are, bit by bit."""
    clock = FakeClock()
    outbox = Outbox(clock)
    sent = 0
    for _ in range(60):
        outbox.put({})
        sent += len(outbox.due())
        clock.now += 1.0
    assert sent <= 60 + 30 * RESENT_AT_MOST
    again: list[int] = []
    while not outbox.is_empty:
        clock.now += 2.0
        numbers = [number for number, _ in outbox.due()]
        assert 0 < len(numbers) <= RESENT_AT_MOST
        again += numbers
        outbox.acknowledge(numbers[-1])
    assert again == list(range(1, 61))

"""The driver does what the plan says when it says so, and leaves nothing broken behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from faults.driver import FaultDriver, Joinable
from faults.errors import FaultError, ScenarioError
from faults.journal import UNSEEN, Journal
from faults.plan import Plan, make_plan
from faults.planned import PlannedFault
from faults.scenario import scenario_from_text


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.at and self.at[0][0] <= self.now:
            self.at.pop(0)[1]()


class Done:
    def join(self, timeout: float | None = None) -> None:
        """Nothing is under way."""


def at_once(work: Callable[[], None]) -> Joinable:
    work()
    return Done()


class FakeBackend:
    """Keeps what is broken; `trouble` names the calls that fail."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.broken: set[tuple[str, str]] = set()
        self.log: list[tuple[float, str, str]] = []
        self.trouble: dict[str, Exception] = {}
        self.missing = ""

    def _did(self, what: str, fault: PlannedFault) -> None:
        self.log.append((round(self.clock.now, 3), what, fault.id))
        if what in self.trouble:
            raise self.trouble[what]

    def needs(self, fault: PlannedFault) -> str:
        return self.missing

    def stand_in(self, fault: PlannedFault) -> str:
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        return {node: {"kind": "toxiproxy"} for node in fault.nodes}

    def inject(self, fault: PlannedFault) -> None:
        self.broken |= {(fault.id, node) for node in fault.nodes}
        self._did("inject", fault)

    def read_back(self, fault: PlannedFault) -> str:
        self._did("read_back", fault)
        return "applied"

    def observe(self, fault: PlannedFault) -> str:
        self._did("observe", fault)
        return "felt"

    def heal(self, fault: PlannedFault) -> None:
        self._did("heal", fault)
        self.broken -= {(fault.id, node) for node in fault.nodes}

    def read_back_healed(self, fault: PlannedFault) -> str:
        return "gone"

    def observe_healed(self, fault: PlannedFault) -> str:
        self._did("answers", fault)
        return "answers"

    def clean(self) -> list[str]:
        cleaned = [f"cleaned {name}" for name, _ in self.broken]
        self.broken.clear()
        return cleaned

    def leftovers(self) -> list[str]:
        return [f"{name} on {node}" for name, node in sorted(self.broken)]


class FakeGuard:
    """Stands in for the guard process."""

    def __init__(self, log: list[tuple[float, str, str]]) -> None:
        self.log = log
        self.gone = False
        self.acted: dict[str, str] = {}

    def register(self, name: str, undo: Mapping[str, Any], deadline_s: float) -> None:
        if self.gone:
            raise FaultError("the guard process is gone")
        self.log.append((0.0, "register", name))

    def done(self, name: str) -> None:
        self.log.append((0.0, "done", name))

    def poll(self) -> None:
        """Nothing to listen to."""


def plan_of(*faults: str) -> Plan:
    text = "name: x\nfaults:\n" + "".join(f"  - {fault}\n" for fault in faults)
    return make_plan(
        scenario_from_text(text),
        seed=1,
        nodes=["node1", "node2"],
        time_scale=1,
        recovers_within_s=10,
    )


FIRST = "{id: a, at: 1s, duration: 4s, kind: down, target: {nodes: [node1]}}"
SECOND = "{id: b, after: a, duration: 2s, kind: down, target: {nodes: [node1]}}"
BESIDE = "{id: c, at: 2s, duration: 1s, kind: down, target: {nodes: [node2]}}"


class Bench:
    def __init__(self, *faults: str) -> None:
        self.clock = Clock()
        self.backend = FakeBackend(self.clock)
        self.guard = FakeGuard(self.backend.log)
        self.journal = Journal(clock=self.clock, epoch=-30.0)
        self.driver = FaultDriver(
            plan_of(*faults),
            {"toxiproxy": self.backend},
            self.journal,
            self.guard,  # type: ignore[arg-type]  # stands in for the process
            clock=self.clock,
            sleep=self.clock.sleep,
            spawn=at_once,
        )

    def acts(self) -> list[tuple[float, str, str]]:
        return [entry for entry in self.backend.log if entry[1] in ("inject", "heal")]


def test_faults_come_and_go_by_plan() -> None:
    """Overlapping faults keep their own times; a heal comes before an injection of its moment."""
    bench = Bench(FIRST, SECOND, BESIDE)
    bench.driver.run_testing(0.0)
    assert bench.acts() == [
        (1, "inject", "a"),
        (2, "inject", "c"),
        (3, "heal", "c"),
        (5, "heal", "a"),
        (5, "inject", "b"),
        (7, "heal", "b"),
    ]
    assert bench.driver.leftovers() == []
    assert bench.clock.now == pytest.approx(7.0)


def test_the_record_tells_when_in_seconds_of_the_run() -> None:
    """Testing began 30 s into the run; confirmed means read back and felt."""
    bench = Bench(FIRST)
    bench.driver.run_testing(0.0)
    (record,) = bench.journal.faults
    assert (record.planned_at_s, record.planned_end_s) == (31, 35)
    assert record.injected_at_s == pytest.approx(31)
    assert record.confirmed_at_s == pytest.approx(31)
    assert record.heal_started_s == pytest.approx(35)
    assert record.healed_at_s == pytest.approx(35)
    assert record.evidence == ["applied", "felt", "gone", "answers"]


def test_the_undo_is_with_the_guard_before_the_injection() -> None:
    """And is withdrawn after the heal, not before."""
    bench = Bench(FIRST)
    bench.driver.run_testing(0.0)
    steps = [what for _, what, _ in bench.backend.log]
    assert steps.index("register") < steps.index("inject")
    assert steps.index("heal") < steps.index("done")


def test_without_a_guard_process_nothing_is_broken() -> None:
    """A guard that is gone cannot heal, so the fault is not injected and says why."""
    bench = Bench(FIRST)
    bench.guard.gone = True
    bench.driver.run_testing(0.0)
    (record,) = bench.journal.faults
    assert "inject" not in [what for _, what, _ in bench.backend.log]
    assert record.injected_at_s is None
    assert "guard" in record.why_not


@pytest.mark.parametrize("step", ["inject", "read_back", "observe"])
def test_a_fault_that_cannot_be_proved_is_not_confirmed(step: str) -> None:
    """It is recorded with its reason, healed, and the next one goes its way."""
    bench = Bench(FIRST, SECOND)
    bench.backend.trouble[step] = FaultError("no such luck")
    bench.driver.run_testing(0.0)
    assert [record.confirmed for record in bench.journal.faults] == [False, False]
    assert all("no such luck" in record.why_not for record in bench.journal.faults)
    # What was tried may have taken effect: from then on the nodes are excused.
    assert all(record.injected_at_s is not None for record in bench.journal.faults)
    assert bench.driver.leftovers() == []


def test_an_unexpected_error_heals_and_goes_on_up() -> None:
    """A bug in a backend ends the testing phase, and nothing stays broken."""
    bench = Bench(FIRST)
    bench.backend.trouble["read_back"] = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        bench.driver.run_testing(0.0)
    assert bench.driver.leftovers() == []


def test_abort_heals_at_once_and_injects_nothing_more() -> None:
    """An abort is noticed within a tick."""
    bench = Bench(FIRST, SECOND)
    bench.clock.at = [(2.0, bench.driver.abort)]
    bench.driver.run_testing(0.0)
    assert [entry[1:] for entry in bench.acts()] == [("inject", "a"), ("heal", "a")]
    assert bench.clock.now < 2.2


def test_what_others_left_is_cleaned() -> None:
    """heal_all mends what an earlier run left behind; a second time there is nothing to do."""
    bench = Bench(FIRST)
    bench.backend.broken = {("old", "node1")}
    assert bench.driver.leftovers() == ["old on node1"]
    assert bench.driver.heal_all("before the start") == []
    assert bench.driver.leftovers() == []
    assert bench.driver.heal_all("again") == []


def test_a_heal_that_fails_is_tried_again_and_then_told() -> None:
    """What could not be healed is in the record and in the answer of heal_all."""
    bench = Bench(FIRST)
    bench.backend.trouble["heal"] = FaultError("stuck")
    bench.driver.run_testing(0.0)
    (record,) = bench.journal.faults
    assert record.healed_at_s is None
    assert "stuck" in record.why_not
    (trouble,) = bench.driver.heal_all("end")
    assert "stuck" in trouble


def test_a_fault_that_the_guard_healed_says_so() -> None:
    """The run is spoilt, and the record tells why."""
    bench = Bench(FIRST)
    bench.guard.acted = {"a@node1": "no heartbeat"}
    bench.driver.run_testing(0.0)
    assert "guard" in bench.journal.faults[0].why_not


def test_what_is_missing_is_said_before_anything_is_broken() -> None:
    """A fault without the means for it is refused in one line."""
    plan = plan_of(FIRST)
    with pytest.raises(ScenarioError, match="needs proxies"):
        FaultDriver(plan, {})
    backend = FakeBackend(Clock())
    backend.missing = "node1 stands behind no proxy"
    with pytest.raises(ScenarioError, match="stands behind no proxy"):
        FaultDriver(plan, {"toxiproxy": backend})


def test_a_short_fault_lasts_as_long_as_planned_from_its_read_back() -> None:
    """The way to the backend takes none of its time; a long fault ends by the plan."""
    bench = Bench(
        "{id: a, at: 0s, duration: 30ms, kind: down, target: {nodes: [node1]}}",
        "{id: b, at: 5s, duration: 4s, kind: down, target: {nodes: [node1]}}",
    )
    slow = bench.backend.inject

    def inject(fault: PlannedFault) -> None:
        bench.clock.sleep(0.1)
        slow(fault)

    bench.backend.inject = inject  # type: ignore[method-assign]
    bench.driver.run_testing(0.0)
    short, long = bench.driver.journal.faults
    assert short.heal_started_s is not None
    assert short.injected_at_s is not None
    assert short.heal_started_s - short.injected_at_s == pytest.approx(0.03)
    assert long.heal_started_s is not None
    assert long.heal_started_s - short.planned_at_s == pytest.approx(9.0)


def test_what_was_healed_before_a_look_is_told_apart_from_what_showed_nothing() -> None:
    """The first may still be proved by the calls that felt it; the second was looked at in vain."""
    bench = Bench("{id: a, at: 0s, duration: 1s, kind: down, target: {nodes: [node1]}}")
    late: list[Callable[[], None]] = []

    def put_off(work: Callable[[], None]) -> Joinable:
        late.append(work)
        return Done()

    bench.driver._spawn = put_off
    bench.driver.run_testing(0.0)
    for work in late:
        work()
    (record,) = bench.driver.journal.faults
    assert (record.confirmed, record.why_not) == (False, UNSEEN)
    assert record.unseen_at_s == record.injected_at_s

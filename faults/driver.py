"""Carries a plan out: injects and heals on schedule, and proves both.

One loop acts, in the order of the plan, heals before injections of the same moment; looking with
probes goes on beside it, so a slow proof delays nothing. Rules: an undo is with the guard before
its fault is injected; a fault that cannot be proved is recorded as such and healed in time; on
every way out everything is healed. It knows no Locust and judges nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from faults.backends.base import Backend
from faults.backends.registry import STANDS_IN, WAYS_OUT, build_backends
from faults.errors import FaultError, ScenarioError
from faults.guard import Guard
from faults.journal import UNSEEN, FaultRecord, Journal
from faults.planned import Plan, PlannedFault
from faults.remote import refuse_foreign_processes, refuse_remote

__all__ = [
    "FaultDriver",
    "build_backends",
    "refuse_foreign_processes",
    "refuse_remote",
]

TICK_S = 0.05  # how late an abort may be noticed
UNDO_SLACK_S = 5.0  # after its planned end the guard heals a fault that nobody healed
SHORT_S = 0.25  # the way to the backend and back is no small part of a fault shorter than this
HEAL_TRIES = 3
PROOF_WAIT_S = 4.0  # a proof ends by itself within this; then it is not waited for any more
TURN_WAIT_S = 15.0  # longest single action; whoever heals then no longer waits for its turn


class Joinable(Protocol):
    """Something under way that can be waited for."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, or so many seconds."""


Spawn = Callable[[Callable[[], None]], Joinable]


def start_thread(work: Callable[[], None]) -> Joinable:
    """Start work beside the caller; under gevent this is a greenlet."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class _Live:
    """A planned fault, its record, and what is under way for it."""

    def __init__(self, fault: PlannedFault, record: FaultRecord) -> None:
        self.fault = fault
        self.record = record
        self.touched = False  # an injection was begun, so something may have to be healed
        self.read_back_at: float | None = None  # moment of the clock
        self.gone = False  # read back as gone
        self.proof: Joinable | None = None
        self.answer: Joinable | None = None


class FaultDriver:
    """One pass of a plan. Moments are of `clock`; the journal turns them into run time."""

    def __init__(
        self,
        plan: Plan,
        backends: Mapping[str, Backend],
        journal: Journal | None = None,
        guard: Guard | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        spawn: Spawn = start_thread,
    ) -> None:
        self.plan = plan
        self.guard = guard
        self._backends = backends
        self._clock = clock
        self._sleep = sleep
        self._spawn = spawn
        self._turn = threading.Lock()
        self._aborted = False
        self._live: list[_Live] = []
        self._check_needs()
        self.journal = Journal()
        self.use(journal or self.journal)

    def use(self, journal: Journal) -> None:
        """Write into this journal from now on; every planned fault gets its record there."""
        self.journal = journal
        self._live = [_Live(fault, self._record(fault)) for fault in self.plan.faults]
        for live in self._live:
            journal.fault(live.record, "planned")

    def run_testing(self, testing_start: float) -> None:
        """Inject and heal by plan; return at the end of testing, or soon after `abort()`.

        `testing_start` is a moment of the driver's clock, at which second 0 of the plan lies.
        """
        start_s = self.journal.since_start(testing_start)
        for live in self._live:
            live.record.planned_at_s = start_s + live.fault.at_s
            live.record.planned_end_s = start_s + live.fault.end_s
        # (when, heals first, order of the plan): faults that touch do not overlap.
        actions = [(live.fault.end_s, 0, index) for index, live in enumerate(self._live)]
        actions += [(live.fault.at_s, 1, index) for index, live in enumerate(self._live)]
        try:
            for at_s, injects, index in sorted(actions):
                if not self._wait_until(testing_start + at_s):
                    break
                if injects:
                    self._inject(self._live[index])
                else:
                    self._await_length(self._live[index])
                    self._heal(self._live[index], "on schedule")
            self._wait_until(testing_start + self.plan.testing_s)
        finally:
            if self._aborted or any(live.touched and not live.gone for live in self._live):
                self.heal_all("testing was cut off")
            self._join_proofs()

    def abort(self) -> None:
        """Inject nothing more and let `run_testing` heal and return; from any thread."""
        self._aborted = True

    def heal_all(self, why: str) -> list[str]:
        """Heal every fault of ours and whatever else of ours is there; raises nothing.

        Gives what could not be healed, in one line each. Again is fine.
        """
        trouble = []
        for live in self._live:
            if live.touched and not live.gone:
                self._heal(live, why)
                if not live.gone:
                    trouble.append(f"fault {live.record.id}: {live.record.why_not}")
        for name, backend in self._backends.items():
            try:
                for line in backend.clean():
                    self.journal.note("cleaned", backend=name, what=line, why=why)
            except Exception as error:  # healing goes on with the next backend, whatever it is
                trouble.append(f"{name}: {error}")
        for line in trouble:
            self.journal.note("not_healed", what=line, why=why)
        self._join_proofs()
        return trouble

    def leftovers(self) -> list[str]:
        """Read everything back and name what is still broken by us, in one line each."""
        return [line for backend in self._backends.values() for line in backend.leftovers()]

    def _check_needs(self) -> None:
        for fault in self.plan.faults:
            where = f"scenario {self.plan.scenario}: fault {fault.id} ({fault.kind})"
            backend = self._backends.get(fault.backend)
            if backend is None:
                raise ScenarioError(f"{where} {WAYS_OUT[fault.backend]}")
            missing = backend.needs(fault)
            if missing:
                raise ScenarioError(f"{where} cannot be injected: {missing}")

    def stand_ins(self) -> dict[str, str]:
        """Give fault id -> what is done in its place on this machine, where it is not the thing."""
        found = {
            fault.id: self._backends[fault.backend].stand_in(fault) for fault in self.plan.faults
        }
        return {name: words for name, words in found.items() if words}

    def _record(self, fault: PlannedFault) -> FaultRecord:
        begin_s = self.plan.stabilization_s
        instead = self._backends[fault.backend].stand_in(fault)
        return FaultRecord(
            id=fault.id,
            kind=fault.kind,
            effects=fault.effects,
            nodes=fault.nodes,
            emulated_by=instead or fault.emulated_by,
            backend=STANDS_IN.get(fault.backend, fault.backend) if instead else fault.backend,
            planned_at_s=begin_s + fault.at_s,
            planned_end_s=begin_s + fault.end_s,
            adds_s=fault.adds_s,
        )

    def _wait_until(self, moment: float) -> bool:
        while not self._aborted and (left := moment - self._clock()) > 0:
            self._sleep(min(left, TICK_S))
        return not self._aborted

    def _await_length(self, live: _Live) -> None:
        """Let a short fault last as long as planned from its read-back on, not from its order."""
        if live.read_back_at is not None:
            length_s = min(live.fault.duration_s, SHORT_S)
            self._wait_until(live.read_back_at + length_s)

    def _inject(self, live: _Live) -> None:
        self._await_answers(live.fault.nodes)
        taken = self._turn.acquire(timeout=TURN_WAIT_S)
        try:
            if self._aborted or live.touched:
                return
            self._break(live)
        finally:
            if taken:
                self._turn.release()
        if live.record.why_not:
            # Half of it may be in place; an unproved fault is worth nothing to anybody.
            self._heal(live, "it could not be injected")

    def _break(self, live: _Live) -> None:
        """Register, inject, read back; what fails is the record's `why_not`."""
        fault, record = live.fault, live.record
        backend = self._backends[fault.backend]
        try:
            undos = backend.undos(fault)
            live.touched = True
            if self.guard is not None:
                for node, undo in undos.items():
                    due_s = fault.duration_s + UNDO_SLACK_S
                    self.guard.register(_undo_id(fault, node), undo, due_s)
            record.begun_at_s = self.journal.now_s()
            backend.inject(fault)
            record.injected_at_s = self.journal.now_s()
            self.journal.fault(record, "injected")
            record.evidence.append(backend.read_back(fault))
        except FaultError as why:
            record.why_not = str(why)
            if record.injected_at_s is None:
                record.injected_at_s = record.begun_at_s  # it may have taken effect all the same
            self.journal.fault(record, "not_injected")
            return
        read_back_s = self.journal.now_s()
        live.read_back_at = self._clock()
        live.proof = self._spawn(lambda: self._prove(live, backend, read_back_s))

    def _prove(self, live: _Live, backend: Backend, read_back_s: float) -> None:
        # The fault counts from its read-back; the look that proves it may take a while longer.
        record = live.record
        try:
            seen = backend.observe(live.fault)
        except Exception as why:
            if record.heal_started_s is None:
                record.why_not = f"its effect was not seen: {why}"
                self.journal.fault(record, "not_confirmed")
            else:
                self._note_unseen(record, read_back_s)
            return
        record.evidence.append(seen)
        if record.heal_started_s is not None:
            self._note_unseen(record, read_back_s)
            return
        record.confirmed_at_s = read_back_s
        self.journal.fault(record, "confirmed")

    def _note_unseen(self, record: FaultRecord, read_back_s: float) -> None:
        """Note that no look was taken in time: what the users' calls felt may still prove it."""
        record.unseen_at_s = read_back_s
        record.why_not = UNSEEN
        self.journal.fault(record, "not_confirmed")

    def _heal(self, live: _Live, why: str) -> None:
        """Heal one fault and read it back, a few times if need be; raises no FaultError."""
        fault, record = live.fault, live.record
        backend = self._backends[fault.backend]
        taken = self._turn.acquire(timeout=TURN_WAIT_S)
        try:
            if live.gone or not live.touched:
                return
            if record.heal_started_s is None:
                record.heal_started_s = self.journal.now_s()
            for _ in range(HEAL_TRIES):
                try:
                    backend.heal(fault)
                    record.evidence.append(backend.read_back_healed(fault))
                    live.gone = True
                    break
                except FaultError as error:
                    problem = f"not healed: {error}"
            else:
                record.why_not = problem
                self.journal.fault(record, "not_healed")
                return
            self._dismiss_guard(fault, record)
        finally:
            if taken:
                self._turn.release()
        self.journal.note("healing", id=record.id, why=why)
        live.answer = self._spawn(lambda: self._await_answer(live, backend))

    def _dismiss_guard(self, fault: PlannedFault, record: FaultRecord) -> None:
        if self.guard is None:
            return
        self.guard.poll()
        for node in fault.nodes:
            name = _undo_id(fault, node)
            self.guard.done(name)
            if name in self.guard.acted:
                record.why_not = f"the guard healed {node} first: {self.guard.acted[name]}"

    def _await_answer(self, live: _Live, backend: Backend) -> None:
        record = live.record
        try:
            record.evidence.append(backend.observe_healed(live.fault))
        except Exception as why:
            record.why_not = f"no answer after healing: {why}"
            self.journal.fault(record, "not_healed")
            return
        record.healed_at_s = self.journal.now_s()
        self.journal.fault(record, "healed")

    def _await_answers(self, nodes: tuple[str, ...]) -> None:
        """Let the proof that a node is back end before the next fault hits it."""
        for live in self._live:
            if live.answer is not None and set(live.fault.nodes) & set(nodes):
                live.answer.join(PROOF_WAIT_S)

    def _join_proofs(self) -> None:
        for live in self._live:
            for under_way in (live.proof, live.answer):
                if under_way is not None:
                    under_way.join(PROOF_WAIT_S)


def _undo_id(fault: PlannedFault, node: str) -> str:
    return f"{fault.id}@{node}"

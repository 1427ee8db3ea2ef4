"""From one scenario of a suite to the next: users away, a pause, servers anew, start.

Every scenario finds fresh servers, so that nothing an earlier one did can be held against it; of
nodes that were given only the proxies are renewed. Workers stay connected. Whoever stops the test
stops the suite. What is next is the suite's own business.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gevent
from locust.runners import MasterRunner

from session.options import USER_ERRORS, Checked
from session.suite import SuiteSession
from session.suite_plan import PAUSE_S, SuitePlan, Turn
from settings import MAX_SPAWN_RATE

if TYPE_CHECKING:
    from session.master import MasterSession
    from session.run import MasterRun

WORKERS_BACK_S = 10.0  # a worker says that it is ready again as soon as its users are gone
POLL_S = 0.05
STOPPED = "stopped before its end"


class Succession:
    """The suite of a master session, when there is one, and the way through it."""

    def __init__(self, master: MasterSession) -> None:
        self.suite: SuiteSession | None = None
        self.is_starting = False  # the run that begins now is one of the suite's
        self._master = master
        self._is_stopping = False  # it is the suite itself that ends the users

    @property
    def under_way(self) -> bool:
        """Whether a suite is not over yet."""
        return self.suite is not None and not self.suite.over

    def check(self, plan: SuitePlan | None) -> None:
        """Refuse faults that this machine has no means for, before anything is broken.

        Raises FaultError, but not for a suite that goes on after such a scenario.
        """
        if plan is None or plan.keep_going:
            return
        for turn in plan.first:
            settings = turn.settings
            if settings.plan is not None and settings.addresses is None:
                self._master.make_driver(settings.plan, quiet=True)

    def begin(self, plan: SuitePlan | None) -> None:
        """Begin a suite, or a run that is none; the first turn's settings become the master's."""
        self.suite = None
        if plan is not None:
            self.suite = SuiteSession(plan)
            turn = self.suite.next_turn()
            assert turn is not None
            self._master.settings = turn.settings

    # -- what happens to the runs -----------------------------------------------------------

    def ended(self, run: MasterRun) -> bool:
        """Take over a run that came to its own end; whether there is a suite to go on with."""
        suite = self.suite
        if suite is None or suite.over:
            return False
        suite.note_run(run, interrupted=bool(suite.stop_asked))
        self._tell_exit_code()
        gevent.spawn(self._go_on)
        return True

    def refused(self, why: str) -> bool:
        """Take note that a run could not be set up; whether there is a suite to go on with."""
        suite = self.suite
        if suite is None or suite.over:
            return False
        suite.note_refused(why)
        run = self._master.run
        if run is not None:
            run.failure = run.failure or why  # it is not judged, whoever ends it
        self._tell_exit_code()
        gevent.spawn(self._go_on)
        return True

    def stopped(self, run: MasterRun | None, *, by_all_means: bool = False) -> None:
        """End the suite: somebody stopped the test. `run` was under way then, and is judged."""
        suite = self.suite
        if suite is None or suite.over or (self._is_stopping and not by_all_means):
            return
        endless = suite.plan.rounds is None  # somebody's word is the only end it has
        suite.stop_asked = suite.stop_asked or ("stopped" if endless else STOPPED)
        if run is not None:
            suite.note_run(run, interrupted=True)
        suite.end()
        self._tell_exit_code()

    def _tell_exit_code(self) -> None:
        if self.suite is not None:
            self._master.environment.process_exit_code = self.suite.result().exit_code

    # -- from one to the next ---------------------------------------------------------------

    def _go_on(self) -> None:
        suite, master = self.suite, self._master
        assert suite is not None
        pause_ends = time.monotonic() + PAUSE_S
        workers = self._workers()
        self._is_stopping = True
        try:
            master.runner.stop()
        finally:
            self._is_stopping = False
        master.users_are_gone()
        while not suite.over:
            try:
                turn = suite.next_turn()
                if turn is None:
                    self._end()
                    return
                gevent.sleep(max(0.0, pause_ends - time.monotonic()))
                self._await_workers(workers)
                if suite.over or suite.stop_asked:
                    continue
                master.renew_cluster(turn.settings)
            except (*USER_ERRORS, OSError) as error:
                suite.note_refused(str(error))
                continue
            self._start(turn)
            return

    def _start(self, turn: Turn) -> None:
        master, settings = self._master, turn.settings
        master.settings = settings
        rate = Checked.spawn_rate or min(float(settings.users), MAX_SPAWN_RATE)
        self.is_starting = True
        master.runner.start(settings.users, rate)

    def _end(self) -> None:
        suite = self.suite
        assert suite is not None
        suite.end()
        self._tell_exit_code()
        self._master.leave()

    def _workers(self) -> int:
        runner: Any = self._master.runner
        return len(runner.clients.all) if isinstance(runner, MasterRunner) else 0

    def _await_workers(self, wanted: int) -> None:
        """Wait until the workers are ready again, so that the load is split over all of them."""
        runner, suite = self._master.runner, self.suite
        assert suite is not None
        limit = time.monotonic() + WORKERS_BACK_S
        while wanted and len(runner.clients.ready) < wanted and time.monotonic() < limit:
            gevent.sleep(POLL_S)
        if isinstance(runner, MasterRunner) and not runner.clients.ready:
            suite.stop_asked = "every worker was lost"
        if not self._master.guard.alive:
            suite.stop_asked = "the guard process died: without it nothing may be broken"

"""The life of a user: join the run, prepare, wait for the start, iterate at intended starts, end.

Locust spawns and kills; the session of the worker says when the load begins and stops. In between
a user takes the next slot of its class whenever it is idle, so whoever waits for a dead node holds
nobody up. What an iteration does is for others to know.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from locust import User, task
from locust.user.task import LOCUST_STATE_RUNNING

from users.context import LoadContext
from users.location import LocationError
from users.pacing import RECHECK_S
from users.prefill import PrefillError
from users.strangers import ends_the_user, words_of

logger = logging.getLogger("locust.memquake")

ITERATIONS_A_TASK = 50  # spreads the cost of Locust's task loop, and bounds the time between yields
POLL_S = 0.1  # how soon a waiting user notices that the run begins or ends


class PacedUser(User):
    """A user that iterates at the pace of its class. Subclasses give `prepare` and `iterate`."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.load: LoadContext | None = None
        self._name = type(self).__name__
        self._is_ready = False
        self._is_ending = False  # Locust has asked this user to end, or is about to kill it

    # What a subclass provides --------------------------------------------------------------------

    def prepare(self) -> None:
        """Choose the keys and store them. Raises PrefillError or LocationError."""
        raise NotImplementedError

    def iterate(self) -> None:
        """Do one iteration: one or more measured calls. Runs once for each slot."""
        raise NotImplementedError

    # Life of a user ------------------------------------------------------------------------------

    def stop(self, force: bool = False) -> bool:
        """Remember that the end is wanted: from now on a kill of the greenlet is believed."""
        self._is_ending = True
        return bool(super().stop(force))

    def on_start(self) -> None:
        """Take the context of the run, prepare, and wait until the load begins."""
        while (load := getattr(self.environment, "memquake", None)) is None or load.is_stopping:
            gevent.sleep(POLL_S)
            if self._state != LOCUST_STATE_RUNNING:
                return
        self.join(load)
        gevent.sleep(0)  # lets the users spawned with this one arrive before anyone counts them
        try:
            self.prepare()
        except (PrefillError, LocationError) as error:
            load.fail(f"{self._name}: {error}")
        except BaseException as error:
            if ends_the_user(error):
                raise
            logger.exception("%s cannot prepare", self._name)
            load.fail(f"{self._name} cannot prepare: {words_of(error)}")
        else:
            self._is_ready = True
            load.ready()
        while not load.go.wait(POLL_S) and self._state == LOCUST_STATE_RUNNING:
            pass

    def join(self, load: LoadContext) -> None:
        """Become a user of this run and bind what every iteration needs."""
        self.load = load
        self.index = load.arrive(self._name)
        self._intended: float | None = None  # of the iteration under way, until a call takes it
        self._clock = load.clock
        self._recorder = load.recorder

    def on_stop(self) -> None:
        """Leave the counts of the run."""
        if self.load is not None:
            self.load.leave(self._name, self._is_ready)
            self.load = None

    @task
    def traffic(self) -> None:
        """Iterate a number of times, each at its intended start."""
        for _ in range(ITERATIONS_A_TASK):
            if self._state != LOCUST_STATE_RUNNING:
                return
            load = self.load
            if load is None or load.is_stopping or not self._is_ready:
                gevent.sleep(POLL_S)
                continue
            if self._recorder.paced and not self._await_slot(load):
                continue
            load.iterating += 1
            if load.iterating > load.peak_calls:  # no more calls than iterations are under way
                load.note_call()
            try:
                self.iterate()
            finally:
                load.iterating -= 1

    def _await_slot(self, load: LoadContext) -> bool:
        """Take the next slot of this class and sleep until it is due. False when there is none."""
        schedule = load.schedules.get(self._name)
        slot = None if schedule is None else schedule.take(self._clock())
        if schedule is None or slot is None:
            gevent.sleep(RECHECK_S)
            return False
        delay = slot - self._clock()
        if delay > 0:
            try:
                gevent.sleep(delay)
            except BaseException:
                schedule.put_back(slot)
                raise
            if load.is_stopping:
                return False
        now = self._clock()
        self._intended = min(slot, now)  # a timer may fire a moment early
        self._recorder.pacing(now, sent=1)
        return True

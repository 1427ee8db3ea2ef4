"""The master's (or local runner's) side of the whole process: cluster, guard, one run at a time.

Locust's events lead here. Set-up happens once, before any worker is told anything; a problem then
is one line and exit code 2. Every way out heals first and stops every child by its pid.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import time
from argparse import Namespace
from typing import Any

import gevent

from cluster.binaries import find_memcached, find_toxiproxy
from cluster.embedded import EmbeddedCluster
from cluster.errors import ClusterError
from cluster.orphans import end_orphans
from faults.backends.nft import delete_orphans
from faults.driver import FaultDriver, build_backends
from faults.guard import Guard
from faults.plan import Plan
from memquake.version import VERSION
from report.outcome import print_suite
from session import messages
from session.broken_off import tell_broken_off
from session.failure import exit_main, say, wait_idle
from session.locust_output import people
from session.nodes import given_cluster
from session.options import USAGE_ERROR, USER_ERRORS, Checked, form_options
from session.orders import Orders
from session.run import MasterRun, RunError
from session.subject import build_bounded, close_bounded
from session.succession import STOPPED, Succession
from session.suite_plan import plan_suite
from settings import Settings, resolve_settings
from telemetry.collector import Collector
from users.foreign import estimate_ours
from verdict.model import EXIT_CODES, Ruling

logger = logging.getLogger("locust.memquake")

HEARTBEAT_EVERY_S = 0.5
STUCK_S = 20.0  # ending users and saying goodbye to workers takes a second
FINISH_S = 20.0  # last reports and their repeats, closing of clients, writing
START_S = 2.0  # from a form that was sent to a run that is there
REFUSAL_S = 0.5  # the refused worker has its answer before this process ends


def options_timeout(run: MasterRun) -> float:
    """Give the op_timeout of a run in seconds."""
    return float(run.settings.client_options.op_timeout)


class MasterSession:
    """Everything that outlives a run on the master."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.runner = environment.runner
        assert Checked.settings is not None
        self.settings: Settings = Checked.settings
        self.guard = Guard()
        self.cluster: Any = None
        self.run: MasterRun | None = None
        self.runs_ended: dict[tuple[str, str], int] = {}  # (scenario, status) -> count
        self.collector = Collector(self.runner)
        self.orders = Orders(self.runner)
        self.quitting = False
        self.runs_begun = 0
        self.succession = Succession(self)
        self._leaving_stuck: Any = None  # what ends the process when users cannot be ended
        self._asked_at = -math.inf  # when a start was last asked for in the web UI
        self.runner.register_message(messages.HELLO, self._on_hello)
        self.runner.register_message(messages.READY, self._on_ready)
        self.runner.register_message(messages.FAILED, self._on_failed)
        self.runner.register_message(messages.ORDERED, self._on_ordered)

    # -- set-up and end ---------------------------------------------------------------------

    def set_up(self) -> None:
        """Start guard and cluster and try the client once; any problem ends the process."""
        atexit.register(self.close)
        for line in [*end_orphans(), *delete_orphans()]:
            say(f"cleaned up: {line}")
        for line in tell_broken_off(self.settings.runs_dir):
            say(line)
        try:
            self.guard.start()
            gevent.spawn(self._beat)
            self.cluster = self._make_cluster(self.settings)
            self.succession.check(Checked.suite)
            self._try_client()
        except USER_ERRORS as error:
            self.close()
            self.give_up(str(error))

    def _try_client(self) -> None:
        """Build the client under test once, so that a broken one ends here and not on a worker."""
        addresses = [node.address for node in self.cluster.nodes]
        client = build_bounded(
            self.settings.client_factory, addresses, self.settings.client_options
        )
        close_bounded(client)  # what is wrong with it the run itself finds and counts

    def refuses_start(self) -> str:
        """Say why no run can be started from the form now, "" when one can."""
        now = time.monotonic()
        asked, self._asked_at = self._asked_at, now
        under_way = self.run is not None and not self.run.finished.is_set()
        if self.succession.under_way:
            return "a suite is under way: stop it before you start anything else"
        if under_way or now - asked < START_S:
            return "a run is under way: stop it before you start another one"
        return ""

    def _make_cluster(self, settings: Settings) -> Any:
        if settings.addresses is None:
            cluster: Any = EmbeddedCluster(
                settings.embedded_nodes, find_memcached(), find_toxiproxy(), self.guard
            )
        else:
            cluster = given_cluster(settings, self.guard)
        cluster.start()
        return cluster

    def _beat(self) -> None:
        while self.guard.alive:
            self.guard.heartbeat()
            gevent.sleep(HEARTBEAT_EVERY_S)

    def give_up(self, line: str) -> None:
        """Say why nothing can run, end the workers, and end this process with exit code 2."""
        say(line)
        self.environment.process_exit_code = USAGE_ERROR
        for worker in list(getattr(self.runner, "clients", {})):
            self.runner.send_message("quit", None, client_id=worker)
        exit_main()

    def close(self) -> None:
        """Heal, stop every child, let the guard go. Safe to call again."""
        cluster, self.cluster = self.cluster, None
        if cluster is not None:
            cluster.stop()
        if self.run is not None:
            self.run.give_up()
        self.guard.close()

    # -- messages ---------------------------------------------------------------------------

    def _on_hello(self, msg: Any, **_: Any) -> None:
        theirs = str(msg.data.get("version"))
        if theirs != VERSION:
            why = (
                f"worker {msg.node_id} has memquake {theirs}, the master has {VERSION}: "
                "start it from the same checkout"
            )
            self.runner.send_message(messages.REFUSE, {"why": why}, client_id=msg.node_id)
            if self.environment.parsed_options.headless:
                gevent.spawn_later(REFUSAL_S, self.give_up, why)
            else:
                say(why)
            return
        self.runner.send_message(messages.WELCOME, {}, client_id=msg.node_id)
        if self.run is not None and not self.run.finishing:
            data = self.run.run_message() | {"moved": self.orders.moved()}
            self.runner.send_message(messages.RUN, data, client_id=msg.node_id)

    def _on_ready(self, msg: Any, **_: Any) -> None:
        if self.run is not None and self.run.id == msg.data["run"]:
            self.run.heard(msg.node_id, msg.data)

    def _on_failed(self, msg: Any, **_: Any) -> None:
        if self.run is not None and self.run.id == msg.data["run"]:
            self.run.cannot_serve(msg.node_id, msg.data["why"])

    def _on_ordered(self, msg: Any, **_: Any) -> None:
        self.orders.answered(msg.node_id, msg.data)

    # -- Locust's events --------------------------------------------------------------------

    def on_test_start(self, options: Namespace) -> None:
        """Prepare a run; fired before any user is spawned."""
        try:
            if self.succession.is_starting:
                self.succession.is_starting = False
            # The first run of --autostart is the command line's, every other one the form's.
            elif not options.headless and not (options.autostart and self.runs_begun == 0):
                self._take_form(options)
            else:
                self.succession.begin(Checked.suite)
            self._begin(self.make_driver(self.settings.plan))
        except (*USER_ERRORS, OSError) as error:
            self._run_failed(str(error))
        except Exception as error:
            logger.exception("memquake: the run could not begin")
            self._run_failed(f"the run could not begin: {type(error).__name__}: {error}")

    def _begin(self, driver: FaultDriver | None) -> None:
        self._check_open_files()
        self.runs_begun += 1
        # Whatever ends the process from here on: without a verdict it is no success.
        self.environment.process_exit_code = EXIT_CODES[Ruling.INCONCLUSIVE]
        self.run = MasterRun(
            environment=self.environment,
            settings=self.settings,
            cluster=self.cluster,
            collector=self.collector,
            driver=driver,
            guard=self.guard,
            expected_users=estimate_ours(
                self.runner.target_user_count, self.environment.user_classes
            ),
            spawn_rate=float(self.environment.parsed_options.spawn_rate or 0.0),
        )
        fleet = self.run.fleet
        self.orders.begin(self.run.id, lambda: [member.id for member in fleet.alive])
        self.run.prepare()
        gevent.spawn(self._drive, self.run)

    def _check_open_files(self) -> None:
        users = int(self.runner.target_user_count)
        workers = len(getattr(self.runner, "clients", {}))
        pools = self.settings.client_options.pool_size * max(1, workers)
        self.cluster.check_load(min(users, pools), here=workers == 0)

    def _take_form(self, options: Namespace) -> None:
        """Read the options again: the web form has changed them."""
        before = self.settings
        plan = plan_suite(form_options(options))
        self.succession.begin(plan)  # sets the settings
        if plan is None:
            self.settings = resolve_settings(options)
        stale = before.needs_proxies != self.settings.needs_proxies
        if self.settings.addresses is not None and stale:
            self.cluster.stop()
            self.cluster = self._make_cluster(self.settings)
        self.cluster.check()

    def renew_cluster(self, settings: Settings) -> None:
        """Replace the cluster by a fresh one. Raises ClusterError."""
        if self.cluster is not None:
            self.cluster.stop()
        self.cluster = None
        self.cluster = self._make_cluster(settings)

    def make_driver(self, plan: Plan | None, *, quiet: bool = False) -> FaultDriver | None:
        """Give what carries a plan out. Raises FaultError for what this machine cannot do."""
        if plan is None:
            return None
        if plan.doors > 1:
            self.cluster.open_doors(plan.doors)
        backends = build_backends(self.cluster, self.orders)
        driver = FaultDriver(plan, backends, guard=self.guard)
        for fault, words in driver.stand_ins().items() if not quiet else ():
            say(f"fault {fault} cannot be the real thing on this machine: {words}")
        return driver

    def _drive(self, run: MasterRun) -> None:
        if run.finishing:  # stopped while it was being prepared
            return
        try:
            run.drive()
        except RunError as error:
            run.failure = str(error)
        except ClusterError as error:
            run.cut_off(str(error), void=True)
        except Exception as error:  # the verdict must still be written, and the cause be seen
            logger.exception("memquake: the run was cut off")
            run.cut_off(f"{type(error).__name__}: {error}")
        finally:
            # In a greenlet of its own: this one may have been killed by whoever ends the run.
            gevent.spawn(self._end, run)

    def _end(self, run: MasterRun) -> None:
        """Finish the run and leave; whatever breaks in it, a headless process ends."""
        options = self.environment.parsed_options
        if options.headless:
            limit = FINISH_S + options_timeout(run) + STUCK_S + 2 * run.stop_timeout
            self._leaving_stuck = gevent.spawn(self._leave_stuck, run, limit)
        try:
            run.finish(run.failure)
        except Exception as error:
            logger.exception("memquake: the run could not be finished")
            run.failure = run.failure or f"the run could not be finished: {error}"
        if run.failure:
            self._run_failed(run.failure)
            return
        self._note_end(run)
        if self.quitting or self.runner.state in ("stopped", "stopping", "cleanup"):
            return
        if not self.succession.ended(run):
            self.leave()

    def leave(self) -> None:
        """End the process where nobody is there to start another run, else only the users."""
        if self.environment.parsed_options.headless:
            self.runner.quit()
            return
        self.runner.stop()
        self._auto_quit()

    def users_are_gone(self) -> None:
        """Call off the end of the process that users who cannot be ended would need."""
        if self._leaving_stuck is not None:
            self._leaving_stuck.kill(block=False)
            self._leaving_stuck = None

    def _auto_quit(self) -> None:
        options = self.environment.parsed_options
        if options.autostart and options.autoquit != -1:
            gevent.sleep(options.autoquit)
            self.runner.quit()
            self.environment.web_ui.stop()

    def _leave_stuck(self, run: MasterRun, limit_s: float) -> None:
        """End the process when a user cannot be killed: its client swallows even that."""
        wait_idle(limit_s)
        say("users cannot be ended, the client under test swallows their end: leaving them behind")
        self.succession.stopped(None, by_all_means=True)
        self.close()
        if suite := self.succession.suite:
            stream = people(self.environment.parsed_options)
            print_suite(suite.result(), suite.folder.path, stream)
            os._exit(suite.result().exit_code)
        os._exit(USAGE_ERROR if run.verdict is None else run.verdict.exit_code)

    def _note_end(self, run: MasterRun) -> None:
        if run.verdict is None or run.counted:
            return
        run.counted = True
        for line in run.unwritten:
            say(f"{run.folder.path.name}: {line}")
        code = run.verdict.exit_code
        # Whoever reads the folder finds no verdict there: that is no success.
        lacking = EXIT_CODES[Ruling.INCONCLUSIVE] if run.unwritten else code
        self.environment.process_exit_code = code or lacking
        key = (run.settings.scenario.name, str(run.verdict.ruling).lower())
        self.runs_ended[key] = self.runs_ended.get(key, 0) + 1

    def _run_failed(self, line: str) -> None:
        options = self.environment.parsed_options
        if self.succession.refused(line):
            say(line)
            return
        if options.headless:
            self.give_up(line)
            return
        say(line)
        self.environment.process_exit_code = USAGE_ERROR
        if options.autostart and options.autoquit != -1:
            gevent.spawn(self._auto_quit)
            return
        gevent.spawn(self.runner.stop)

    def on_spawning_complete(self) -> None:
        """Note that Locust has spawned all users it wanted."""
        if self.run is not None:
            self.run.all_spawned(self.runner.target_user_classes_count)

    def on_test_stopping(self) -> None:
        """End the run when somebody else than the run itself stops the test."""
        run = self.run
        if run is not None and not run.finished.is_set():
            run.finish("" if run.is_over_when_stopped else STOPPED)
            self._note_end(run)
            self.succession.stopped(run)
        else:
            self.succession.stopped(None)

    def on_quitting(self) -> None:
        """End what is under way; fired on a normal end, SIGINT and SIGTERM alike."""
        self.quitting = True
        self.on_test_stopping()
        self.succession.stopped(None, by_all_means=True)
        self.close()

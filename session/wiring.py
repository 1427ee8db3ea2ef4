"""Locust's events to the sessions. Registered once, at import of the locustfile, on every process.

Listeners of `quitting` run in reverse order of registration; registered here, at module level,
ours runs after those that init registered, so every statistic is in.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

import gevent
from locust import events
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from cluster.open_files import raise_own_limit
from dashboard.terminal import LiveLine
from dashboard.web import address_line, install_web
from report.outcome import print_suite, print_summary
from session.interrupts import Interrupts
from session.locust_output import leave_output_to_the_master, people
from session.master import MasterSession
from session.metrics import make_metrics, serve_metrics
from session.options import Checked, add_options, check_form
from session.streams import lasting
from session.worker import WorkerSession
from users.foreign import names_of

logger = logging.getLogger("locust.memquake")

PARENT_CHECK_S = 0.5
ENDING_S = 60.0  # longest that an end waits for another one of this process


class Process:
    """What this process plays: master, worker, or both in a local run."""

    master: MasterSession | None = None
    worker: WorkerSession | None = None
    live: LiveLine | None = None
    interrupts = Interrupts()
    is_ending = False


def wire() -> None:
    """Register every listener."""
    sys.stdout, sys.stderr = lasting(sys.stdout), lasting(sys.stderr)
    sys.excepthook = _quiet_when_interrupted
    _heed_sigterm()
    raise_own_limit()
    events.init_command_line_parser.add_listener(_on_parser)
    events.init.add_listener(_on_init)
    events.test_start.add_listener(_on_test_start)
    events.spawning_complete.add_listener(_on_spawning_complete)
    events.test_stopping.add_listener(_on_test_stopping)
    events.test_stop.add_listener(_on_test_stop)
    events.quitting.add_listener(_on_quitting)
    events.quit.add_listener(_on_quit)


def _heed_sigterm() -> None:
    """End at SIGTERM from the start on, also as the first process of a container.

    The kernel spares a first process what it does not handle, and Locust handles SIGTERM only once
    a worker has found its master: until then a container ended with its period of grace alone.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _on_parser(parser: Any, **_: Any) -> None:
    add_options(parser)


def _quiet_when_interrupted(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say an interrupt during start-up in one line; everything else as usual."""
    if issubclass(kind, KeyboardInterrupt):
        has_begun = Process.master is not None and Process.master.run is not None
        when = "while the run was ending" if has_begun else "before the run began"
        sys.stderr.write(f"memquake: interrupted {when}\n")
    else:
        sys.__excepthook__(kind, error, trace)


def _on_init(environment: Any, **_: Any) -> None:
    runner = environment.runner
    # Only a process that was forked by its master has checked the master's options.
    is_forked = isinstance(runner, WorkerRunner) and Checked.settings is not None
    options = environment.parsed_options
    if is_forked:
        leave_output_to_the_master(options)
    Process.interrupts = Interrupts(before_leaving=_await_end if is_forked else None)
    Process.interrupts.install()
    if isinstance(runner, MasterRunner | LocalRunner):
        Process.master = MasterSession(environment)
    if isinstance(runner, WorkerRunner | LocalRunner):
        Process.worker = WorkerSession(environment)
    if isinstance(runner, WorkerRunner):
        gevent.spawn(Process.worker.say_hello if Process.worker else None)
        if options.processes:
            gevent.spawn(_end_with_parent, os.getppid())
    if Process.master is not None:
        Process.master.set_up()
        metrics = make_metrics(Process.master)
        serve_metrics(Process.master, metrics)
        starts_itself = options.headless or options.autostart
        if starts_itself and isinstance(runner, MasterRunner) and Checked.worker_wait_s:
            gevent.spawn(_await_workers, Process.master, Checked.worker_wait_s)
        if environment.web_ui is not None:
            if not names_of(environment.user_classes):
                # Locust asks for a host where none is set; here the nodes take its place.
                nodes = len(Process.master.settings.node_names)
                environment.host = environment.host or f"{nodes} memcached nodes"
            gevent.spawn(_check_login, Process.master)
            install_web(
                Process.master,
                check_form=check_form,
                metrics=lambda: (metrics.render(), metrics.content_type),
            )
            people(options).write(address_line(options) + "\n")
            people(options).flush()
        elif options.headless:
            Process.live = LiveLine(Process.master, people(options))
            gevent.spawn(Process.live.run)


def _await_workers(master: MasterSession, limit_s: float) -> None:
    """End a headless master whose workers do not come, in one line."""
    wanted = master.environment.parsed_options.expect_workers
    gevent.sleep(limit_s)
    there = len(master.runner.clients)
    if master.run is None and there < wanted:
        master.close()
        master.give_up(
            f"{there} of {wanted} workers joined within {limit_s:g} s: start them with --worker "
            "and --master-host, or wait longer with --expect-workers-max-wait"
        )


def _check_login(master: MasterSession) -> None:
    """Refuse a web UI that nobody can log in to; runs when every listener of `init` has."""
    if master.environment.parsed_options.web_login:
        manager = master.environment.web_ui.login_manager
        if manager._user_callback is None and manager._request_callback is None:
            master.close()
            master.give_up(
                "--web-login: the locustfile sets no log-in up (web_ui.login_manager.user_loader): "
                "give one that does beside this with -f, or leave --web-login out"
            )


def _await_end(limit_s: float) -> None:
    """Wait until the master has ended the run this worker is in."""
    if Process.worker is not None and Process.worker.run is not None:
        Process.worker.run.ended.wait(limit_s)


def _end_with_parent(parent: int) -> None:
    """End a forked worker at once when the master that forked it is gone."""
    while os.getppid() == parent:
        gevent.sleep(PARENT_CHECK_S)
    os._exit(1)


def _on_test_start(environment: Any, **_: Any) -> None:
    if Process.master is not None:
        Process.master.on_test_start(environment.parsed_options)


def _on_spawning_complete(**_: Any) -> None:
    if Process.master is not None:
        Process.master.on_spawning_complete()


def _on_test_stopping(**_: Any) -> None:
    if Process.master is not None:
        Process.master.on_test_stopping()


def _on_test_stop(environment: Any, **_: Any) -> None:
    """Tell Locust's own report of the users that there were: ours end before it looks."""
    run = Process.master.run if Process.master is not None else None
    if run is not None and run.spawned_users:
        environment.runner.final_user_classes_count = dict(run.spawned_users)


def _on_quitting(environment: Any, **_: Any) -> None:
    # Locust would end again beside the end under way. SIG_IGN would be inherited by helpers.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if Process.is_ending:  # the main greenlet and a signal's: the first exits for both
        gevent.sleep(ENDING_S)
    Process.is_ending = True
    Process.interrupts.ending()
    if Process.master is not None:
        Process.master.on_quitting()
    elif Process.worker is not None and environment.process_exit_code is None:
        environment.process_exit_code = Process.worker.exit_code  # the master judges requests


def _on_quit(**_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a handler is gone before the interpreter is
    if Process.master is not None and Process.master.run is not None:
        if Process.live is not None:
            Process.live.stop()
        run, suite = Process.master.run, Process.master.succession.suite
        if suite is not None:
            stream = people(Process.master.environment.parsed_options)
            print_suite(suite.result(), suite.folder.path, stream)
        elif run.verdict is not None and run.facts is not None:
            stream = people(Process.master.environment.parsed_options)
            print_summary(run.verdict, run.facts, run.folder.path, stream)

"""One load-generating process in one run after another.

The master says what to prepare; this side builds the client under test, gives the users their
context, starts them all at the master's second 0, samples what only this process can see (lag of
its hub, its CPU, the client's snapshot), and at the end waits for the calls in flight, closes the
client and counts what it left behind. It never judges and never touches a fault.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import gevent
from gevent.event import Event
from locust.runners import MASTER_HEARTBEAT_TIMEOUT, WorkerRunner

from cluster.direct import NodeAccess, access_in_use, use
from cluster.node import Node
from memquake.version import VERSION
from session import messages, quiesce, resources, ways
from session.clientside import OrderBook
from session.nodes import nodes_at
from session.options import USER_ERRORS
from session.process_end import LOCAL, no_exits, stack_file
from session.riders import Riders
from session.sampling import TICK_S, Sampler
from session.subject import build_bounded, close_bounded
from session.watchdog import Watchdog
from telemetry.clock_sync import ClockSync
from telemetry.recorder import Recorder
from telemetry.report import Reporter
from users import foreign
from users.clients import ClientOptions, Factory, declares_moves, resolve
from users.context import LoadContext, LoadSettings
from users.identity import identify, versions
from users.naming import Names
from users.origin import Origin
from users.pacing import Schedule, poisson
from users.records import Records
from users.sides import SidedNames
from users.strangers import words_of

logger = logging.getLogger("locust.memquake")

HELLO_EVERY_S = 1.0
READY_EVERY_S = 0.2
MASTER_LOST = 3  # exit code: the run was broken off, as in that of the master INCONCLUSIVE
LEAVE_S = 10.0  # closing clients and ending users takes a second
USERS_END_S = 2.0  # a user inside a client that swallows its end is left behind
LEFT_MAX = 5  # kinds of greenlets named when some were left running


def _ports_of(options: Any) -> set[int]:
    """Return the ports on which this process serves people and workers."""
    ports = {options.web_port, options.master_bind_port}
    return (
        ports | {int(options.prometheus_port)} if str(options.prometheus_port).isdigit() else ports
    )


class WorkerSession:
    """The worker's half of every run of this process."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.runner = environment.runner
        self.clock = ClockSync(self.runner, on_other_master=self._on_other_master)
        self.run: WorkerRun | None = None
        self.welcomed = False
        self._told = ""  # the run this process has been told to build
        for name, handler in (
            (messages.WELCOME, self._on_welcome),
            (messages.REFUSE, self._on_refuse),
            (messages.RUN, self._on_run),
            (messages.FAULTS, self._on_faults),
            (messages.GO, self._on_go),
            (messages.RATE, self._on_rate),
            (messages.MARK, self._on_mark),
            (messages.ORDERS, self._on_orders),
            (messages.COUNT, self._on_count),
            (messages.FINISH, self._on_finish),
        ):
            self.runner.register_message(name, handler)

    def say_hello(self) -> None:
        """Ask the master for its version and for a run under way, until it answers."""
        while not self.welcomed:
            self.runner.send_message(messages.HELLO, {"version": VERSION})
            gevent.sleep(HELLO_EVERY_S)

    @property
    def exit_code(self) -> int:
        """How this process ends when nobody has said: a worker without a master is no success."""
        heard = getattr(self.runner, "last_heartbeat_timestamp", None)
        is_lost = heard is not None and time.time() - heard > MASTER_HEARTBEAT_TIMEOUT
        return MASTER_LOST if is_lost else 0

    def _on_other_master(self) -> None:
        # The run of the master before is over, and Locust lets nobody in twice.
        logger.error(
            "memquake: the master was started anew: this worker ends, whoever supervises it starts "
            "it again"
        )
        self.environment.process_exit_code = MASTER_LOST
        gevent.spawn_later(LEAVE_S, os._exit, MASTER_LOST)  # users may swallow their own end
        gevent.spawn(self._leave)

    def _leave(self) -> None:
        if self.run is not None:
            self.run.abandon()
        self.runner.quit()

    def _on_welcome(self, msg: Any, **_: Any) -> None:
        self.welcomed = True

    def _on_refuse(self, msg: Any, **_: Any) -> None:
        self.welcomed = True
        logger.error("memquake: refused by the master: %s", msg.data["why"])
        self.environment.process_exit_code = 2
        gevent.spawn(self.runner.quit)

    def _on_run(self, msg: Any, **_: Any) -> None:
        self.welcomed = True
        if msg.data["run"] == self._told:
            # Told twice: by the broadcast and as the answer to a late hello. In a local run the
            # second time may come while the first is still being obeyed: building a run takes
            # turns of the hub, and users that joined another context would wait for ever.
            return
        self._told = msg.data["run"]
        if self.run is not None:
            self.run.abandon()
        try:
            self.run = WorkerRun(self.environment, self.clock, msg.data)
        except Exception as error:
            self.run, self._told = None, ""
            known = isinstance(error, USER_ERRORS)
            why = str(error) if known else f"{type(error).__name__}: {error}"
            self.runner.send_message(messages.FAILED, {"run": msg.data["run"], "why": why})

    def _current(self, msg: Any) -> WorkerRun | None:
        run = self.run
        return run if run is not None and run.id == msg.data["run"] else None

    def _on_faults(self, msg: Any, **_: Any) -> None:
        if run := self._current(msg):
            run.context.faults.note(on=msg.data["on"])

    def _on_go(self, msg: Any, **_: Any) -> None:
        if run := self._current(msg):
            run.go(msg.data["epoch"], msg.data["rates"])

    def _on_rate(self, msg: Any, **_: Any) -> None:
        if run := self._current(msg):
            run.set_rates(msg.data["rates"])

    def _on_mark(self, msg: Any, **_: Any) -> None:
        if run := self._current(msg):
            run.rss_baseline = resources.rss_bytes()

    def _on_count(self, msg: Any, **_: Any) -> None:
        if run := self._current(msg):
            run.count_connections(while_full=True)

    def _on_orders(self, msg: Any, **_: Any) -> None:
        if run := self._current(msg):
            answer = {"run": run.id, **run.orders.take(msg.data)}
            self.runner.send_message(messages.ORDERED, answer)

    def _on_finish(self, msg: Any, **_: Any) -> None:
        # In a greenlet of its own: this handler also runs inside the loop that receives the acks.
        if run := self._current(msg):
            gevent.spawn(run.finish)


class WorkerRun:
    """One run in this process: client, context of the users, recorder, reporter."""

    rss_baseline = 0.0

    def __init__(self, environment: Any, clock: ClockSync, data: Mapping[str, Any]) -> None:
        self.id: str = data["run"]
        self.environment = environment
        self.runner = environment.runner
        self.clock = clock
        self.nodes = [Node.from_wire(node) for node in data["nodes"]]
        use(NodeAccess(**data["access"]))  # for what this process asks the nodes directly
        if isinstance(self.runner, WorkerRunner) and not data["begun"]:
            ways.look(self.nodes)
        self.op_timeout = float(data["client"]["op_timeout"])
        self.held = quiesce.HeldConnections(self.nodes)
        self.finishing = False
        self.ended = Event()  # the last report is out, or nobody waits for one
        self.own_ports = _ports_of(environment.parsed_options)
        self.before = resources.held(self.own_ports)
        self.ran_before = resources.running()
        self.names = self._make_names(data)
        self.recorder = Recorder()
        self.recorder.paced = bool(data["paced"])
        module, _, attribute = data["client_spec"].partition(":")
        modules = [module] if attribute else []  # a name's is memquake's own
        self._watched = ExitStack()  # what keeps the client from ending this process unseen
        factory = self._take_client(data, modules)
        self.context = self._make_context(data)
        self.context.accounts.declares_moves = declares_moves(factory, self.clients[0])
        environment.memquake = self.context
        self.riders = Riders(environment)
        self.riders.start()
        self.orders = OrderBook(self.context)
        self.reporter = Reporter(self.runner, self.recorder, run=self.id, clock_sync=self.clock)
        self._watch(data, [*self.clients, *modules])
        self.greenlets = [gevent.spawn(self._announce)]

    def _take_client(self, data: Mapping[str, Any], modules: Sequence[str]) -> Factory:
        """Build the client under test, and return what it was built by."""
        factory = resolve(data["client_spec"])
        self._watched.enter_context(no_exits(modules, self._note_exit))
        try:
            self.clients = self._build_clients(data, factory)
        except BaseException:
            self._watched.close()
            raise
        self.identity = identify(self.clients[0], factory, VERSION)
        self.versions = versions(VERSION)
        return factory

    def _make_context(self, data: Mapping[str, Any]) -> LoadContext:
        """Return what this run's users are given."""
        settings = LoadSettings(
            **data["load"],
            op_timeout=self.op_timeout,
            seed=data["seed"],
            worker_index=max(0, int(self.runner.worker_index)),
            run_id=self.id,
        )
        context = LoadContext(
            client=self.clients[0],
            clients=self.clients,
            recorder=self.recorder,
            nodes=self.nodes,
            beside=nodes_at(data["client"]["gutter_nodes"]),
            settings=settings,
            origin=Origin(data["load"]["origin_latency_s"]),
            go=Event(),
        )
        context.records = self.names if isinstance(self.names, Records) else None
        context.expected_rate = float(data["rate_a_user"])
        context.faults.note(on=data["faults_on"])
        return context

    def _watch(self, data: Mapping[str, Any], parts: Sequence[Any]) -> None:
        """Sample the process, and keep the stacks of the client, whose parts these are."""
        self.sampler = Sampler(
            self.context,
            self.nodes,
            pool_size=int(data["client"]["pool_size"]),
            beside=data["client"]["gutter_nodes"],
        )
        is_local = not isinstance(self.runner, WorkerRunner)
        worker = LOCAL if is_local else str(self.runner.client_id)
        if stacks := stack_file(data["folder"], worker, parts):
            self._watched.callback(stacks.close)
        self.watchdog = Watchdog(lambda: self.sampler.ticked_at, TICK_S, parts)

    def _make_names(self, data: Mapping[str, Any]) -> Names:
        """Answer for the nodes' names where they have any: by group, or as their records are."""
        named = [node for node in self.nodes if node.more_doors]
        if named and int(data["groups"]) == 1:
            return Records(named, data["moved"])
        return SidedNames(
            {node.client_address[0]: [door.address[0] for door in node.doors] for node in named}
        )

    def _build_clients(self, data: Mapping[str, Any], factory: Factory) -> list[Any]:
        """Build the client under test, once for each group of users."""
        addresses = [node.client_address for node in self.nodes]
        access = access_in_use()
        options = ClientOptions(**data["client"], tls=access.context(), auth_token=access.token())
        return [
            build_bounded(self.names.of_group(group, factory), addresses, options)
            for group in range(int(data["groups"]))
        ]

    def _announce(self) -> None:
        """Tell the master how many users are there and ready, until the run begins."""
        while not math.isfinite(self.clock.error_s):
            gevent.sleep(READY_EVERY_S)  # second 0 means nothing before the clocks are compared
        while not self.context.go.is_set():
            self.runner.send_message(
                messages.READY,
                {
                    "run": self.id,
                    "users": dict(self.context.users),
                    "ready": self.context.ready_count,
                    "problem": self.context.problem or self._spawn_problem(),
                    "stored": self.context.keys_stored,
                    "client": self.identity,
                    "versions": self.versions,
                },
            )
            gevent.sleep(READY_EVERY_S)
        while not self.finishing:  # users that arrive or leave later move the split of the rate
            gevent.sleep(1.0)
            data = {"run": self.id, "users": dict(self.context.users), "ready": 0, "problem": ""}
            self.runner.send_message(messages.READY, data | {"stored": 0})

    def _spawn_problem(self) -> str:
        """Return why Locust could not start the users, "" as long as it can."""
        spawning = getattr(self.runner, "spawning_greenlet", None)
        error = None if spawning is None else spawning.exception
        return "" if error is None else f"Locust could not start all users: {words_of(error)}"

    def go(self, epoch_master: float, rates: Mapping[str, float]) -> None:
        """Start the load at `epoch_master`, a moment of the master's clock in the near future."""
        if self.context.go.is_set():
            return
        epoch = epoch_master - self.clock.offset_s
        self.recorder.start(epoch)
        self.sampler.start(epoch)
        self.watchdog.start()
        for name, rate in rates.items():
            schedule = self._schedule(name, rate)
            schedule.start(epoch)
            self.context.schedules[name] = schedule
        self.context.accounts.start(lambda: self.recorder.epoch)
        self.clock.follow(self.recorder, epoch_master)
        self.greenlets.append(gevent.spawn(self.reporter.run))
        # All that the users have prepared lives as long as the run: a full collection that looks
        # through it would hold the hub up for 200 ms in the middle of it.
        gc.freeze()
        gevent.spawn_later(max(0.0, epoch - time.monotonic()), self.context.go.set)

    def _schedule(self, name: str, rate: float) -> Schedule:
        settings = self.context.settings
        if settings.arrivals == "poisson":
            rng = random.Random(f"{settings.seed}/{settings.worker_index}/{name}")
            return Schedule(rate, clock=time.monotonic, arrivals=poisson(rng))
        return Schedule(rate, clock=time.monotonic)

    def set_rates(self, rates: Mapping[str, float]) -> None:
        """Take over a new share of the target rate, iterations a second by user class."""
        now = time.monotonic()
        for name, rate in rates.items():
            schedule = self.context.schedules.get(name)
            if schedule is None:
                schedule = self.context.schedules[name] = self._schedule(name, rate)
                schedule.start(now)
            else:
                schedule.set_rate(rate, now)

    def count_connections(self, *, while_full: bool = False) -> None:
        """Note how many connections the client holds to each node; users' own cannot be told."""
        if not self._has_foreign_users:
            self.held.count(while_full=while_full)

    @property
    def _has_foreign_users(self) -> bool:
        return bool(foreign.names_of(self.environment.user_classes))

    def finish(self) -> None:
        """Stop the load, wait for the calls in flight, close the client, send the last report."""
        if self.finishing:
            return
        self.finishing = True
        self.orders.close()
        self.context.stop()
        self.context.go.set()  # users that never started must not wait for it
        limit = time.monotonic() + 1.1 * self.op_timeout + 1.0
        while any(self.context.inside.values()) and time.monotonic() < limit:
            gevent.sleep(0.02)
        hung = sum(self.context.inside.values())
        self.watchdog.stop()
        quiesce.let_go()
        # As long as users have what the client gave them. Users that ride along connect as well.
        past = None if self._has_foreign_users else quiesce.past_proxies(self.nodes)
        self.count_connections()
        foreign.end_all(self.runner)
        self.sampler.stop()
        in_use = self.sampler.slots_in_use()
        rss = resources.rss_bytes()
        self.riders.stop()
        ledger = self.context.accounts.finish()
        self._end_users()
        still_open = quiesce.open_connections(self.nodes)
        self._close_client()
        self._watched.close()
        gevent.killall(self.greenlets, block=True)
        gevent.sleep(0.1)  # the servers need a moment to see the connections go
        after = resources.held(self.own_ports)
        left = (resources.running() - self.ran_before).most_common(LEFT_MAX)
        self.reporter.finish(
            {
                "before": self.before,
                "after": after,
                "left_running": [f"{count} x {what}" for what, count in left],
                "rss_baseline": self.rss_baseline,
                "rss_end": rss,
                "slots_in_use": in_use,
                "hung_calls": hung,
                "ledger": ledger,
                "keys_placed": dict(self.context.keys_placed),
                "peak_calls": self.context.peak_calls,
                "open_at_quiesce": still_open,
                "past_proxies": past,
                "connections_held": self.held.most,
                "strays": self.names.strays,
                "stalls": self.watchdog.report(self.recorder.epoch),
            }
        )
        self.clock.unfollow()
        self.ended.set()

    def _end_users(self) -> None:
        """End Locust's users, in a bounded time.

        A library may keep a connection for each thread, which is each greenlet here: it is gone
        with the greenlet and no leak. Users are of no more use; Locust ends those that are left.
        """
        ending = gevent.spawn(self.runner.stop_users, self.runner.user_classes_count)
        ending.join(USERS_END_S)
        ending.kill(block=False)

    def abandon(self) -> None:
        """Let go of a run that the master no longer speaks of."""
        if not self.finishing:
            self.finishing = True
            self.orders.close()
            self.context.stop()
            self.watchdog.stop()
            self.sampler.stop()
            self.riders.stop()
            self.context.accounts.stop()
            gevent.killall(self.greenlets, block=False)
            self._close_client()
            self._watched.close()
            self.ended.set()

    def _note_exit(self, call: str, place: str) -> None:
        self.recorder.finding("ends_its_process", {"error": f"{call} at {place}"})

    def _close_client(self) -> None:
        """Close the clients under test; that one raises or hangs is a finding."""
        self.names.close()
        for client in self.clients:
            why = close_bounded(client)
            if why:
                self.recorder.finding("close_failed", {"error": why})

"""Watching a run from the master: the servers' own counts, the workers, the abort condition.

Each watcher is a greenlet that ends with the run. They note and, where the run makes no sense any
more, cut it off; judging is not theirs.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gevent

from cluster.errors import ClusterError
from cluster.node import Address, Node
from cluster.probe import (
    MADE,
    FullError,
    HungUpError,
    NotAllowedError,
    NotMemcachedError,
    ProbeError,
    SilentError,
    stats,
    version,
)
from session.nodes import nodes_at
from session.room import refuse_overflow
from telemetry.live import REPORT_LAG_S
from telemetry.locust_stats import trim
from verdict.model import NodeChange

if TYPE_CHECKING:
    from session.run import MasterRun

STATS_EVERY_S = 1.0
STATS_LIMIT_S = 0.5
COUNTERS = ("pid", "uptime", "evictions", "cmd_get", "cmd_set", "total_connections")
"""What memcached has counted since 1.2, and a proxy in front of it does not."""

OWN_CONNECTIONS = "own_connections"
LOST_AFTER_S = 3.5  # a live worker reports every second
MISSING = "missing"  # Locust's word for a worker without heartbeats


@dataclass(frozen=True)
class Look:
    """What a node answered to a question for its statistics, and when (monotonic clock)."""

    at: float
    stats: Mapping[str, int] = field(default_factory=dict)
    trouble: ProbeError | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the node is there, with statistics or without."""
        return self.trouble is None or isinstance(
            self.trouble, NotMemcachedError | FullError | NotAllowedError
        )


@dataclass(kw_only=True)
class ServerLooks:
    """What the servers of a run told before and after its load, by node."""

    connections_before: Mapping[str, int] = field(default_factory=dict)
    connections_after: Mapping[str, int] = field(default_factory=dict)
    items_before: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """Nodes that do not count as memcached does -> why."""


def server_versions(nodes: Iterable[Node]) -> dict[str, str]:
    """Give node -> the version it tells, of the nodes that answer."""
    found = {}
    for node in nodes:
        with contextlib.suppress(ProbeError, OSError):
            found[node.name] = version(node.direct, STATS_LIMIT_S)
    return found


def look_at(
    node: Node, ask: Callable[[Address, float], dict[str, int]] = stats, *, has_stats: bool = True
) -> Look:
    """Ask a node for its statistics, and with them note the connections ever made to it from here.

    Both at the same moment: what the harness itself did can be taken off exactly. One without
    statistics is only asked whether it is there.
    """
    try:
        if not has_stats:
            version(node.direct, STATS_LIMIT_S)
            return Look(time.monotonic())
        said = ask(node.direct, STATS_LIMIT_S)
    except ProbeError as error:
        return Look(time.monotonic(), trouble=error)
    return Look(time.monotonic(), {**said, OWN_CONNECTIONS: own_connections(node)})


def without_statistics(nodes: Iterable[Node]) -> dict[str, str]:
    """Return the nodes that do not count as memcached does -> why, such as proxies."""
    found: dict[str, str] = {}
    for node in nodes:
        look = look_at(node)
        if isinstance(look.trouble, NotMemcachedError | HungUpError):
            if look_at(node, has_stats=False).trouble is None:
                found[node.name] = "it does not answer `stats`"
        elif look.stats and (lacking := [name for name in COUNTERS if name not in look.stats]):
            found[node.name] = f"its `stats` have no {', '.join(lacking)}"
    return found


def look_at_all(run: MasterRun) -> dict[str, Look]:
    """Look at every node at once, and have the monitor of the run hold it against the last look.

    One look at a time: of two that overlap, the older one could come last.
    """
    with run.look_gate:
        return _look_at_all(run)


def _look_at_all(run: MasterRun) -> dict[str, Look]:
    jobs = {
        node.name: gevent.spawn(
            look_at, node, run.reader.stats, has_stats=node.name not in run.servers.uncounted
        )
        for node in run.cluster.nodes
    }
    gevent.joinall(list(jobs.values()), timeout=STATS_LIMIT_S + 0.5)
    looks = {name: job.value or _late(name) for name, job in jobs.items()}
    is_full = False
    for name, look in looks.items():
        if look.stats or (look.is_answered and name in run.servers.uncounted):
            for change in run.monitor.answered(name, look.at, look.stats):
                is_full = is_full or change is NodeChange.FULL
                if change not in (NodeChange.EVICTED, NodeChange.FULL):
                    run.journal.note("node", node=name, change=str(change))
        elif isinstance(look.trouble, FullError):
            is_full = True
            run.monitor.refused(name, look.at)
        elif not look.is_answered and run.monitor.unanswered(
            name, look.at, refused=not isinstance(look.trouble, SilentError)
        ):
            run.journal.note("node", node=name, change="does not answer", why=str(look.trouble))
    if is_full:
        run.count_connections()
    return looks


def look_beside(run: MasterRun) -> dict[str, Look]:
    """Look at the gutters: keys that move go there, and what is missed there is no node's."""
    nodes = nodes_at(run.settings.client_options.gutter_nodes)
    jobs = {node.name: gevent.spawn(look_at, node, run.reader.stats) for node in nodes}
    gevent.joinall(list(jobs.values()), timeout=STATS_LIMIT_S + 0.5)
    return {name: job.value or _late(name) for name, job in jobs.items()}


def _late(name: str) -> Look:
    return Look(time.monotonic(), trouble=SilentError(f"{name} did not answer in time"))


def look_at_the_end(run: MasterRun) -> dict[str, Look]:
    """Take the last looks of a run: what is silent now may only be late, and is asked again."""
    looks = look_at_all(run)
    if not all(look.is_answered for look in looks.values()):
        looks = look_at_all(run)
    return looks


def counted(looks: Mapping[str, Look], counter: str) -> dict[str, int]:
    """Return node -> one of its own counters, of the nodes that told it.

    `curr_connections` includes that of the asker.
    """
    return {name: look.stats[counter] for name, look in looks.items() if counter in look.stats}


def own_connections(node: Node) -> int:
    """Count the connections this process ever made to a node, through its proxies or not."""
    addresses = {node.direct, *(door.address for door in node.doors)}
    return sum(MADE[address] for address in addresses)


def watch_servers(run: MasterRun) -> None:
    """Ask every server for its own counts, past the proxies, once a second."""
    while True:
        try:
            look_once(run)
        except ClusterError as error:
            run.cut_off(str(error), void=True)
        except Exception as error:  # a watcher that breaks must not leave the run unwatched
            run.cut_off(f"watching the run failed: {type(error).__name__}: {error}")
        gevent.sleep(max(0.05, math.floor(run.now_s) + STATS_EVERY_S - run.now_s))


def look_once(run: MasterRun) -> None:
    """Take one look at servers, guard and abort condition; write the seconds that are complete."""
    second = int(run.now_s)
    looks = look_at_all(run)
    if run.epoch is None or run.now_s < 0:
        look_before_the_run(run)
        return
    for name, look in (looks | look_beside(run)).items():
        if look.stats:
            run.timeline.server(second, name, dict(look.stats))
    run.writer.write_complete(run.now_s)
    trim_locust(run)
    note_guard(run)
    if why := abort_reason(run):
        run.cut_off(why)
    run.cluster.check()
    _refuse_several(run)
    guard = run.driver.guard if run.driver is not None else None
    if guard is not None and not guard.alive:
        run.cut_off("the guard process died: without it nothing may be broken")


def look_before_the_run(run: MasterRun) -> None:
    """End a run whose nodes die, or have no room, while the first keys are stored."""
    try:
        run.cluster.check()
        _refuse_several(run)
        refuse_overflow(run)
    except ClusterError as error:
        run.failure = run.failure or str(error)


def _refuse_several(run: MasterRun) -> None:
    for name, why in run.monitor.several.items():
        raise ClusterError(f"{name} is not one server ({why}): name each server by itself")


def trim_locust(run: MasterRun) -> None:
    """Keep Locust's own statistics from growing, unless they are to be printed as JSON."""
    options = run.environment.parsed_options
    if not (options.json or options.json_file):
        trim(run.runner.stats, recent_of_each=options.stats_history_enabled)


def note_guard(run: MasterRun) -> None:
    """Note what the guard did by itself: then the run is not what was planned."""
    guard = run.driver.guard if run.driver is not None else None
    for event in guard.events() if guard is not None else ():
        run.journal.note("guard", **event)
        run.stopped_early = run.stopped_early or "the guard healed a fault by itself"


def abort_reason(run: MasterRun) -> str:
    """Say why the scenario's own abort condition ends the run, "" when it does not."""
    plan = run.settings.plan
    if plan is None or not plan.abort:
        return ""
    above, lasting_s = plan.abort["error_rate_above"], plan.abort["error_rate_for_s"]
    end = int(run.now_s - REPORT_LAG_S)
    begin = end - max(1, round(lasting_s))
    if begin < 0:
        return ""
    for second in range(begin, end):
        line = run.timeline.to_line(run.timeline.window(second))
        operations = sum(line["operations"].values())
        if not operations or sum(line["errors"].values()) <= above * operations:
            return ""
    return f"aborted: errors over {above:.0%} for {lasting_s:g} s"


def lost_while_preparing(run: MasterRun) -> str:
    """Name a worker that went away before the run began, "" when all are there."""
    clients: Any = getattr(run.runner, "clients", None)
    if clients is None:
        return ""
    for member in run.fleet.alive:
        worker = clients.get(member.id)
        if worker is None or worker.state == MISSING:
            return member.id
    return ""


def is_silent(run: MasterRun, worker: str) -> bool:
    """Tell whether a worker that has reported does so no more."""
    seen = run.collector.last_seen(worker)
    return seen is not None and time.monotonic() - seen > LOST_AFTER_S


def watch_workers(run: MasterRun) -> None:
    """Notice workers that are gone; give their share of the rate to the others."""
    clients: Any = getattr(run.runner, "clients", None)
    while clients is not None:  # a local run has no workers to lose
        gevent.sleep(0.5)
        for member in run.fleet.alive:
            if run.collector.has_final(member.id):
                continue
            worker = clients.get(member.id)
            seen = run.collector.last_seen(member.id)
            # Reports say more than Locust's heartbeats, which are late after a partition.
            if worker is not None:
                is_missing = worker.state == MISSING
                if not (is_missing if seen is None else is_silent(run, member.id)):
                    continue
            at_s = run.now_s if seen is None or run.epoch is None else seen - run.epoch
            if run.fleet.lost(member.id, at_s):
                run.journal.note("worker_lost", worker=member.id, at_s=round(at_s, 3))
                run.share_rate()
        if not run.fleet.alive:
            run.cut_off("every worker was lost")
            return

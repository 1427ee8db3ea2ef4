"""Watching a run from the master: the servers' own counts, the workers, the abort condition.

Each watcher is a greenlet that ends with the run. They note and, where the run makes no sense any
more, cut it off; judging is not theirs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gevent

from cluster.errors import ClusterError
from cluster.node import Address, Node
from cluster.probe import MADE, ProbeError, stats
from telemetry.live import REPORT_LAG_S

if TYPE_CHECKING:
    from session.run import MasterRun

STATS_EVERY_S = 1.0
STATS_LIMIT_S = 0.5
LOST_AFTER_S = 3.5  # a live worker reports every second
MISSING = "missing"  # Locust's word for a worker without heartbeats


def ask(address: Address) -> dict[str, int]:
    """Give a server's own statistics, nothing where it does not answer."""
    try:
        return stats(address, STATS_LIMIT_S)
    except (ProbeError, OSError):
        return {}  # a dead node says nothing; the journal knows why


def server_counts(nodes: Sequence[Node], counter: str) -> dict[str, int]:
    """Give node -> one of its own counters, of the nodes that answer.

    `curr_connections` includes that of the asker.
    """
    answers = {node.name: ask(node.direct) for node in nodes}
    return {name: said[counter] for name, said in answers.items() if counter in said}


def count(node: Node) -> dict[str, int]:
    """Give a server's statistics, and with them the connections this process ever made to it.

    Both at the same moment: what the harness itself did can be taken off exactly.
    """
    said = ask(node.direct)
    if said:
        said["own_connections"] = own_connections(node)
    return said


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
        gevent.sleep(max(0.05, int(run.now_s) + STATS_EVERY_S - run.now_s))


def look_once(run: MasterRun) -> None:
    """Take one look at servers, guard and abort condition; write the seconds that are complete."""
    second = int(run.now_s)
    jobs = {node.name: gevent.spawn(count, node) for node in run.cluster.nodes}
    gevent.joinall(list(jobs.values()), timeout=STATS_LIMIT_S + 0.5)
    for name, job in jobs.items():
        if job.value:
            run.timeline.server(second, name, job.value)
    run.writer.write_complete(run.now_s)
    note_guard(run)
    if why := abort_reason(run):
        run.cut_off(why)
    run.cluster.check()
    guard = run.driver.guard if run.driver is not None else None
    if guard is not None and not guard.alive:
        run.cut_off("the guard process died: without it nothing may be broken")


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

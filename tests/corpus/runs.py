"""The runs that are recorded: every kind of fault, broken clients, every way in which a run ends.

Short and slow, because their facts are kept for ever: a verdict may be INCONCLUSIVE where the
machine was busy, as long as it is the same tomorrow.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

SCENARIO = """
name: {name}
description: A short one for the corpus.
phases: {{stabilization: 8s, testing: {testing}s, recovery: 9s}}
load: {{users: 20, target_rate: 250}}
{more}
faults:
{faults}
budgets: {{recovers_within: 3s, steady_baseline: 60%}}
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run to record. `does` is done to its first process, `does_at_s` after it has begun."""

    words: tuple[str, ...]
    scenario: str = ""  # text of a scenario's file
    suite: str = ""  # text of a suite's file
    does: Callable[[psutil.Process], None] | None = None
    does_at_s: float = 0.0
    files: Mapping[str, str] = field(default_factory=dict)


def _faulty(name: str, *faults: str, more: str = "", testing: float = 6, words: str = "") -> Run:
    lines = "\n".join(f"  - {{id: f{n}, {fault}}}" for n, fault in enumerate(faults))
    text = SCENARIO.format(name=name, testing=testing, more=more, faults=lines)
    return Run(scenario=text, words=tuple(words.split()))


def _one(kind: str, *, duration: str = "5s", target: str = "{mode: one}", more: str = "") -> Run:
    """Return a run with one fault; `kind` with its attributes."""
    where = f", target: {target}" if target else ""
    fault = f"at: 0s, duration: {duration}, kind: {kind}{where}"
    return _faulty(kind.partition(",")[0], fault, more=more)


KINDS = {
    "down": _one("down"),
    "timeout": _one("timeout"),
    "timeout-both-ways": _one("timeout, direction: upstream"),
    "latency": _one("latency, latency: 100ms, jitter: 20ms"),
    "latency-everywhere": _one("latency, latency: 20ms", target="{mode: all}"),
    "bandwidth": _one("bandwidth, rate: 10KB/s"),
    "slow-close": _one("slow_close, delay: 1s, direction: both"),
    "reset-peer": _one("reset_peer"),
    "limit-data": _one("limit_data, bytes: 1000"),
    "slicer": _one("slicer, average_size: 1, delay: 5ms"),
    "stall": _one("stall, share: 30%"),
    "crash": _one("crash", duration="3s"),
    "hang": _one("hang"),
    "loss": _one("loss, percent: 25"),
    "loss-of-all": _one("loss, percent: 100"),
    "partition": _one("partition, direction: from"),
    "duplicate": _one("duplicate, percent: 50"),
    "reset": _one("reset"),
    "no-connect": _one("no_connect, open_connections: reset"),
    "memory": _one("memory, limit: 8MB", target="{mode: all}"),
    "connections": _one("connections, free: 2"),
    "flush": _one("flush", duration="1s"),
    "overload": _one("overload, rate: 300"),
    "cpu": _one("cpu, share: 5%"),
    "abort": _one("abort, share: 5%", target=""),
    "clock-step": _one("clock_step, by: 1h", target=""),
    "dns-change": _one("dns_change"),
    "split": _faulty(
        "split",
        "at: 0s, duration: 5s, kind: split, group: 1, target: {mode: one}",
        "at: 0s, duration: 5s, kind: split, group: 2, target: {mode: one}",
        more="groups: 2\nclient: {failover: rehash}",
    ),
}
"""All but pod_kill, which takes a cluster of Kubernetes."""

HOLE = "at: 0s, duration: 5s, kind: timeout, target: {nodes: [node2]}"
STEADY = ("--budget", "steady_baseline=60%")  # a machine with other work on it
CALM = (*STEADY, "--scenario", "none", "-u", "10", "--target-rate", "250", "-t", "10s")


def _broken(client: str, *words: str) -> Run:
    return Run(words=(*CALM, *words, "--client", f"tests.e2e.{client}"))


def _in_a_hole(client: str, **changes: str) -> Run:
    return _faulty("hole", HOLE, words=f"--client {client}", **changes)


CLIENTS = {
    "wrong-value": _broken("broken_clients:wrong_value"),
    "counts-twice": _broken("broken_ledger:counts_twice"),
    "remembers-too-long": _broken("broken_ledger:remembers_too_long", "HotKeyUser"),
    "acknowledges-nothing": _broken("broken_ledger:acknowledges_nothing"),
    "misses-hits": _broken("broken_answers:misses_hits"),
    "sleeps-hard": _broken("broken_witness:sleeps_hard"),
    "says-open": _broken("broken_witness:says_open"),
    "leaks": _broken("broken_witness:leaks"),
    "retries-always": _broken("broken_witness:retries_always"),
    "connects-for-every-call": _broken("broken_quietly:connects_for_every_call"),
    "leaves-a-node-unused": _broken("broken_quietly:leaves_a_node_unused"),
    "no-deadline": _in_a_hole("tests.e2e.broken_clients:no_deadline"),
    "never-closes": _in_a_hole("tests.e2e.broken_clients:never_closes"),
    "waits-every-time": _in_a_hole("tests.e2e.broken_clients:waits_every_time"),
    "raises-whole-batches": _in_a_hole("tests.e2e.broken_quietly:raises_whole_batches"),
    "calls-errors-misses": _in_a_hole("tests.e2e.broken_ledger:calls_errors_misses"),
    "pymemcache-hash": _in_a_hole("pymemcache-hash"),
    "pymemcache-pooled": _in_a_hole("pymemcache-pooled"),
    "rehash": _in_a_hole("memquake", more="client: {failover: rehash}"),
}


def _interrupt(run: psutil.Process) -> None:
    run.send_signal(signal.SIGINT)


def _kill(run: psutil.Process) -> None:
    run.kill()


def _kill_a_worker(run: psutil.Process) -> None:
    """Kill one of the processes that Locust has forked."""
    next(child for child in run.children() if child.cmdline() == run.cmdline()).kill()


def _kill_a_node(run: psutil.Process) -> None:
    next(child for child in run.children() if "memcached" in child.name()).kill()


ENDS = {
    "calm": Run(words=(*CALM[:-1], "12s")),
    "closed-loop": Run(words=(*CALM[:-1], "9s", "--target-rate", "0", "-u", "2")),
    "too-short": Run(words=(*CALM[:-1], "3s")),
    "a-tight-budget": Run(words=(*CALM, "--budget", "steady_baseline=1%")),
    "two-workers": Run(words=(*CALM, "--processes", "2")),
    "a-worker-lost": Run(
        words=(*CALM[:-1], "14s", "--processes", "3"), does=_kill_a_worker, does_at_s=5
    ),
    "interrupted": Run(words=(*CALM[:-1], "30s"), does=_interrupt, does_at_s=6),
    "broken-off": Run(words=(*CALM[:-1], "30s"), does=_kill, does_at_s=6),
    "a-node-lost": Run(words=(*CALM[:-1], "30s"), does=_kill_a_node, does_at_s=7),
    "aborts": Run(words=(*CALM[:-1], "14s", "--client", "tests.e2e.broken_processes:aborts",
                         "--processes", "2")),
}  # fmt: skip

SUITE = """
name: short
scenarios:
  - {scenario: none, duration: 11s}
  - ./hole.yaml
"""
SUITES = {
    "suite": Run(
        words=("-u", "10", "--target-rate", "250"),
        suite=SUITE,
        files={"hole.yaml": _in_a_hole("memquake").scenario},
    ),
    "suite-of-a-bad-client": Run(
        words=("-u", "10", "--target-rate", "250", "--client", "pymemcache-pooled", "--retries=1"),
        suite=SUITE,
        files={"hole.yaml": _in_a_hole("memquake").scenario},
    ),
}

RUNS: dict[str, Run] = {
    **{f"fault-{name}": run for name, run in KINDS.items()},
    **{f"client-{name}": run for name, run in CLIENTS.items()},
    **{f"run-{name}": run for name, run in ENDS.items()},
    **SUITES,
}

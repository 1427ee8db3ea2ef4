"""What a load process sees of itself: lag of its hub, its CPU, its client's own words.

The lag ticker asks to be woken every 10 ms and notes how late it was; that is what every greenlet
of the process suffers. Everything else is sampled once a second. Samples go to the recorder and
nowhere else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gevent

from cluster.node import Address, Node, spell
from session.words import impossible
from telemetry.counts import ClientCounts, count_of, read_counts
from telemetry.evidence import plain
from telemetry.window import NodeState
from users.context import LoadContext
from users.direct_counts import DIRECT
from users.strangers import is_absence, is_named, part_of, text_of

TICK_S = 0.01
SNAPSHOT_LIMIT_S = 5.0  # it only counts what the client knows; the rest is a busy machine
BACKLOG_EVERY_TICKS = 10
WORDS_MAX = 64  # of a mapping in a snapshot: waits alone have 41 lengths, and none may vanish
TOLD_MAX = 20  # findings about the client's words; the next one tells nothing new

Words = Sequence[tuple[str, Mapping[str, Any]]]
"""What clients say: (node name, its part of `snapshot()`), a pair for each client."""


class Sampler:
    """Ticker and once-a-second samples of one run.

    `pool_size` is what the client was given; `beside` are nodes it knows that are not on the ring.
    """

    def __init__(
        self,
        context: LoadContext,
        nodes: Sequence[Node],
        *,
        pool_size: int,
        beside: Sequence[Address] = (),
    ) -> None:
        self.context = context
        self.recorder = context.recorder
        self.names = {node.label: node.name for node in nodes}
        self.ticked_at = math.inf  # when the ticker last ran; a watchdog looks at it
        self._greenlets: list[Any] = []
        self._snapshot_broken = False
        self._talks: dict[int, bool] = {}  # number of the client -> whether it has a snapshot()
        self._pool_size = pool_size
        self._known = {*self.names, *(spell((host, port)) for host, port in beside)}
        self._told: set[str] = set()  # what was found in the client's words already

    def start(self, epoch: float) -> None:
        """Begin at `epoch`, in this process's monotonic clock."""
        DIRECT.take()  # the prefill, which the servers counted before second 0
        self.ticked_at = epoch
        delay = max(0.0, epoch - time.monotonic())
        self._greenlets = [
            gevent.spawn_later(delay, self._tick),
            gevent.spawn_later(delay, self._second),
        ]

    def stop(self) -> None:
        """Take the last samples and end."""
        if self._greenlets:
            self._sample(time.monotonic())
            self.context.merge_requests()
        gevent.killall(self._greenlets, block=False)
        self._greenlets = []

    def _tick(self) -> None:
        clock, lag, sleep = time.monotonic, self.recorder.lag, gevent.sleep
        count = 0
        while True:
            due = clock() + TICK_S
            sleep(TICK_S)
            self.ticked_at = now = clock()
            lag(now, max(0.0, now - due))
            count += 1
            if count % BACKLOG_EVERY_TICKS == 0:
                self._sample_backlog(now)
                self.context.merge_requests()

    def _sample_backlog(self, now: float) -> None:
        """Note whether overdue starts wait for the client or for this process."""
        for name, schedule in self.context.schedules.items():
            # One slot may always be about to be taken; a backlog is more than a moment of it.
            if schedule.backlog(now) <= max(1.0, schedule.rate * 2 * TICK_S):
                continue
            if self.context.inside.get(name, 0) >= self.context.users.get(name, 0):
                self.recorder.pacing(now, busy=1)
            else:
                self.recorder.pacing(now, late=1)

    def _second(self) -> None:
        cpu = time.process_time()
        at = time.monotonic()
        while True:
            gevent.sleep(1.0)
            now, cpu_now = time.monotonic(), time.process_time()
            self.recorder.cpu(now, (cpu_now - cpu) / max(1e-6, now - at))
            cpu, at = cpu_now, now
            self._sample(now)

    def _sample(self, now: float) -> None:
        for schedule in self.context.schedules.values():
            for moment, planned, dropped in schedule.drain(now):
                self.recorder.pacing(moment, planned=planned, dropped=dropped)
        calls, peak = self.context.origin.take()
        self.recorder.origin(now, calls, peak)
        for node, (connections, commands, misses) in DIRECT.take().items():
            self.recorder.own_traffic(now, node, connections, commands, misses)
        self.recorder.users(now, self.context.user_count)
        words = self._words()
        if words:
            self.recorder.node_states(now, node_states(words))
            self.recorder.client_counts(client_counts(words))

    def snapshot(self) -> dict[str, Any]:
        """Give what the clients' own `snapshot()` says; those of other groups with their number."""
        first, *others = self.snapshots()
        for group, said in enumerate(others, 2):
            first = {**first, **{f"{label}#{group}": state for label, state in said.items()}}
        return first

    def snapshots(self) -> list[dict[str, Any]]:
        """Give what each group's client says, nothing where one has no `snapshot()` that works."""
        return [
            {}
            if self._snapshot_broken or self._talks.get(at) is False
            else self._snapshot_of(at, client)
            for at, client in enumerate(self.context.clients)
        ]

    def _snapshot_of(self, at: int, client: Any) -> dict[str, Any]:
        asking = gevent.spawn(self._ask, client, has_talked=self._talks.get(at, False))
        asking.join(SNAPSHOT_LIMIT_S)
        if not asking.ready():
            asking.kill(block=False)
            return self._give_up(f"snapshot() did not return within {SNAPSHOT_LIMIT_S:g} s")
        found: dict[str, Any] | str | None = asking.value
        if isinstance(found, str):
            return self._give_up(found)
        self._talks[at] = found is not None
        return found or {}

    def _ask(self, client: Any, *, has_talked: bool = False) -> dict[str, Any] | str | None:
        """Give the client's words, what kept it from saying them, None where it has no words."""
        named = is_named(client, "snapshot")
        if not callable(part_of(client, "snapshot")):
            return None
        try:
            found = client.snapshot()
            # A stranger's words: only plain types go further, as deep as the contract reaches.
            return {str(label): plain(dict(state), 4, WORDS_MAX) for label, state in found.items()}
        except BaseException as error:  # a stranger's code may even exit
            if not has_talked and (not named or is_absence(error, "snapshot")):
                return None
            return f"snapshot() raised {text_of(error, repr)}"[:200]

    def _give_up(self, why: str) -> dict[str, Any]:
        self._snapshot_broken = True
        self.recorder.finding("snapshot_broken", {"error": why})
        return {}

    def _words(self) -> Words:
        """Give what all clients say of the nodes, by node name; other labels are left out."""
        snapshots = self.snapshots()
        self._find_impossible(snapshots)
        everything = [pair for said in snapshots for pair in said.items()]
        return [(self.names[label], said) for label, said in everything if label in self.names]

    def _find_impossible(self, snapshots: Sequence[Mapping[str, Any]]) -> None:
        """Keep what cannot be true in the client's words, each once."""
        for said in snapshots:
            for line in impossible(said, self._known, self._pool_size):
                if line not in self._told and len(self._told) < TOLD_MAX:
                    self._told.add(line)
                    self.recorder.finding("snapshot_contradicts", {"said": line})

    def slots_in_use(self) -> int | None:
        """Sum the pool slots in use over all nodes, None when the client does not tell."""
        counts = [_mapping(said.get("pool")).get("in_use") for said in self.snapshot().values()]
        known = [int(count) for count in counts if isinstance(count, int)]
        return sum(known) if known else None


def node_states(words: Words) -> dict[str, NodeState]:
    """Translate what clients say into states by node name."""
    states: dict[str, NodeState] = {}
    for name, said in words:
        pool = _mapping(said.get("pool"))
        breaker = said.get("breaker")
        state = NodeState(
            breaker={str(breaker): 1} if breaker else {},
            idle=count_of(pool.get("idle")),
            in_use=count_of(pool.get("in_use")),
            opened_total=count_of(said.get("opened")),
            probes_total=count_of(said.get("probes")),
            created_total=count_of(pool.get("created")),
        )
        states.setdefault(name, NodeState()).add(state)
    return states


def client_counts(words: Words) -> dict[str, ClientCounts]:
    """Translate what clients have counted into totals by node name."""
    totals: dict[str, ClientCounts] = {}
    for name, said in words:
        totals.setdefault(name, ClientCounts()).add(read_counts(said))
    return totals


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

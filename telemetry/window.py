"""The data of one second of a run, merged over all workers.

A window is what the verdict, the reports and the pages read: flat, mergeable by addition, without
behaviour beyond that. Seconds count from the start of the run in the master's time, and an
operation belongs to the second in which it was actually sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from telemetry.histogram import Histogram, merge_into

SLICES_A_SECOND = 10
"""Slices resolve the moment a breaker opened or a node came back: 100 ms."""

WAITING_FROM_US = 5_000
"""A call this long may have waited for a dead node; slices keep the durations of those."""

SLICE_BUCKET_SHIFT = 3
"""Slices keep `bucket_of(us) >> 3`: 8 buckets an octave is enough to tell 5 ms from 500."""

RAISED, EMPTY = "raised", "empty"
"""How a batch gave nothing: by an exception, or by an empty mapping that names no failed key."""

Raised = tuple[str, str, str, str]
"""Failed calls of one kind: (op, node, outcome, class of what was raised)."""

Nothing = tuple[str, tuple[str, ...]]
"""Batches that gave nothing: (RAISED or EMPTY, the nodes of their keys, "" for unknown)."""


SERVER_COUNTERS = frozenset(
    (
        *("pid", "time", "uptime", "max_connections", "curr_connections", "total_connections"),
        *("rejected_connections", "listen_disabled_num", "own_connections", "threads"),
        *("cmd_get", "cmd_set", "cmd_touch", "cmd_meta", "cmd_flush", "get_hits", "get_misses"),
        *("incr_hits", "incr_misses", "decr_hits", "decr_misses", "delete_hits", "delete_misses"),
        *("curr_items", "total_items", "bytes", "limit_maxbytes"),
        *("evictions", "slab_reassign_evictions_nomem"),
    )
)
"""What of a server's own statistics is kept each second: all that a check or a screen reads."""


@dataclass(slots=True)
class Cell:
    """Operations of one kind, on one node, with one outcome, in one second."""

    count: int = 0
    keys: int = 0
    hits: int = 0
    service: Histogram = field(default_factory=dict)
    response: Histogram = field(default_factory=dict)  # from the intended start; paced runs only

    def add(self, other: Cell) -> None:
        """Merge another cell of the same kind into this one."""
        self.count += other.count
        self.keys += other.keys
        self.hits += other.hits
        merge_into(self.service, other.service)
        merge_into(self.response, other.response)


@dataclass(slots=True)
class Slice:
    """Single-key calls sent to one node in one tenth of a second."""

    calls: int = 0
    failed: int = 0  # all failures, attempted or not
    unattempted: int = 0  # of those, the ones never sent (breaker open, pool exhausted)
    waiting: Histogram = field(default_factory=dict)  # coarse buckets of calls of 5 ms and longer
    waiting_failed: Histogram = field(default_factory=dict)  # of those, the failed ones

    def add(self, other: Slice) -> None:
        """Merge another slice of the same node and tenth into this one."""
        self.calls += other.calls
        self.failed += other.failed
        self.unattempted += other.unattempted
        merge_into(self.waiting, other.waiting)
        merge_into(self.waiting_failed, other.waiting_failed)


@dataclass(slots=True)
class Pacing:
    """Planned against sent iterations of paced users in one second."""

    planned: int = 0  # intended starts that fell into this second
    sent: int = 0  # iterations that really started in this second
    dropped: int = 0  # intended starts given up because they were too long overdue
    busy_samples: int = 0  # samples with a backlog while every user of the class was in the client
    late_samples: int = 0  # samples with a backlog while a user was free: the generator's own lag

    def add(self, other: Pacing) -> None:
        """Merge another worker's pacing of the same second."""
        self.planned += other.planned
        self.sent += other.sent
        self.dropped += other.dropped
        self.busy_samples += other.busy_samples
        self.late_samples += other.late_samples


@dataclass(slots=True)
class NodeState:
    """What the clients of all workers said of one node at the end of a second."""

    breaker: dict[str, int] = field(default_factory=dict)  # state -> number of processes
    idle: int = 0
    in_use: int = 0
    opened_total: int = 0  # breaker openings since the start, all processes
    probes_total: int = 0
    created_total: int = 0  # connections made since the start, all processes

    def add(self, other: NodeState) -> None:
        """Add what another client says of the same node."""
        for name, clients in other.breaker.items():
            self.breaker[name] = self.breaker.get(name, 0) + clients
        self.idle += other.idle
        self.in_use += other.in_use
        self.opened_total += other.opened_total
        self.probes_total += other.probes_total
        self.created_total += other.created_total


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """What the harness's machine was doing in a window; the unit of each is one core.

    `own` is the CPU of the run's processes, `others` that of everybody else, what a hypervisor took
    included, `waited` how long the run's threads were ready and got no core, `stolen` what the
    hypervisor took.
    """

    own: float
    others: float
    waited: float
    stolen: float = 0.0


@dataclass(slots=True)
class Window:
    """One second of a run, or several when `length_s` is above 1.

    A long run keeps second by second only what a check may ask about (telemetry.window_store). A
    folded window begins at `second`, spans `length_s` seconds, holds all its slices under tenth 0,
    of a state the newest value (the highest for cpu and users), and of the servers' own counts,
    which are read when a second begins, those of its first second. `is_sample` tells whether the
    window stands for others like it: medians over seconds are taken from these alone.
    """

    second: int
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)  # (op, node, outcome)
    slices: dict[tuple[int, str], Slice] = field(default_factory=dict)  # (tenth 0-9, node)
    batch_failed: dict[str, int] = field(default_factory=dict)  # node -> keys named in `.failed`
    batch_keys: dict[str, int] = field(default_factory=dict)  # node -> keys asked for in batches
    batch_calls: dict[str, int] = field(default_factory=dict)  # node -> batches with a key of it
    batch_alone: dict[str, int] = field(
        default_factory=dict
    )  # node -> batches with keys of no other
    batch_nothing: dict[Nothing, int] = field(default_factory=dict)  # batches that gave nothing
    raised: dict[Raised, int] = field(default_factory=dict)  # failed calls by class of the error
    own_connections: dict[str, int] = field(default_factory=dict)  # node -> made by the harness
    own_commands: dict[str, int] = field(default_factory=dict)  # node -> keys it asked directly
    own_misses: dict[str, int] = field(default_factory=dict)  # node -> those that it did not have
    pacing: Pacing = field(default_factory=Pacing)
    lag: Histogram = field(default_factory=dict)  # hub lag of the workers, us
    workers: dict[str, int] = field(default_factory=dict)  # worker -> its operations
    cpu: dict[str, float] = field(default_factory=dict)  # worker -> share of one core, 0-1
    nodes: dict[str, NodeState] = field(default_factory=dict)
    server: dict[str, dict[str, int]] = field(default_factory=dict)  # node -> server's own stats
    machine: MachineLoad | None = None
    users: int = 0
    origin_calls: int = 0
    origin_peak: int = 0  # highest concurrency of origin calls in one process
    length_s: int = 1
    is_sample: bool = True

    @property
    def end(self) -> int:
        """First second after the window."""
        return self.second + self.length_s

    def absorb(self, later: Window) -> None:
        """Merge a window that follows this one, giving up the resolution of both."""
        for key, cell in later.cells.items():
            self.cells.setdefault(key, Cell()).add(cell)
        for (_, node), part in later.slices.items():
            self.slices.setdefault((0, node), Slice()).add(part)
        for node, keys in later.batch_failed.items():
            self.batch_failed[node] = self.batch_failed.get(node, 0) + keys
        for mine, theirs in (
            (self.batch_keys, later.batch_keys),
            (self.batch_calls, later.batch_calls),
            (self.batch_alone, later.batch_alone),
            (self.own_connections, later.own_connections),
            (self.own_commands, later.own_commands),
            (self.own_misses, later.own_misses),
        ):
            for node, count in theirs.items():
                mine[node] = mine.get(node, 0) + count
        for how, count in later.batch_nothing.items():
            self.batch_nothing[how] = self.batch_nothing.get(how, 0) + count
        for error, count in later.raised.items():
            self.raised[error] = self.raised.get(error, 0) + count
        self.pacing.add(later.pacing)
        merge_into(self.lag, later.lag)
        for worker, count in later.workers.items():
            self.workers[worker] = self.workers.get(worker, 0) + count
        for worker, share in later.cpu.items():
            self.cpu[worker] = max(self.cpu.get(worker, 0.0), share)
        self.nodes.update(later.nodes)
        for node, stats in later.server.items():
            self.server.setdefault(node, stats)
        self.machine = later.machine or self.machine
        self.users = max(self.users, later.users)
        self.origin_calls += later.origin_calls
        self.origin_peak = max(self.origin_peak, later.origin_peak)
        self.length_s += later.length_s

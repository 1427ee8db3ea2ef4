"""The words of a verdict: what the checks are given and what they answer. Data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from faults.journal import FaultRecord, PhaseRecord
from telemetry.window import Window


class Ruling(StrEnum):
    """What a check, or the whole run, came to."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT_APPLICABLE"


EXIT_CODES: Mapping[Ruling, int] = {Ruling.PASS: 0, Ruling.FAIL: 1, Ruling.INCONCLUSIVE: 3}


class NodeChange(StrEnum):
    """What a node's own statistics show to have happened to it between two looks."""

    AWAY = "away"  # it did not answer
    RESTARTED = "restarted"  # another process answers, without the items of the one before
    FLUSHED = "flushed"
    EVICTED = "evicted"
    FULL = "full"  # at its limit of connections, it took no more of them
    RESET = "reset"  # its statistics began anew: what it counted in between is not known


@dataclass(frozen=True, kw_only=True)
class NodeEvent:
    """A change of a node, planned or not, between two moments (seconds, negative before 0)."""

    node: str
    change: NodeChange
    from_s: float  # the last look before it
    until_s: float | None  # the first look after it; None where there was none
    count: int = 1  # of items, commands or connections
    limit: int = 0  # of connections, where the node has reached it


@dataclass(frozen=True, kw_only=True)
class LedgerFacts:
    """What the single writers of one load process found out. Triples are (node, second, count)."""

    writes: int = 0  # acknowledged
    updates: int = 0  # acknowledged: steps of counters, links of cas chains
    steps: int = 0  # of these, steps of counters
    reads: int = 0  # held against the last acknowledged version
    stale: int = 0  # reads of an older version, while no other node held that
    wrong_updates: int = 0
    unasked: int = 0  # questions that no server could be asked
    expired: int = 0  # keys that were gone when their TTL was over
    outlived: int = 0  # keys that were not, seconds later
    hides_keys: bool = False  # the servers have them under names that nobody knows
    lost: Sequence[tuple[str, int, int]] = ()  # writes, by the second they were acknowledged in;
    # on node "" and before second 0: what was stored before the run, and found nowhere
    masked: Sequence[tuple[str, int, int]] = ()  # misses, by the second of the read
    unproven: Sequence[tuple[str, int, int]] = ()  # misses while the node could not be asked
    moved: Sequence[tuple[str, int, int]] = ()  # acknowledged versions that another node than the
    # key's own was found to have, by the second of the acknowledgement or of the read that showed
    left_over: Sequence[tuple[str, int, int]] = ()  # stale reads of what another node still holds
    stale_unsure: Sequence[tuple[str, int, int]] = ()  # those of which that cannot be said
    older_counters: Sequence[tuple[str, int, int]] = ()  # answers of one that had begun again
    denied: Sequence[tuple[str, int, int]] = ()  # steps of counters that were not there to be
    # moved, and there to be added
    declares_moves: bool = False  # the client says that it moves keys between nodes
    places: Sequence[tuple[str, str, int, int]] = ()  # kind, node, second found in, count
    evidence: Sequence[Mapping[str, Any]] = ()  # the first of each kind


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """One load-generating process. `lost_at_s` is None for one that reported to the end."""

    id: str
    operations: int
    joined_at_s: float = 0.0  # above 0 for one that came when the run was under way
    lost_at_s: float | None = None
    away: Sequence[tuple[float, float]] = ()  # lost from, back at: its reports came afterwards
    unaccounted: int = 0  # operations in its totals that no report brought
    clock_error_s: float = 0.0
    # Resources before the client was built and after it was closed at the end; empty when lost.
    before: Mapping[str, float] = field(default_factory=dict)  # fds, greenlets
    after: Mapping[str, float] = field(default_factory=dict)
    left_running: Sequence[str] = ()  # what the greenlets run that were not there before
    rss_baseline: float = 0.0  # bytes, end of the stabilization phase
    rss_end: float = 0.0  # bytes, after quiesce
    slots_in_use: int | None = None  # after quiesce and before close, from snapshot()
    # Stalls of its hub: watched (bool), client and others (counts), kept (evidence).
    stalls: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""  # how and where the client ended the process, by its last stacks
    silenced: str = ""  # the same of one that lived and was heard of no more
    hung_calls: int = 0  # calls still inside the client after the quiesce
    strays: int = 0  # addresses of nodes that were asked for by nobody of a known group
    ledger: LedgerFacts | None = None  # None for a worker that was lost
    # Node -> keys that the client put there before second 0, when every node was up.
    keys_placed: Mapping[str, int] = field(default_factory=dict)
    peak_calls: int = 0  # the most that were inside the client at once
    # Node -> the server's curr_connections, after users ended, before close; {} when not asked.
    open_at_quiesce: Mapping[str, int] = field(default_factory=dict)
    # Node -> the client's connections to the node's own port then, past its proxy; None: unknown.
    past_proxies: Mapping[str, int] | None = None
    # Node -> the most connections of the client, counted while a node was full and at the end.
    connections_held: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """A run that this one is to be held against. `figures` are its own, in their units."""

    scenario: str
    client: str
    name: str  # of its folder
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Everything a verdict is made from. Windows are in order of their second, without gaps."""

    scenario: str
    seed: int
    client: str
    nodes: Sequence[str]
    users: int
    target_rate: float  # iterations a second over all workers; 0 is closed loop
    op_timeout_s: float
    pool_size: int
    started: str  # wall clock, ISO 8601 UTC: a label
    duration_s: float
    phases: Sequence[PhaseRecord]
    faults: Sequence[FaultRecord]
    windows: Sequence[Window]
    workers: Sequence[WorkerFacts]
    budgets: Mapping[str, float]
    half_open_probes: int = 3  # allowance for a client that does not tell
    wrong_values: Sequence[Mapping[str, Any]] = ()  # evidence, bounded
    findings: Sequence[Mapping[str, Any]] = ()  # programming errors, broken contracts; bounded
    samples: Sequence[Mapping[str, Any]] = ()  # failed and slow calls, spread over the run; bounded
    errors: Sequence[Mapping[str, Any]] = ()  # a failed call of each class and text; bounded
    found: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # wrong values, findings
    # and errors as they were counted, kept or not: by kind
    leftovers: Sequence[str] = ()  # what was still there after the last heal
    server_connections: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    # node -> the server's curr_connections (before any client, after all clients were closed)
    uncounted: Mapping[str, str] = field(default_factory=dict)  # nodes without statistics -> why
    node_events: Sequence[NodeEvent] = ()  # from before the first key was stored to the end
    timeline_growth: float = 0.0  # bytes that the harness's own record of the run grew by
    connections_are_ours: bool = True  # nobody else connects to the nodes, no worker was lost
    stopped_early: str = ""  # why the run did not last as long as planned, "" when it did
    is_void: bool = False  # a server of ours died: windows from then on, and what it had, are gone
    broken_off: bool = False  # its master ended without a word; nothing is judged
    totals: Mapping[str, int] = field(default_factory=dict)  # of a broken-off run, which has no
    # windows: operations, keys, errors, wrong_values
    earlier: EarlierRun | None = None  # the run given as baseline
    foreign_users: Sequence[str] = ()  # classes of the user's own that ran in the same processes
    groups: int = 1  # of users, each with a client of its own in every process
    client_under_test: Mapping[str, Any] = field(default_factory=dict)
    # class, file, package, version, factory_file, libraries (distribution -> version)
    versions: Mapping[str, str] = field(default_factory=dict)  # memquake, python, memcached, ...


@dataclass(frozen=True, kw_only=True)
class Contributor:
    """One of the largest parts of what a check found. "" and None stand for: not of one kind.

    `node` is "" as well for batches, which ask several nodes. Times are seconds of the run.
    """

    outcome: str  # outcome, class of an error, or in a few words what was found
    operation: str = ""
    node: str = ""
    from_s: float | None = None
    to_s: float | None = None
    count: int | None = None
    share: float | None = None  # of all that the check counted
    example: Mapping[str, Any] = field(default_factory=dict, hash=False)  # one real case


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check's answer. `observed` and `limit` are numbers in `unit`, or None."""

    name: str
    verdict: Ruling
    observed: float | None
    limit: float | None
    unit: str
    why: str  # one line
    rule: str = ""  # the check's rule in one line
    evidence: tuple[Contributor, ...] = ()  # of FAIL and INCONCLUSIVE, the largest first
    trace: str = ""  # traceback of a check that crashed, for the run folder; never rendered


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number worth knowing that decides nothing."""

    value: float | None
    unit: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The end of a run."""

    ruling: Ruling
    checks: Sequence[CheckResult]
    figures: Mapping[str, Figure]
    totals: Mapping[str, int]  # operations, keys, errors, wrong_values
    notes: Sequence[str] = ()  # what else happened that the reader has to know, a line each
    trace: str = ""  # traceback when the figures could not be made; they decide nothing

    @property
    def exit_code(self) -> int:
        """Process exit code: 0 PASS, 1 FAIL, 3 INCONCLUSIVE."""
        return EXIT_CODES[self.ruling]

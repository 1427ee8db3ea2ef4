"""The table of negative controls: each broken client, the load it is tried under, what convicts it.

Every row is one fault of a client that is honest otherwise. A control is convicted when the run is
a FAIL and one of `checks` is among those that failed. `python -m tests.e2e.power` (`make power`)
runs the table and the honest clients, and prints how often each check was right.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

SCALED = ("--time-scale", "0.3")
HOLE = ("--scenario", "node-blackhole", *SCALED)
CUT = ("--scenario", "single-node-failure", *SCALED, "-u", "20")
ABORT = ("--scenario", "client-abort", *SCALED)
STILL = ("--scenario", "none", "-u", "10", "--target-rate", "400", "-t", "8s")
SHORT = ("--scenario", "none", "-u", "10", "--target-rate", "400", "-t", "5s")  # to convict only
WATCHED = ("--scenario", "none", "-u", "20", "--target-rate", "600", "-t", "7s")
WATCHED_LONG = (*WATCHED[:-1], "20s")
OUTAGE = (*HOLE, "--target-rate", "800")
CALM = (*HOLE, "-u", "40", "--target-rate", "1000")
MANY_HITS = ("--scenario", "none", "--target-rate", "0", "-t", "90s", "HotKeyUser")
SLICED = ("--scenario", "dribble", *SCALED)


@dataclass(frozen=True)
class Control:
    """One broken client: the function that makes it, its load, the checks that may convict it."""

    client: str
    what: str
    load: tuple[str, ...]
    checks: frozenset[str]
    is_quick: bool = False  # also part of `make test`

    @property
    def spec(self) -> str:
        """What `--client` gets."""
        return self.client if ":" not in self.client else f"tests.e2e.{self.client}"

    @property
    def arguments(self) -> list[str]:
        """What `locust --headless` gets."""
        return [*self.load, "--client", self.spec]


def _row(
    client: str, what: str, load: tuple[str, ...], *checks: str, quick: bool = False
) -> Control:
    return Control(client, what, load, frozenset(checks), quick)


BROKEN = [
    _row(
        "broken_clients:wrong_value",
        "returns another key's value",
        ("--scenario", "none", "-t", "10s"),
        "no_wrong_values",
        quick=True,
    ),
    _row("broken_clients:no_deadline", "has no deadline", HOLE, "deadline_kept"),
    _row(
        "broken_clients:never_closes",
        "never tries again: its breaker is stuck open",
        HOLE,
        "recovers_within",
    ),
    _row(
        "broken_clients:waits_every_time",
        "has a breaker that never opens",
        HOLE,
        "fails_fast_while_open",
    ),
    _row("pymemcache-pooled", "has no breaker at all", HOLE, "fails_fast_while_open"),
    _row("pymemcache-hash", "leaves a healed node out for 60 s", HOLE, "recovers_within"),
    _row("pymemcache-pooled", "has a limit a recv, none a call", SLICED, "deadline_kept"),
]

LIARS = [
    _row(
        "broken_ledger:counts_twice",
        "counts twice on a retry",
        SHORT,
        "no_lost_updates",
        quick=True,
    ),
    _row(
        "broken_ledger:remembers_too_long",
        "caches what others write",
        (*SHORT, "HotKeyUser"),  # no choice of users leaves a run without its ledger
        "no_stale_reads",
        quick=True,
    ),
    _row("broken_ledger:acknowledges_nothing", "stores nothing", STILL, "no_lost_writes"),
    _row("broken_ledger:stores_blindly", "cas ignores its token", STILL, "no_lost_updates"),
    _row("broken_clients:refuses_every_cas", "stores no cas", STILL, "no_lost_updates"),
    _row("broken_ledger:keeps_the_old_ring", "goes by a stale ring", STILL, "no_stale_reads"),
    _row("broken_ledger:fires_and_forgets", "noreply", CUT, "no_lost_writes"),
    _row("broken_ledger:calls_errors_misses", "calls errors misses", CUT, "no_masked_misses"),
]

ANSWERS = [
    _row("broken_answers:misses_hits", "loses hits", STILL, "no_false_misses"),
    _row("broken_answers:drops_in_bulk", "stores bulks in part", STILL, "no_lost_writes"),
    _row("broken_answers:writes_behind", "acknowledges too early", STILL, "no_stale_reads"),
    _row(
        "broken_answers:mixes_tokens", "cas with another's token", WATCHED_LONG, "no_lost_updates"
    ),
    _row("broken_answers:counts_elsewhere", "counts on no node", STILL, "no_lost_updates"),
    _row("broken_answers:lives_for_ever", "drops the TTL", WATCHED_LONG, "ttl_kept"),
    _row("broken_answers:adds_over", "add is set", WATCHED_LONG, "no_lost_updates"),
    _row(
        "broken_answers:batches_wait",
        "batches without breaker",
        (*HOLE, "-u", "120"),  # twelve in batches, each of which waits: fifty of them in 4 s
        "batches_fail_fast",
    ),
]

WITNESSED = [
    _row(
        "broken_witness:sleeps_hard", "sleeps past gevent", WATCHED, "hub_not_blocked", quick=True
    ),
    _row(
        "broken_witness:says_open",
        "says that its breakers are open",
        WATCHED,
        "snapshot_true",
        quick=True,
    ),
    _row("broken_witness:computes_long", "computes for long", WATCHED, "hub_not_blocked"),
    _row("broken_witness:keeps_the_lock", "keeps the lock", WATCHED, "hub_not_blocked"),
    _row("broken_witness:retries_always", "asks thrice", WATCHED, "retry_amplification"),
    _row("broken_witness:retries_elsewhere", "asks all the others", OUTAGE, "retry_amplification"),
    _row(
        "broken_witness:reconnects_for_every_call",
        "connects anew for every call",
        OUTAGE,
        "no_reconnect_storm",
    ),
    _row("broken_witness:storms_on_heal", "storms on heal", OUTAGE, "no_reconnect_storm"),
    _row("broken_witness:says_closed", "says that all is well", OUTAGE, "snapshot_true"),
    _row("broken_witness:says_too_many", "says too many", WATCHED, "snapshot_true"),
    _row("broken_witness:leaks", "leaks sockets", WATCHED, "no_leaks"),
    _row("broken_witness:probes_without_limit", "probes at will", OUTAGE, "fails_fast_while_open"),
]

QUIET = [
    _row("broken_quietly:raises_whole_batches", "raises whole batches", OUTAGE, "batches_kept"),
    _row("broken_quietly:empties_whole_batches", "empties whole batches", OUTAGE, "batches_kept"),
    _row(
        "broken_quietly:connects_for_every_call",
        "connects for every call",
        WATCHED,
        "connections_kept",
        quick=True,
    ),
    _row(
        "broken_quietly:connects_for_every_batch",
        "connects for every batch",
        WATCHED,
        "connections_kept",
    ),
    _row("broken_quietly:leaves_a_node_unused", "leaves a node unused", STILL, "load_spread"),
    _row(
        "broken_quietly:says_closed_by_its_own_name",
        "says that all is well, and refuses by a name of its own",
        OUTAGE,
        "snapshot_true",
    ),
]

POOLS = [
    _row("broken_pools:slot_leak", "never gives slots back", CALM, "recovers_within", "load_kept"),
    _row("broken_pools:late_heal", "keeps a breaker open for 20 s", CALM, "recovers_within"),
    _row("broken_pools:stale_after_heal", "hands out dead connections", CALM, "recovers_within"),
    _row("broken_pools:rare_wrong_value", "every 100,000th hit", MANY_HITS, "no_wrong_values"),
]

CUT_OFF = [
    _row(
        "broken_cutoff:desyncs",
        "one socket a node, not closed when a call is cut off",
        ABORT,
        "no_wrong_values",
        "predictable_errors",
        "error_budget",
    ),
    _row(
        "broken_cutoff:returns_dirty",
        "a pool that takes every connection back",
        ABORT,
        "no_wrong_values",
        "predictable_errors",
        "error_budget",
    ),
    _row(
        "pymemcache-pooled",
        "loses a slot with every call that is cut off",
        # More connections than users: only what is lost can run out.
        (*ABORT, "-u", "15", "--pool-size", "20", "--target-rate", "500"),
        "predictable_errors",
        "recovers_within",
    ),
]

MOVERS = [
    _row("broken_movers:remembers", "moves keys, and caches them", HOLE, "no_stale_reads"),
    _row(
        "broken_movers:calls_errors_misses",
        "moves keys, calls errors misses",
        OUTAGE,
        "no_masked_misses",
    ),
    _row("broken_movers:counts_twice", "moves counters, counts twice", HOLE, "no_lost_updates"),
    _row(
        "broken_movers:keeps_connections",
        "keeps a connection for each greenlet",
        WATCHED,
        "no_leaks",
        quick=True,
    ),
]

# One that is honest but for this: pymemcache's pool forgets a connection whose call was killed.
LOSES_SLOTS = _row(
    "honest_client:build",
    "loses a connection with every call that is killed",
    (*ABORT, "-u", "15", "--target-rate", "400"),
    "no_leaks",
)

CONTROLS = [*BROKEN, *LIARS, *ANSWERS, *WITNESSED, *QUIET, *POOLS, *CUT_OFF, *MOVERS, LOSES_SLOTS]


def parameters(controls: list[Control]) -> list[object]:
    """Give rows as parameters of a test; those that are not quick are for `make prove`."""
    return [pytest.param(row, id=row.what, marks=_marks(row)) for row in controls]


def _marks(control: Control) -> list[pytest.MarkDecorator]:
    if control.is_quick:
        return []
    is_light = control.load in (STILL, SHORT)
    return [pytest.mark.prove, pytest.mark.light] if is_light else [pytest.mark.prove]


def convicted(verdict: dict[str, object] | None) -> set[str]:
    """Return the names of the checks that failed in a verdict.json.

    Raises AssertionError where one of them, or one that is INCONCLUSIVE, shows nothing for it.
    """
    checks = verdict["checks"] if verdict else []
    assert isinstance(checks, list)
    for check in checks:
        is_shown = 1 <= len(check["evidence"]) <= 3
        assert is_shown or check["verdict"] not in ("FAIL", "INCONCLUSIVE"), check
    return {check["name"] for check in checks if check["verdict"] == "FAIL"}

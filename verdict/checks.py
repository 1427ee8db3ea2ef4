"""The checks in the order in which every report lists them.

A check is a pure function from the view of a run to a result. Its name is the key here, the name
of its budget and the name in verdict.json; the first line of its docstring is its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from memquake.limits import known_checks
from verdict import (
    batch_results,
    batches,
    breaker,
    cleanliness,
    connection_churn,
    correctness,
    credibility,
    earlier,
    harm,
    key_spread,
    ledger,
    misses,
    recovery,
    versions,
    witness_commands,
    witness_connections,
    witness_hub,
    witness_words,
)
from verdict.model import CheckResult
from verdict.view import View

Check = Callable[[View], CheckResult]

_JUDGED: Mapping[str, Check] = {
    "no_wrong_values": correctness.no_wrong_values,
    "no_lost_writes": ledger.no_lost_writes,
    "no_lost_updates": versions.no_lost_updates,
    "no_stale_reads": versions.no_stale_reads,
    "ttl_kept": ledger.ttl_kept,
    "no_masked_misses": misses.no_masked_misses,
    "no_false_misses": misses.no_false_misses,
    "predictable_errors": correctness.predictable_errors,
    "enough_requests": credibility.enough_requests,
    "steady_baseline": credibility.steady_baseline,
    "fault_confirmed": credibility.fault_confirmed,
    "load_kept": credibility.load_kept,
    "generator_not_saturated": credibility.generator_not_saturated,
    "hub_not_blocked": witness_hub.hub_not_blocked,
    "error_budget": harm.error_budget,
    "batches_kept": batch_results.batches_kept,
    "connections_kept": connection_churn.connections_kept,
    "load_spread": key_spread.load_spread,
    "deadline_kept": harm.deadline_kept,
    "breaker_opens_within": breaker.breaker_opens_within,
    "fails_fast_while_open": breaker.fails_fast_while_open,
    "batches_fail_fast": batches.batches_fail_fast,
    "breaker_spares_healthy_nodes": breaker.breaker_spares_healthy_nodes,
    "unaffected_nodes_healthy": harm.unaffected_nodes_healthy,
    "recovers_within": recovery.recovers_within,
    "after_recovery_as_before": recovery.after_recovery_as_before,
    "no_second_dip": recovery.no_second_dip,
    "no_reconnect_storm": witness_connections.no_reconnect_storm,
    "retry_amplification": witness_commands.retry_amplification,
    "snapshot_true": witness_words.snapshot_true,
    "no_leaks": cleanliness.no_leaks,
    "all_faults_healed": cleanliness.all_faults_healed,
    "baseline_kept": earlier.baseline_kept,
}


CHECKS: Mapping[str, Check] = {name: _JUDGED[name] for name in known_checks()}


def rule_of(check: Check) -> str:
    """Give a check's rule in one line."""
    return (check.__doc__ or "").strip().split("\n", 1)[0]

"""What the ledger found is counted whole, by kind, node and second, and kept in part."""

from __future__ import annotations

from users.findings import Findings


def test_each_case_is_counted_at_its_place() -> None:
    """More cases than are kept as evidence count all the same."""
    findings = Findings()
    for second in (3, 3, 50):
        for _ in range(30):
            findings.keep({"kind": "stale_read", "node": "node1", "at_s": second, "key": "k"})
    findings.keep({"kind": "lost_update", "node": "node2", "at_s": 4, "key": "c"})
    told = findings.report()
    assert told["places"] == [
        ["lost_update", "node2", 4, 1],
        ["stale_read", "node1", 3, 60],
        ["stale_read", "node1", 50, 30],
    ]
    kept = [each["at_s"] for each in told["evidence"] if each["kind"] == "stale_read"]
    assert 20 < len(kept) < 30
    assert 50 in kept  # the end of a run has its own cases, however many came before

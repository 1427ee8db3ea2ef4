"""Rules as text for nft, and what is read out of its listing. No nft is run."""

from __future__ import annotations

from typing import Any

import pytest

from faults.backends.kernel_rules import Count, counted, counts, missing, rules_of, script
from faults.backends.nft import is_orphan, owner_name
from faults.planned import PlannedFault

V4 = ["127.0.0.1"]
TO = "ip daddr 127.0.0.1 tcp dport @live"
FROM = "ip saddr 127.0.0.1 tcp sport @live"
OTHER_WAY = 'oifname != "lo" '


def planned(kind: str, **attributes: Any) -> PlannedFault:
    return PlannedFault(
        id="a",
        kind=kind,
        effects=frozenset(),
        nodes=("node1",),
        at_s=0,
        duration_s=5,
        attributes=attributes,
    )


@pytest.mark.parametrize(
    ("kind", "attributes", "hosts", "expected"),
    [
        pytest.param(
            "loss",
            {"loss_share": 0.1, "direction": "to"},
            V4,
            [
                ("in", f'{TO} counter comment "to seen"'),
                ("in", f'{TO} numgen random mod 10000 < 1000 counter drop comment "to lost"'),
                ("out", f'{OTHER_WAY}{TO} counter comment "to seen"'),
                (
                    "out",
                    f"{OTHER_WAY}{TO} numgen random mod 10000 < 1000 counter drop "
                    'comment "to lost"',
                ),
            ],
            id="dropped where it arrives, or where it leaves the machine",
        ),
        pytest.param(
            "partition",
            {"direction": "from"},
            ["::1"],
            [
                ("in", 'ip6 saddr ::1 tcp sport @live counter comment "from seen"'),
                ("in", 'ip6 saddr ::1 tcp sport @live counter drop comment "from lost"'),
                ("out", f'{OTHER_WAY}ip6 saddr ::1 tcp sport @live counter comment "from seen"'),
                (
                    "out",
                    f'{OTHER_WAY}ip6 saddr ::1 tcp sport @live counter drop comment "from lost"',
                ),
            ],
            id="no die is thrown for every packet; IPv6",
        ),
        pytest.param(
            "reset",
            {},
            V4,
            [
                ("in", f'{TO} counter comment "to seen"'),
                (
                    "in",
                    f'{TO} tcp flags & rst == 0 counter reject with tcp reset comment "to reset"',
                ),
            ],
            id="a reset is not answered by a reset",
        ),
        pytest.param(
            "no_connect",
            {"open_connections": "keep"},
            V4,
            [
                ("in", f'{TO} counter comment "to seen"'),
                (
                    "in",
                    f'{TO} tcp flags & (syn | ack) == syn counter drop comment "to lost"',
                ),
            ],
            id="requests to connect only",
        ),
    ],
)
def test_rules_are_what_the_kind_says(
    kind: str, attributes: dict[str, Any], hosts: list[str], expected: list[tuple[str, str]]
) -> None:
    """Each side is counted first, then treated, by its own port and address."""
    rules = rules_of(kind, attributes, hosts)
    assert [(rule.chain, rule.text()) for rule in rules] == expected


def test_both_sides_and_every_address_are_hit() -> None:
    """A name with two addresses is hit on both of them, to and from."""
    rules = rules_of("partition", {"direction": "both"}, ["127.0.0.1", "::1"])
    dropping = {rule.match for rule in rules if rule.action == "drop" and rule.chain == "in"}
    assert dropping == {
        TO,
        FROM,
        "ip6 daddr ::1 tcp dport @live",
        "ip6 saddr ::1 tcp sport @live",
    }


def test_a_copy_is_not_doubled_again() -> None:
    """What was doubled is marked, and marked packets pass."""
    rules = rules_of("duplicate", {"duplicate_share": 0.5}, V4)
    assert all("meta mark != 0x6d71" in rule.match for rule in rules)
    doubling = [rule for rule in rules if rule.action]
    assert {rule.action for rule in doubling} == {"meta mark set 0x6d71 dup to ip daddr"}
    assert {rule.odds for rule in doubling} == {5000}


def test_the_script_names_one_port_for_a_time() -> None:
    """The port stands in a set whose element expires, so forgotten rules match nothing."""
    fault = planned("reset")
    text = script(fault, ("inet", "memquake_t"), 11211, V4, 12.5)
    assert text.startswith("table inet memquake_t {\n")
    assert "elements = { 11211 timeout 12500ms };" in text
    assert text.count("chain ") == 1
    assert "hook input" in text
    assert "flush" not in text


def listed(*rules: dict[str, Any], alive: bool = True) -> list[dict[str, Any]]:
    element: dict[str, Any] = {"elem": [{"elem": {"val": 1}}]} if alive else {}
    return [{"table": {}}, {"set": {"name": "live", **element}}, *({"rule": r} for r in rules)]


def rule(comment: str, packets: int, *, odds: int | None = None, drop: bool = True) -> Any:
    expr: list[dict[str, Any]] = [{"counter": {"packets": packets, "bytes": 1}}]
    if odds is not None:
        die = {"numgen": {"mode": "random", "mod": 10000, "offset": 0}}
        expr.insert(0, {"match": {"op": "<", "left": die, "right": odds}})
    if drop:
        expr.append({"drop": None})
    return {"chain": "in", "comment": comment, "expr": expr}


SEEN = rule("to seen", 7, drop=False)
LOST = rule("to lost", 2, odds=1000)
WANTED = [
    one for one in rules_of("loss", {"loss_share": 0.1, "direction": "to"}, V4) if one.chain == "in"
]


@pytest.mark.parametrize(
    ("listing", "lacks"),
    [
        pytest.param(listed(SEEN, LOST), "", id="all there"),
        pytest.param(listed(SEEN, LOST, alive=False), "the port has expired", id="expired"),
        pytest.param(listed(SEEN), "no rule", id="a rule is gone"),
        pytest.param(listed(SEEN, rule("to lost", 2, odds=100)), "no rule", id="another share"),
        pytest.param(listed(SEEN, rule("to lost", 2)), "no rule", id="a share of all"),
        pytest.param(
            listed(SEEN, rule("to lost", 2, odds=1000, drop=False)), "no rule", id="counts only"
        ),
        pytest.param([], "the port has expired", id="an empty table"),
    ],
)
def test_what_reads_back_is_compared(listing: list[dict[str, Any]], lacks: str) -> None:
    """Chain, comment, odds and deed of every rule, and the port that is still alive."""
    assert lacks in missing(WANTED, listing)
    assert bool(missing(WANTED, listing)) is bool(lacks)


def test_counters_are_added_by_side() -> None:
    """Seen and treated packets of each side, over all its rules."""
    found = counts(listed(SEEN, LOST, rule("to reset", 1), rule("from seen", 3, drop=False)))
    assert found == {"to": Count(seen=7, treated=3), "from": Count(seen=3, treated=0)}
    assert counted(found) == "3 of 7 packets to it and 0 of 3 packets from it were hit"
    assert counted(counts([])) == "no packet was seen"


def test_tables_of_the_dead_only_are_orphans() -> None:
    """Ours by name, of this process namespace, and of a process that is gone or another one."""
    own = owner_name()
    pid, start, namespace = own.removeprefix("memquake_").split("_")[:3]
    assert not is_orphan(own + "x")
    assert is_orphan(f"memquake_{pid}_{int(start) + 1}_{namespace}_x")
    assert not is_orphan(f"memquake_{pid}_{int(start) + 1}_1_x")
    assert not is_orphan("memquake_elses")
    assert not is_orphan("memquake_a_b_c_d")
    assert not is_orphan("filter")

"""A kernel fault on one node as nftables rules, and what nft tells of them. Pure text.

Packets are dropped where they arrive, never where they are sent: a sender whose packet is dropped
under its own hands is told so and behaves as on no real network. So every packet that comes in is
met in the input hook; those that leave this machine, for clients elsewhere, in the output hook.
The port stands in a set whose element expires: rules that nobody removed match nothing after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faults.errors import FaultError
from faults.planned import PlannedFault

ODDS = 10_000  # sides of the die thrown for each packet: shares of 0.01 percent
COPY_MARK = 0x6D71  # of a packet that was doubled and of its copy, so that no copy is doubled

IN = "in"
OUT = "out"
_CHAINS = {
    # After every translation of addresses, and before it: as the clients see the port.
    IN: "type filter hook input priority 300; policy accept;",
    OUT: "type filter hook output priority -300; policy accept;",
}
_SYN = "tcp flags & (syn | ack) == syn"
_NO_RST = "tcp flags & rst == 0"  # a reset is never answered by a reset, so it must pass
_NO_SYN_NO_RST = "tcp flags & (syn | rst) == 0"
_NOT_A_COPY = f"meta mark != {COPY_MARK:#x}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `odds` of 10,000 packets that match are treated; "" as action only counts."""

    chain: str
    match: str
    odds: int = ODDS
    action: str = ""
    comment: str

    def text(self) -> str:
        """Give the rule as nft reads it."""
        die = f"numgen random mod {ODDS} < {self.odds} " if self.odds < ODDS else ""
        action = f" {self.action}" if self.action else ""
        return f'{self.match} {die}counter{action} comment "{self.comment}"'


@dataclass(frozen=True, kw_only=True)
class Count:
    """Packets of one side (to, from) since the injection, and how many of them were treated."""

    seen: int
    treated: int


def family_of(kind: str, host: str) -> str:
    """Give the family of a fault's table; doubling exists in those of one protocol only."""
    if kind != "duplicate":
        return "inet"
    return "ip6" if ":" in host else "ip"


def rules_of(kind: str, attributes: Mapping[str, Any], hosts: Sequence[str]) -> list[Rule]:
    """Give the rules for a node that is known by these addresses (numbers), in order."""
    match kind:
        case "loss":
            odds = round(attributes["loss_share"] * ODDS)
            return _drop(hosts, attributes["direction"], odds)
        case "partition":
            return _drop(hosts, attributes["direction"], ODDS)
        case "duplicate":
            return _double(hosts, round(attributes["duplicate_share"] * ODDS))
        case "reset":
            return _incoming(hosts, [(_NO_RST, "reject with tcp reset", "to reset")])
        case "no_connect":
            parts = [(_SYN, "drop", "to lost")]
            if attributes["open_connections"] == "reset":
                parts.append((_NO_SYN_NO_RST, "reject with tcp reset", "to reset"))
            return _incoming(hosts, parts)
        case _:
            raise FaultError(f"{kind} is no kernel fault")


def script(
    fault: PlannedFault, table: tuple[str, str], port: int, hosts: Sequence[str], life_s: float
) -> str:
    """Give what makes a table that does this to one node, and forgets the port after `life_s`."""
    family, name = table
    rules = rules_of(fault.kind, fault.attributes, hosts)
    lines = [f"table {family} {name} {{"]
    element = f"{port} timeout {round(life_s * 1000)}ms"
    lines.append(f"set live {{ type inet_service; flags timeout; elements = {{ {element} }}; }}")
    for chain, head in _CHAINS.items():
        own = [rule.text() for rule in rules if rule.chain == chain]
        if own:
            lines += [f"chain {chain} {{", head, *own, "}"]
    return "\n".join([*lines, "}"]) + "\n"


def missing(rules: Iterable[Rule], listed: Sequence[Mapping[str, Any]]) -> str:
    """Say what of these rules a listing lacks, "" when it has them all and the port is alive."""
    sets = [item["set"] for item in listed if "set" in item]
    if not any(one.get("elem") for one in sets):
        return "the port has expired"
    there = [_as_listed(item["rule"]) for item in listed if "rule" in item]
    for rule in rules:
        wanted = (rule.chain, rule.comment, rule.odds, rule.action.partition(" ")[0])
        if wanted not in there:
            return f"no rule `{rule.text()}`"
        there.remove(wanted)
    return ""


def counts(listed: Sequence[Mapping[str, Any]]) -> dict[str, Count]:
    """Add up a listing's counters by side: to, from."""
    seen = {"to": 0, "from": 0}
    treated = {"to": 0, "from": 0}
    for item in listed:
        rule = item.get("rule")
        if rule is None:
            continue
        side, _, what = str(rule.get("comment", "")).partition(" ")
        into = seen if what == "seen" else treated
        into[side] = into.get(side, 0) + _packets(rule)
    return {side: Count(seen=seen[side], treated=treated[side]) for side in ("to", "from")}


def counted(found: Mapping[str, Count]) -> str:
    """Say what became of the packets of each side."""
    parts = [
        f"{count.treated} of {count.seen} packets {side} it"
        for side, count in found.items()
        if count.seen
    ]
    return " and ".join(parts) + " were hit" if parts else "no packet was seen"


def _drop(hosts: Sequence[str], direction: str, odds: int) -> list[Rule]:
    rules = []
    for host in hosts:
        for side in _sides(direction):
            for chain, leaving in ((IN, ""), (OUT, 'oifname != "lo" ')):
                match = leaving + _port_of(side, host)
                rules.append(Rule(chain=chain, match=match, comment=f"{side} seen"))
                rules.append(
                    Rule(chain=chain, match=match, odds=odds, action="drop", comment=f"{side} lost")
                )
    return rules


def _double(hosts: Sequence[str], odds: int) -> list[Rule]:
    rules = []
    for host in hosts:
        family = _protocol(host)
        for side in _sides("both"):
            match = f"{_port_of(side, host)} {_NOT_A_COPY}"
            # The copy goes where the packet goes, and passes this hook once more.
            action = f"meta mark set {COPY_MARK:#x} dup to {family} daddr"
            rules.append(Rule(chain=OUT, match=match, comment=f"{side} seen"))
            rules.append(
                Rule(chain=OUT, match=match, odds=odds, action=action, comment=f"{side} doubled")
            )
    return rules


def _incoming(hosts: Sequence[str], parts: Sequence[tuple[str, str, str]]) -> list[Rule]:
    rules = []
    for host in hosts:
        to = _port_of("to", host)
        rules.append(Rule(chain=IN, match=to, comment="to seen"))
        rules += [
            Rule(chain=IN, match=f"{to} {flags}", action=action, comment=comment)
            for flags, action, comment in parts
        ]
    return rules


def _sides(direction: str) -> Sequence[str]:
    return ("to", "from") if direction == "both" else (direction,)


def _port_of(side: str, host: str) -> str:
    address, port = ("daddr", "dport") if side == "to" else ("saddr", "sport")
    return f"{_protocol(host)} {address} {host} tcp {port} @live"


def _protocol(host: str) -> str:
    return "ip6" if ":" in host else "ip"


def _as_listed(rule: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """Give chain, comment, odds and the first word of what a listed rule does."""
    odds, action = ODDS, ""
    for part in rule.get("expr", ()):
        match = part.get("match", {})
        left = match.get("left", {})
        if isinstance(left, Mapping) and "numgen" in left:
            whole = left["numgen"].get("mod", 0)
            odds = match.get("right") if whole == ODDS and match.get("op") == "<" else 0
        for verb, word in (("drop", "drop"), ("reject", "reject"), ("mangle", "meta")):
            action = word if verb in part else action
    return str(rule.get("chain")), str(rule.get("comment", "")), odds, action


def _packets(rule: Mapping[str, Any]) -> int:
    return sum(int(part["counter"]["packets"]) for part in rule["expr"] if "counter" in part)

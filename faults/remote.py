"""What may be broken at all: loopback, unless told otherwise; processes only if they are ours."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from cluster.names import look_up
from cluster.node import Address, Node, is_unix, spell
from faults.errors import ScenarioError
from faults.planned import Plan

PROCESS_BACKENDS = ("process", "cpu")


def refuse_remote(
    nodes: Sequence[Node | Address], toxiproxy_url: str | None, allow: bool = False
) -> None:
    """Raise ScenarioError when a fault would act on anything that is not loopback.

    A node counts by where it really is, not by the proxy in front of it.
    """
    if allow:
        return
    addresses = [node.direct if isinstance(node, Node) else node for node in nodes]
    for address in addresses:
        if not is_unix(address) and not is_loopback(address[0]):
            raise ScenarioError(_refusal(f"node {spell(address)}"))
    if toxiproxy_url and not is_loopback(urlsplit(toxiproxy_url).hostname or ""):
        raise ScenarioError(_refusal(f"Toxiproxy at {toxiproxy_url}"))


def refuse_foreign_processes(plan: Plan, *, agents: bool = False) -> None:
    """Raise ScenarioError when a plan treats the processes of nodes that memquake did not start.

    `agents` tells whether the nodes have agents that kill and halt them when they are told.
    """
    for fault in plan.faults:
        if fault.backend not in PROCESS_BACKENDS or (agents and fault.backend == "process"):
            continue
        enable = (
            "let it treat theirs with --node-control (under Compose: "
            "-f docker-compose.yml -f docker-compose.process-faults.yml), "
            if fault.backend == "process"
            else ""
        )
        raise ScenarioError(
            f"scenario {plan.scenario}: fault {fault.id} ({fault.kind}) needs nodes that memquake "
            f"started: leave --nodes out, {enable}or choose another scenario"
        )


def is_loopback(host: str) -> bool:
    """Tell whether every address of a host is loopback; a name that resolves to none is not."""
    try:
        found = {str(entry[4][0]) for entry in look_up(host, None)} if host else set()
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_loopback_ip(address) for address in found)


def _is_loopback_ip(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _refusal(what: str) -> str:
    return f"{what} is not on loopback and faults would break it: add --allow-remote-faults"

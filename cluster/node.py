"""A memcached node as the harness knows it: two addresses and a name.

Clients under test only ever learn `address` (a proxy, or the node itself where nothing is
proxied); `direct` is for the harness's own eyes, past the proxies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]


def spell(address: Address) -> str:
    """Give `host:port`, with brackets around an IPv6 host."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node. Names are `node1`, `node2`, ... in the order of the options."""

    name: str
    address: Address
    direct: Address
    proxy: str | None = None  # name of its Toxiproxy proxy, None when load goes straight to it
    proxied_from: Address | None = None  # where the proxy sends to, as Toxiproxy knows it

    @property
    def label(self) -> str:
        """Give `host:port` as the client under test sees it (the key of `snapshot()`)."""
        return spell(self.address)

    def to_wire(self) -> dict[str, Any]:
        """Give plain types for a message to a worker."""
        return {
            "name": self.name,
            "address": list(self.address),
            "direct": list(self.direct),
            "proxy": self.proxy,
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Node:
        """Rebuild a node from `to_wire`."""
        host, port = data["address"]
        direct_host, direct_port = data["direct"]
        return cls(
            name=data["name"],
            address=(host, port),
            direct=(direct_host, direct_port),
            proxy=data["proxy"],
        )

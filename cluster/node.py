"""A memcached node as the harness knows it: two addresses and a name.

Clients under test only ever learn `address` (a proxy, or the node itself where nothing is
proxied); `direct` is for the harness's own eyes, past the proxies. Where a scenario has groups of
users, each group has a door of its own to the node, so that it can be shut to one of them; groups
count from 0, and `address` and `proxy` are the door of group 0. Doors differ in their host alone,
and clients of all groups are given the same name and port instead: with two addresses for one node
they would put one key on two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

Address = tuple[str, int]
"""Host and port; ("unix:/path", 0) for a unix socket."""

UNIX_PREFIX = "unix:"
DOMAIN = "memquake.test"  # reserved for tests: no name server knows it


def is_unix(address: Address) -> bool:
    """Return whether an address is that of a unix socket."""
    return address[0].startswith(UNIX_PREFIX)


def unix_path(address: Address) -> str:
    """Return the path of a unix socket."""
    return address[0].removeprefix(UNIX_PREFIX)


def spell(address: Address) -> str:
    """Return `host:port`, with brackets around an IPv6 host, or `unix:/path`."""
    host, port = address
    if is_unix(address):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, kw_only=True)
class Door:
    """One way to a node: where its clients connect, and the proxy that listens there."""

    address: Address
    proxy: str | None = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node. Names are `node1`, `node2`, ... in the order of the options."""

    name: str
    address: Address
    direct: Address
    proxy: str | None = None  # name of its Toxiproxy proxy, None when load goes straight to it
    proxied_from: Address | None = None  # where the proxy sends to, as Toxiproxy knows it
    more_doors: tuple[Door, ...] = ()  # of group 1, 2, ...

    @property
    def doors(self) -> tuple[Door, ...]:
        """Give the ways to it by group."""
        return (Door(address=self.address, proxy=self.proxy), *self.more_doors)

    @property
    def client_address(self) -> Address:
        """Give what clients under test are given: a name where there are several doors."""
        return (f"{self.name}.{DOMAIN}", self.address[1]) if self.more_doors else self.address

    @property
    def label(self) -> str:
        """Return the node's name as the client under test sees it (the key of `snapshot()`)."""
        return spell(self.client_address)

    def seen_by(self, groups: int) -> Node:
        """Give the node as a run with so many groups knows it, whatever doors others needed."""
        return replace(self, more_doors=self.more_doors[: groups - 1])

    def with_doors(self, groups: int, make: Callable[[str, Address], Door]) -> Node:
        """Give the node with a door for each group.

        `make` is called with a name for a new one and where it has to listen: on the same port of
        another address of loopback.
        """
        made = tuple(
            make(f"{self.name}.group{group + 1}", (f"127.0.0.{group + 1}", self.address[1]))
            for group in range(len(self.doors), groups)
        )
        return replace(self, more_doors=(*self.more_doors, *made)) if made else self

    def to_wire(self) -> dict[str, Any]:
        """Give plain types for a message to a worker."""
        return {
            "name": self.name,
            "address": list(self.address),
            "direct": list(self.direct),
            "proxy": self.proxy,
            "more_doors": [[*door.address, door.proxy] for door in self.more_doors],
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
            more_doors=tuple(
                Door(address=(door_host, door_port), proxy=proxy)
                for door_host, door_port, proxy in data.get("more_doors", ())
            ),
        )

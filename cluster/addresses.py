"""What the user wrote after `--nodes`, and what Toxiproxy writes, to addresses. Pure text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from cluster.errors import ClusterError
from cluster.node import UNIX_PREFIX, Address, spell

WAY_OUT = "give host:port,host:port (IPv6 as [::1]:11211, a unix socket as unix:/path)"
PATH_MAX = 107  # bytes of a unix socket's path: sun_path less its closing zero
# Letters, digits, hyphen, dot and, for container names, underscore.
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")
_ANY = frozenset({"0.0.0.0", "::", ""})
MAX_NAME = 253  # longest name of DNS


def parse_nodes(text: str) -> list[Address]:
    """Read `host:port,...`; ClusterError names the item that cannot be used."""
    items = [item.strip() for item in text.split(",")]
    if items == [""]:
        raise ClusterError(f"--nodes is empty: {WAY_OUT}")
    found: list[Address] = []
    for item in items:
        address = parse_address(item)
        if address in found:
            raise ClusterError(f"--nodes names {spell(address)} twice: leave one out")
        found.append(address)
    return found


def parse_host(text: str, flag: str) -> str:
    """Read a host alone, a name or a number, IPv6 with or without brackets; ClusterError."""
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if _is_ip(host, 6):
        return str(ipaddress.IPv6Address(host))
    if not _is_host(host):
        raise ClusterError(f"{flag} {text!r} names no host: give a name or an address, no port")
    return host.lower()


def parse_address(item: str) -> Address:
    """Read one `host:port`, `[IPv6]:port` or `unix:/path`."""
    if not item:
        raise ClusterError(f"--nodes has an empty item: {WAY_OUT}")
    if item.startswith(UNIX_PREFIX):
        return _unix(item)
    if item.startswith("["):
        host, closing, port = item[1:].partition("]:")
        if not closing or not _is_ip(host, 6):
            raise ClusterError(f"--nodes item {item!r} is no [IPv6]:port: {WAY_OUT}")
        host = str(ipaddress.IPv6Address(host))
    else:
        host, _, port = item.rpartition(":")
        if ":" in host:
            raise ClusterError(f"--nodes item {item!r} has too many colons: {WAY_OUT}")
        if not host:
            raise ClusterError(f"--nodes item {item!r} has no port or no host: {WAY_OUT}")
        if not _is_host(host):
            raise ClusterError(f"--nodes item {item!r} names no host: {WAY_OUT}")
        host = host.lower()
    return host, _port(item, port)


def split_listen(text: str) -> Address:
    """Read an address as Toxiproxy spells it; the host may be empty or a wildcard."""
    host, _, port = text.rpartition(":")
    return host.strip("[]").lower(), int(port) if port.isdigit() else 0


def is_wildcard(host: str) -> bool:
    """Tell whether a listening host means every address of its machine."""
    return host in _ANY


def _is_host(host: str) -> bool:
    looks_numeric = re.fullmatch(r"[0-9.]+", host) is not None
    right = _is_ip(host, 4) if looks_numeric else bool(_HOST.fullmatch(host))
    return right and len(host) <= MAX_NAME


def _unix(item: str) -> Address:
    path = item.removeprefix(UNIX_PREFIX)
    if not path.startswith("/") or not path.isprintable():
        raise ClusterError(f"--nodes item {item!r} names no absolute path: {WAY_OUT}")
    if len(path.encode()) > PATH_MAX:
        raise ClusterError(
            f"--nodes item {item!r}: the path of a unix socket has at most {PATH_MAX} bytes"
        )
    return item, 0


def _port(item: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ClusterError(f"--nodes item {item!r} has no whole number as port: {WAY_OUT}")
    port = int(text)
    if not 1 <= port <= 65_535:
        raise ClusterError(f"--nodes item {item!r}: port {port} is not between 1 and 65535")
    return port


def _is_ip(host: str, kind: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == kind
    except ValueError:
        return False


def names_of(count: int) -> Sequence[str]:
    """Give the names of `count` nodes: node1, node2, ..."""
    return [f"node{number}" for number in range(1, count + 1)]

"""What the user wrote for a node, read into one form, and the label a node goes by.

Rule: an address that cannot be used is refused when the client is made, in one line that names it.
A host is kept as it was written, because rings of other clients hash that very text. Pure text: no
name is looked up here, and weights are the ring's business.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_PORT = 11211  # memcached's own, as in pymemcache
UNIX_PREFIX = "unix:"
PATH_MAX = 107  # bytes of a unix socket's path: sun_path less its closing zero

WAY_OUT = "give (host, port), 'host:port', '[v6]:port' or 'unix:/path'"
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")  # container names have _


@dataclass(frozen=True, kw_only=True)
class NodeAddress:
    """Where a node listens: `host` and `port`, or the `path` of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def label(self) -> str:
        """The name of the node: `host:port`, `[v6]:port` or `unix:/path`."""
        if self.path:
            return UNIX_PREFIX + self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return self.label


def parse_address(given: object) -> NodeAddress:
    """Read an address of any accepted form.

    Accepted are a `NodeAddress`, (host, port), "host:port", "host" (memcached's usual port),
    "[v6]:port", "/path" and "unix:/path". Raises ValueError with one line otherwise.
    """
    if isinstance(given, NodeAddress):
        return given
    if isinstance(given, str):
        return _from_text(given)
    if isinstance(given, Sequence) and not isinstance(given, bytes) and len(given) == 2:
        host, port = given
        if isinstance(host, str):
            return _tcp(host[1:-1] if host.startswith("[") else host, port, given)
    raise ValueError(f"node {given!r} is no address: {WAY_OUT}")


def label_of(given: object) -> str:
    """Give the label of an address in any accepted form."""
    return parse_address(given).label


def _from_text(text: str) -> NodeAddress:
    if text.startswith((UNIX_PREFIX, "/")):
        return _unix(text.removeprefix(UNIX_PREFIX), text)
    if text.startswith("["):
        host, closing, port = text[1:].partition("]")
        if closing and _is_v6(host) and (not port or port.startswith(":")):
            return _tcp(host, port[1:] if port else DEFAULT_PORT, text)
        raise ValueError(f"node {text!r} is no [v6]:port: {WAY_OUT}")
    if text.count(":") > 1:
        raise ValueError(f"node {text!r} has too many colons: put brackets round an IPv6 address")
    host, colon, port = text.partition(":")
    return _tcp(host, port if colon else DEFAULT_PORT, text)


def _unix(path: str, given: str) -> NodeAddress:
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(f"node {given!r} names no absolute path: {WAY_OUT}")
    if len(path.encode()) > PATH_MAX:
        raise ValueError(f"node {given!r}: a socket's path has at most {PATH_MAX} bytes")
    return NodeAddress(path=path)


def _tcp(host: str, port: object, given: object) -> NodeAddress:
    if not (_is_v6(host) or _HOST.fullmatch(host)):
        raise ValueError(f"node {given!r} names no host: {WAY_OUT}")
    if isinstance(port, str) and re.fullmatch(r"[0-9]{1,9}", port):
        port = int(port)
    if isinstance(port, bool) or not isinstance(port, int):
        raise ValueError(f"node {given!r} has no whole number as port: {WAY_OUT}")
    if not 1 <= port <= 65_535:
        raise ValueError(f"node {given!r}: port {port} is not between 1 and 65535")
    return NodeAddress(host=host, port=port)


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False

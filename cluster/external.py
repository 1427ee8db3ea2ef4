"""A cluster that somebody else runs: given addresses, with or without proxies in front.

Nothing here starts or ends a memcached. Without proxies load goes straight to the nodes. With
them it goes through the Toxiproxy the user named, whose proxies are matched by what they send to
and made where missing, or through a toxiproxy-server of our own. Only what was made here is
removed at the end. Every doubt about what is given ends in one line before any load.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from types import TracebackType
from urllib.parse import urlsplit

from cluster.addresses import is_wildcard, names_of, parse_nodes, split_listen
from cluster.binaries import find_toxiproxy
from cluster.diagnosis import why_unusable
from cluster.direct import PLAIN, access_in_use
from cluster.doors import make_door
from cluster.errors import ClusterError
from cluster.identity import NameWatch, refuse_mistaken
from cluster.names import NoAnswerError, look_up
from cluster.node import Address, Node, is_unix, spell, unix_path
from cluster.open_files import check_load, check_server
from cluster.ports import free_port, likely_free_port
from cluster.probe import ProbeError, UnreachableError, version
from cluster.processes import Child, Keeper
from cluster.servers import HOST, PORT_TRIES, start_toxiproxy
from cluster.toxiproxy import OWN_PREFIX, Proxy, Toxiproxy
from cluster.toxiproxy_api import NotToxiproxyError, ToxiproxyError, ToxiproxyUnreachableError

__all__ = ["ClusterError", "ExternalCluster", "parse_nodes"]

ANSWER_WITHIN_S = 2.0  # a node on another continent answers in 0.3 s


class ExternalCluster:
    """Given nodes. `start()` looks at everything; `stop()` removes what was made, again is fine."""

    def __init__(
        self,
        addresses: Sequence[Address],
        toxiproxy_url: str | None = None,
        proxy_bind: str = "127.0.0.1",
        with_proxies: bool = False,
        guard: Keeper | None = None,
        *,
        proxy_advertise: str | None = None,
        toxiproxy: str | None = None,
    ) -> None:
        self.nodes: list[Node] = []
        self.toxiproxy_url = toxiproxy_url.rstrip("/") if toxiproxy_url else None
        self._addresses = list(addresses)
        self._bind = proxy_bind.strip("[]")
        self._advertise = proxy_advertise
        self._with_proxies = with_proxies
        self._keeper = guard
        self._program = toxiproxy
        self._own_server: Child | None = None
        self._created: list[str] = []
        self._names: NameWatch | None = None

    def __enter__(self) -> ExternalCluster:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Look at every node and put proxies in front where asked; else leave nothing behind."""
        for address in self._addresses:
            _look_at(address)
        _refuse_twins(self._addresses)
        refuse_mistaken(self._addresses)
        self._names = NameWatch(self._addresses)
        try:
            if self.toxiproxy_url is not None:
                _check_url(self.toxiproxy_url)
            if self._with_proxies:
                self.nodes = self._behind_proxies()
            else:
                self.nodes = [
                    Node(name=name, address=address, direct=address)
                    for name, address in zip(
                        names_of(len(self._addresses)), self._addresses, strict=True
                    )
                ]
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Delete the proxies that were made here and end the toxiproxy-server of our own."""
        created, self._created = self._created, []
        server, self._own_server = self._own_server, None
        if server is not None:
            server.stop()
        elif created and self.toxiproxy_url is not None:
            api = Toxiproxy(self.toxiproxy_url)
            for name in created:
                with contextlib.suppress(ToxiproxyError):
                    api.delete(name)
            api.close()

    def open_doors(self, doors: int) -> None:
        """Give every node so many proxies: one a group of users, or an address; again is fine."""
        if self._own_server is None or self.toxiproxy_url is None:
            raise ClusterError(
                "groups of users, and names that change, need proxies of our own in front of the "
                "nodes: leave --toxiproxy-url out"
            )
        if self._bind != HOST:
            raise ClusterError(
                f"groups of users, and names that change, need proxies on {HOST}: leave "
                "--proxy-bind out"
            )
        api = Toxiproxy(self.toxiproxy_url)
        try:
            self.nodes[:] = [
                node.with_doors(doors, partial(make_door, api, node.direct)) for node in self.nodes
            ]
        finally:
            api.close()

    def check(self) -> None:
        """Raise ClusterError when our own toxiproxy-server died, or a node became several servers.

        To be called now and then.
        """
        if self._names is not None:
            self._names.look()
        server = self._own_server
        if server is not None:
            if not server.alive():
                raise ClusterError(f"toxiproxy-server died by itself ({server.last_words()})")
            server.trim_log()
            check_server("toxiproxy-server", server.pid)

    def check_load(self, calls_at_once: int, *, here: bool) -> None:
        """Raise ClusterError when a load needs more open files than there may be here."""
        proxied = self._own_server is not None
        check_load(calls_at_once, nodes=len(self.nodes), here=here, proxied=proxied)

    def _behind_proxies(self) -> list[Node]:
        given = self.toxiproxy_url is not None
        if self.toxiproxy_url is None:
            self._own_server, self.toxiproxy_url = start_toxiproxy(
                self._program or find_toxiproxy(), keeper=self._keeper
            )
        api = Toxiproxy(self.toxiproxy_url)
        try:
            there = api.proxies() if given else {}
            return [
                self._node(api, name, address, there)
                for name, address in zip(
                    names_of(len(self._addresses)), self._addresses, strict=True
                )
            ]
        except ToxiproxyError as why:
            raise ClusterError(str(why)) from None
        finally:
            api.close()

    def _node(self, api: Toxiproxy, name: str, address: Address, there: dict[str, Proxy]) -> Node:
        proxy = _match(address, there.values())
        if proxy is not None and proxy.name.startswith(OWN_PREFIX):  # of a run that was killed
            if self._listens_as_asked(split_listen(proxy.listen)[0]):
                self._created.append(proxy.name)
            else:
                api.delete(proxy.name)
                del there[proxy.name]
                proxy = None
        if proxy is None:
            proxy = self._create(api, name, address, there)
        else:
            _heal(api, proxy)
        seen = self._seen_by_clients(proxy, address)
        # What toxics of the proxy's owner do to the way is the owner's wish.
        if self._advertise is not None and all(toxic.ours for toxic in proxy.known_toxics):
            self._look_at_advertised(seen, address)
        elif access_in_use() != PLAIN and all(toxic.ours for toxic in proxy.known_toxics):
            _look_through(seen, address)
        return Node(
            name=name,
            address=seen,
            direct=address,
            proxy=proxy.name,
            proxied_from=split_listen(proxy.upstream),
        )

    def _listens_as_asked(self, host: str) -> bool:
        return host == self._bind or (is_wildcard(host) and is_wildcard(self._bind))

    def _look_at_advertised(self, way: Address, node: Address) -> None:
        """Go the way that workers are told to go: one that ends elsewhere would test nothing."""
        try:
            version(way, ANSWER_WITHIN_S)
        except ProbeError as why:
            raise ClusterError(
                f"--proxy-advertise {self._advertise}: no way through it to {spell(node)} ({why}): "
                "give a host under which the proxies are reached, and a --proxy-bind where they "
                f"listen for it (now {self._bind})"
            ) from None

    def _create(
        self, api: Toxiproxy, name: str, address: Address, there: dict[str, Proxy]
    ) -> Proxy:
        own = OWN_PREFIX + name
        while own in there or own in self._created:
            own += "-"
        trouble = ""
        for _ in range(PORT_TRIES):
            # A port that the server chose by itself would be one of its outgoing ports, and such
            # a one may be taken while the proxy is disabled.
            port = free_port(self._bind) if self._own_server is not None else likely_free_port()
            try:
                proxy = api.create(
                    name=own, listen=spell((self._bind, port)), upstream=spell(address)
                )
            except ToxiproxyError as why:
                trouble = str(why)
                continue
            self._created.append(own)
            return proxy
        raise ClusterError(f"no proxy for {spell(address)}: {trouble}")

    def _seen_by_clients(self, proxy: Proxy, node: Address) -> Address:
        host, port = split_listen(proxy.listen)
        if self._advertise is not None:
            return self._advertise, port
        if not is_wildcard(host):
            return host, port
        if self._own_server is not None:
            return _own_address_towards(node), port
        return urlsplit(self.toxiproxy_url or "").hostname or "127.0.0.1", port


def _look_through(way: Address, node: Address) -> None:
    """Go the way of the clients where a node wants TLS: its certificate is not for the proxy."""
    try:
        version(way, ANSWER_WITHIN_S)
    except ProbeError as why:
        raise ClusterError(
            f"no way through the proxy {spell(way)} to {spell(node)} ({why}): give "
            "--tls-server-name, the name that the certificates of the nodes are for"
        ) from None


def _heal(api: Toxiproxy, proxy: Proxy) -> None:
    """Undo what a killed run left, at once: a guard that died with its container could not."""
    for toxic in proxy.known_toxics:
        if toxic.ours:
            api.remove_toxic(proxy.name, toxic.name)
    if not proxy.enabled:  # of a run that was killed, or of its owner; a run starts from health
        api.set_enabled(proxy.name, True)


def _look_at(address: Address) -> None:
    try:
        if not is_unix(address):
            look_up(*address)
    except NoAnswerError as why:
        raise ClusterError(f"--nodes: {why}: check the name server") from None
    except (OSError, UnicodeError):
        raise ClusterError(f"--nodes: {address[0]} cannot be resolved: check the name") from None
    try:
        version(address, ANSWER_WITHIN_S)
    except UnreachableError as why:
        raise ClusterError(f"--nodes: {why}: check the address") from None
    except ProbeError as why:
        raise ClusterError(f"--nodes: {why_unusable(address, why)}") from None


def _refuse_twins(addresses: Sequence[Address]) -> None:
    """Refuse two names of one server: it would be one node with twice the load."""
    seen: dict[Address, Address] = {}
    for address in addresses:
        for meant in _resolved(address):
            if meant in seen and seen[meant] != address:
                raise ClusterError(
                    f"--nodes: {spell(seen[meant])} and {spell(address)} are the same server: "
                    "leave one out"
                )
            seen[meant] = address


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    try:
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise ClusterError(f"--toxiproxy-url {url!r} is no URL: give http://host:8474")
    with contextlib.suppress(OSError, UnicodeError):  # whatever else is wrong the API will say
        try:
            look_up(parts.hostname or "", parts.port)
        except NoAnswerError as why:
            raise ClusterError(f"--toxiproxy-url: {why}: check the name server") from None
    api = Toxiproxy(url)
    try:
        api.identify()
        api.proxies()
    except ToxiproxyUnreachableError as why:
        raise ClusterError(f"--toxiproxy-url: {why}: is toxiproxy-server running there?") from None
    except (NotToxiproxyError, ToxiproxyError) as why:
        raise ClusterError(f"--toxiproxy-url: {why}: give the address of its API") from None
    finally:
        api.close()


def _match(address: Address, proxies: Iterable[Proxy]) -> Proxy | None:
    """Find the proxy that sends to a node: by the same words first, then by what they mean."""
    candidates = [proxy for proxy in proxies if split_listen(proxy.upstream)[1] == address[1]]
    for proxy in candidates:
        if split_listen(proxy.upstream) == address:
            return proxy
    meant = _resolved(address)
    for proxy in candidates:
        if meant & _resolved(split_listen(proxy.upstream)):
            return proxy
    return None


def _resolved(address: Address) -> set[Address]:
    if is_unix(address):
        return {(os.path.realpath(unix_path(address)), 0)}
    try:
        found = look_up(*address)
    except (OSError, UnicodeError, OverflowError):
        return set()
    return {(str(entry[4][0]), int(entry[4][1])) for entry in found}


def _own_address_towards(node: Address) -> str:
    # The route decides: connecting a datagram socket sends nothing but chooses a source address.
    family = look_up(*node, kind=socket.SOCK_DGRAM)[0]
    with socket.socket(family[0], socket.SOCK_DGRAM) as sock:
        sock.connect(family[4])
        return str(sock.getsockname()[0])

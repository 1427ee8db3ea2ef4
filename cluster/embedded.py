"""A cluster of our own: N real memcached and one real toxiproxy-server on loopback.

It owns its processes and no others: everything is ended by pid and reaped, and every process is
known to the guard while it lives. It can also kill, restart, pause and resume a node, which is
what the process faults are made of. It knows nothing of scenarios.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from functools import partial
from types import TracebackType

import psutil

from cluster.addresses import names_of
from cluster.binaries import find_memcached, find_toxiproxy
from cluster.doors import make_door
from cluster.errors import ClusterError
from cluster.node import Node, spell
from cluster.open_files import check_load, check_server
from cluster.ports import free_port
from cluster.probe import ProbeError, stats
from cluster.processes import Child, Keeper, stop_all
from cluster.servers import HOST, PORT_TRIES, memcached_argv, start_memcached, start_toxiproxy
from cluster.toxiproxy import OWN_PREFIX, Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError

MEMORY_MB = 64  # memcached's own default
RESTART_WITHIN_S = 5.0  # the port of a node that was just killed can be busy for a moment
RETRY_S = 0.05


class EmbeddedCluster:
    """Real servers as child processes. `start()` first; `stop()` may be called at any time."""

    def __init__(
        self,
        n: int,
        memcached: str | None = None,
        toxiproxy: str | None = None,
        guard: Keeper | None = None,
        *,
        memory_mb: int = MEMORY_MB,
        with_proxies: bool = True,
    ) -> None:
        if n < 1:
            raise ClusterError(f"a cluster needs at least 1 node, not {n}")
        self.nodes: list[Node] = []
        self.toxiproxy_url: str | None = None
        self._count = n
        self._memcached = memcached or find_memcached()
        self._toxiproxy = (toxiproxy or find_toxiproxy()) if with_proxies else None
        self._keeper = guard
        self._memory_mb = memory_mb
        self._servers: dict[str, Child] = {}  # by node name
        self._adopted: dict[str, psutil.Process] = {}  # nodes the guard has restarted
        self._proxy_server: Child | None = None
        self._down: set[str] = set()  # nodes that are dead on purpose
        self._lock = threading.Lock()

    def __enter__(self) -> EmbeddedCluster:
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
        """Start all servers and wait until each answers; on any failure none is left behind."""
        try:
            names = names_of(self._count)
            ports: dict[str, int] = {}
            for name in names:
                self._servers[name], ports[name] = start_memcached(
                    self._memcached, memory_mb=self._memory_mb, keeper=self._keeper
                )
            if self._toxiproxy is None:
                self.nodes = [
                    Node(name=name, address=(HOST, ports[name]), direct=(HOST, ports[name]))
                    for name in names
                ]
                return
            self._proxy_server, self.toxiproxy_url = start_toxiproxy(
                self._toxiproxy, keeper=self._keeper
            )
            api = Toxiproxy(self.toxiproxy_url)
            try:
                self.nodes = [_behind_proxy(api, name, ports[name]) for name in names]
            finally:
                api.close()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process of this cluster and reap it; again is fine."""
        with self._lock:
            servers, self._servers = list(self._servers.values()), {}
            adopted, self._adopted = list(self._adopted.values()), {}
            if self._proxy_server is not None:
                servers.append(self._proxy_server)
                self._proxy_server = None
        stop_all(servers)
        for process in adopted:
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(timeout=2)

    def open_doors(self, doors: int) -> None:
        """Give every node so many proxies: one a group of users, or an address; again is fine."""
        if self.toxiproxy_url is None:
            raise ClusterError(
                "groups of users, and names that change, need proxies in front of the nodes"
            )
        api = Toxiproxy(self.toxiproxy_url)
        try:
            self.nodes[:] = [
                node.with_doors(doors, partial(make_door, api, node.direct)) for node in self.nodes
            ]
        finally:
            api.close()

    def check(self) -> None:
        """Raise ClusterError when a process died by itself; to be called now and then."""
        with self._lock:
            servers = dict(self._servers)
            proxy_server = self._proxy_server
        for name, child in servers.items():
            if name not in self._down and name not in self._adopted and not child.alive():
                raise ClusterError(f"memcached of {name} died by itself ({child.last_words()})")
        if proxy_server is not None:
            if not proxy_server.alive():
                raise ClusterError(f"toxiproxy-server died by itself ({proxy_server.last_words()})")
            proxy_server.trim_log()
            check_server("toxiproxy-server", proxy_server.pid)

    def check_load(self, calls_at_once: int, *, here: bool) -> None:
        """Raise ClusterError when a load needs more open files than there may be."""
        proxied = self._proxy_server is not None
        check_load(calls_at_once, nodes=len(self.nodes), here=here, proxied=proxied)

    def pids(self) -> dict[str, int]:
        """Give the process ids by node name, and `toxiproxy`."""
        found = {name: child.pid for name, child in self._servers.items()}
        found |= {name: process.pid for name, process in self._adopted.items()}
        if self._proxy_server is not None:
            found["toxiproxy"] = self._proxy_server.pid
        return found

    def argv(self, name: str) -> list[str]:
        """Give the command line that starts this node again."""
        return memcached_argv(self._memcached, self._node(name).direct[1], self._memory_mb)

    def kill_node(self, name: str) -> None:
        """End a node at once, as a crash would."""
        self._node(name)
        self._down.add(name)
        adopted = self._adopted.pop(name, None)
        if adopted is not None:
            with contextlib.suppress(psutil.Error):
                adopted.kill()
                adopted.wait(timeout=2)
        child = self._servers.get(name)
        if child is not None:
            child.kill()

    def restart_node(self, name: str) -> None:
        """Start a dead node again, empty, on its port, and wait until it answers."""
        node = self._node(name)
        if self.is_alive(name) or self._adopt(node):
            self._down.discard(name)
            return
        deadline = time.monotonic() + RESTART_WITHIN_S
        while True:
            try:
                child, _ = start_memcached(
                    self._memcached,
                    memory_mb=self._memory_mb,
                    keeper=self._keeper,
                    port=node.direct[1],
                )
                break
            except ClusterError as why:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"{name} does not come back on {spell(node.direct)}: {why}"
                    ) from None
            time.sleep(RETRY_S)
        with self._lock:
            old = self._servers.get(name)
            if old is not None:
                self._servers[name] = child
        if old is None:
            child.stop()
            raise ClusterError(f"{name} is not started again: the cluster was stopped")
        old.stop()
        self._down.discard(name)

    def pause_node(self, name: str) -> None:
        """Halt a node: it still takes connections and answers nothing."""
        self._signal(name, signal.SIGSTOP)

    def resume_node(self, name: str) -> None:
        """Let a halted node go on; one that runs is left alone."""
        self._signal(name, signal.SIGCONT)

    def is_alive(self, name: str) -> bool:
        """Tell whether the node's process lives, halted or not."""
        self._node(name)
        adopted = self._adopted.get(name)
        if adopted is not None:
            with contextlib.suppress(psutil.Error):
                return bool(adopted.is_running() and adopted.status() != psutil.STATUS_ZOMBIE)
            return False
        child = self._servers.get(name)
        return child is not None and child.alive()

    def is_paused(self, name: str) -> bool:
        """Tell whether the node's process lives and is halted."""
        adopted = self._adopted.get(name)
        if adopted is None:
            child = self._servers.get(name)
            return child is not None and child.stopped()
        try:
            return bool(adopted.status() == psutil.STATUS_STOPPED)
        except psutil.Error:
            return False

    def _signal(self, name: str, number: int) -> None:
        self._node(name)
        adopted = self._adopted.get(name)
        if adopted is None:
            child = self._servers.get(name)
            if child is not None:
                child.signal(number)
        else:
            with contextlib.suppress(psutil.Error):
                adopted.send_signal(number)

    def _adopt(self, node: Node) -> bool:
        # The guard restarts a node whose undo was overdue. What then answers on the node's own
        # loopback port is that process, the guard's child, and is ours to use and to end.
        try:
            pid = stats(node.direct, 0.5).get("pid", 0)
            process = psutil.Process(pid)
            if process.cmdline()[1:] != self.argv(node.name)[1:]:
                return False  # somebody else's server on a port that was free for a moment
            self._adopted[node.name] = process
        except (ProbeError, psutil.Error):
            return False
        return True

    def _node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise ClusterError(f"no node {name!r}: there are {', '.join(n.name for n in self.nodes)}")


def _behind_proxy(api: Toxiproxy, name: str, port: int) -> Node:
    for _ in range(PORT_TRIES):
        own = free_port(HOST)
        try:
            api.create(name=OWN_PREFIX + name, listen=f"{HOST}:{own}", upstream=f"{HOST}:{port}")
        except ToxiproxyError as why:
            trouble = str(why)
            continue
        return Node(
            name=name,
            address=(HOST, own),
            direct=(HOST, port),
            proxy=OWN_PREFIX + name,
            proxied_from=(HOST, port),
        )
    raise ClusterError(f"no proxy for {name}: {trouble}")

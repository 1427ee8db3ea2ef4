"""A small cluster for tests and scripts: real nodes behind real proxies, broken and mended by name.

    with ClusterKit(3) as kit:
        client = make_my_client(kit.addresses)
        kit.partition("node2")              # or kit.kill, kit.pause, kit.add_latency
        ...
        kit.heal()

Every wait is bounded, every call may be repeated, several kits live side by side, and a guard
process mends and ends everything of a kit whose process was killed. A kit knows no scenario, no
load and no verdict; it does what it is told at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal

from cluster.embedded import MEMORY_MB, EmbeddedCluster
from cluster.errors import ClusterError
from cluster.node import Address, Node
from cluster.probe import ProbeError, version
from cluster.processes import Keeper
from cluster.toxiproxy import OWN_PREFIX, Proxy, Stream, Toxiproxy
from cluster.toxiproxy_api import ToxiproxyError

ANSWER_S = 0.5  # a healthy node on loopback answers within a millisecond
AGREE_S = 5.0  # breakers open within an op_timeout and a second, and close as soon after a heal
LOOK_EVERY_S = 0.02

Direction = Literal["both", "to", "from"]
_STREAMS: dict[Direction, tuple[Stream, ...]] = {
    "both": ("upstream", "downstream"),
    "to": ("upstream",),
    "from": ("downstream",),
}
_CUT = OWN_PREFIX + "kit-cut-"
_DRIP = OWN_PREFIX + "kit-drip"
_SLOW = OWN_PREFIX + "kit-slow"

View = Callable[[], Collection[str]]
"""What one observer (a worker, a client) takes for the live nodes, by name."""


class ConsensusError(ClusterError):
    """The observers did not come to agree in time. `str()` says who saw what."""


class ClusterKit:
    """`n` memcached nodes, each behind a Toxiproxy proxy; a context manager.

    `keeper` is told of every child process, so that somebody ends them when this process cannot
    (`faults.guard.Guard` is one). Errors are ClusterError, in one line.
    """

    def __init__(
        self, n: int = 3, *, keeper: Keeper | None = None, memory_mb: int = MEMORY_MB
    ) -> None:
        self._cluster = EmbeddedCluster(n, guard=keeper, memory_mb=memory_mb)
        self._api: Toxiproxy | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> ClusterKit:
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
        """Start all servers and wait until each answers; again is fine."""
        with self._lock:
            if self._api is not None:
                return
            self._cluster.start()
            assert self._cluster.toxiproxy_url is not None
            self._api = Toxiproxy(self._cluster.toxiproxy_url)

    def stop(self) -> None:
        """End every process of the kit, however broken; again is fine."""
        with self._lock:
            api, self._api = self._api, None
            if api is not None:
                api.close()
            self._cluster.stop()

    # What there is -------------------------------------------------------------------------------

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes in order: node1, node2, ..."""
        return tuple(self._cluster.nodes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes, in order."""
        return tuple(node.name for node in self._cluster.nodes)

    @property
    def addresses(self) -> list[Address]:
        """What a client is given: the proxies, in the order of the nodes."""
        return [node.address for node in self._cluster.nodes]

    def node(self, name: str) -> Node:
        """Give a node by name."""
        for node in self._cluster.nodes:
            if node.name == name:
                return node
        raise ClusterError(f"no node {name!r}: there are {', '.join(self.names)}")

    def name_of(self, label: str) -> str:
        """Give the name of the node that clients know as `host:port`."""
        for node in self._cluster.nodes:
            if node.label == label:
                return node.name
        raise ClusterError(f"no node at {label}")

    @property
    def toxiproxy(self) -> Toxiproxy:
        """The server of all proxies, with toxiproxy-python's methods and those of our own."""
        return self._running()

    def proxy(self, name: str) -> Proxy:
        """Return a node's proxy, with toxiproxy-python's methods, as the server has it now."""
        return self._running().proxy(self._proxy(name))

    def is_alive(self, name: str, within_s: float = ANSWER_S) -> bool:
        """Tell whether a client would get an answer from the node, through its proxy."""
        try:
            return bool(version(self.node(name).address, within_s))
        except ProbeError:
            return False

    def live(self) -> set[str]:
        """Give the names of the nodes that answer a client now."""
        return {name for name in self.names if self.is_alive(name)}

    # Breaking ------------------------------------------------------------------------------------

    def kill(self, *names: str) -> None:
        """End nodes at once, as a crash would; a dead one stays dead."""
        self._each(names, self._cluster.kill_node)

    def pause(self, *names: str) -> None:
        """Halt nodes: they take connections and answer nothing."""
        self._each(names, self._cluster.pause_node)

    def partition(self, *names: str, direction: Direction = "both") -> None:
        """Let nothing pass between clients and nodes, or in one direction only.

        `to`: no request reaches the node; `from`: requests arrive and their answers are lost.
        Connections are still taken, by the proxy.
        """

        def cut(name: str) -> None:
            for stream in _STREAMS[direction]:
                self._toxic(name, _CUT + stream, "timeout", {"timeout": 0}, stream)

        self._each(names, cut)

    def add_latency(self, *names: str, seconds: float, jitter: float = 0.0) -> None:
        """Let every reply of nodes come later; whole milliseconds, replaces an earlier latency."""
        if not 0 < seconds <= 60 or not 0 <= jitter <= seconds:
            raise ClusterError(f"a latency of {seconds:g} s, jitter {jitter:g} s, cannot be")
        values = {"latency": round(seconds * 1000), "jitter": round(jitter * 1000)}
        self._each(names, lambda name: self._toxic(name, _SLOW, "latency", values, "downstream"))

    def dribble(self, *names: str, pause: float) -> None:
        """Let replies of nodes come a byte at a time, `pause` seconds after each other."""
        if not 0 < pause <= 1:
            raise ClusterError(f"a pause of {pause:g} s between bytes cannot be")
        values = {"average_size": 1, "size_variation": 0, "delay": round(pause * 1e6)}
        self._each(names, lambda name: self._toxic(name, _DRIP, "slicer", values, "downstream"))

    # Mending -------------------------------------------------------------------------------------

    def restart(self, *names: str) -> None:
        """Start dead nodes again, empty; one that lives is left alone."""
        self._each(names, self._cluster.restart_node)

    def resume(self, *names: str) -> None:
        """Let halted nodes go on; one that runs is left alone."""
        self._each(names, self._cluster.resume_node)

    def heal(self, *names: str) -> None:
        """Mend nodes, or all: wake, restart, and take every partition and latency away."""

        def mend(name: str) -> None:
            self._cluster.resume_node(name)
            self._cluster.restart_node(name)
            api = self._running()
            proxy = self._proxy(name)
            for toxic in api.proxy(proxy).known_toxics:
                if toxic.ours:
                    api.remove_toxic(proxy, toxic.name)
            api.set_enabled(proxy, True)

        self._each(names or self.names, mend)

    # Waiting -------------------------------------------------------------------------------------

    def wait_until_alive(self, *names: str, within_s: float = AGREE_S) -> None:
        """Wait until nodes, or all, answer; ClusterError when one does not in time."""
        deadline = time.monotonic() + within_s
        for name in names or self.names:
            while not self.is_alive(name, ANSWER_S):
                if time.monotonic() > deadline:
                    raise ClusterError(f"{name} did not answer within {within_s:g} s")
                time.sleep(LOOK_EVERY_S)

    def wait_for_consensus(
        self, views: Iterable[View], expected: Collection[str], within_s: float = AGREE_S
    ) -> None:
        """Wait until every view shows exactly the expected nodes as live.

        Raises ConsensusError that names who saw what at the end.
        """
        wanted, observers = set(expected), list(views)
        deadline = time.monotonic() + within_s
        while True:
            seen = [set(view()) for view in observers]
            if all(found == wanted for found in seen):
                return
            if time.monotonic() > deadline:
                told = "; ".join(
                    f"observer {index}: {', '.join(sorted(found)) or 'none'}"
                    for index, found in enumerate(seen)
                    if found != wanted
                )
                names = ", ".join(sorted(wanted)) or "none"
                raise ConsensusError(f"not all agree on {names} after {within_s:g} s: {told}")
            time.sleep(LOOK_EVERY_S)

    def view_of(self, client: Any) -> View:
        """Give a view of the nodes whose breaker a client's `snapshot()` does not call open."""
        return lambda: {
            self.name_of(label)
            for label, said in client.snapshot().items()
            if said.get("breaker") != "open"
        }

    # Within --------------------------------------------------------------------------------------

    def _running(self) -> Toxiproxy:
        if self._api is None:
            raise ClusterError("the kit is not started: use it in a `with` block")
        return self._api

    def _proxy(self, name: str) -> str:
        proxy = self.node(name).proxy
        assert proxy is not None  # an embedded cluster with proxies has one for each node
        return proxy

    def _toxic(
        self, name: str, toxic: str, kind: str, values: dict[str, int], stream: Stream
    ) -> None:
        api = self._running()
        with contextlib.suppress(ToxiproxyError):  # none there is the usual case
            api.remove_toxic(self._proxy(name), toxic)
        api.add_toxic(self._proxy(name), toxic, kind, values, stream)

    def _each(self, names: Iterable[str], work: Callable[[str], None]) -> None:
        self._running()
        for name in names:
            self.node(name)
        try:
            for name in names:
                work(name)
        except ToxiproxyError as why:
            raise ClusterError(str(why)) from None

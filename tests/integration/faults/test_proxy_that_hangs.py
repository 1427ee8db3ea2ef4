"""A Toxiproxy whose control API hangs, as it does with a change that waits for a dead link.

The server is real; a relay in front of its API keeps the answers back. As in the real thing the
change that hangs keeps the proxy's lock, so questions about the proxy hang with it, and only the
deletion of the whole proxy goes through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from cluster.external import ExternalCluster
from cluster.node import Node
from cluster.probe import ProbeError, version
from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import ToxiproxyTimeoutError
from faults.backends.toxiproxy import ToxiproxyBackend
from faults.errors import FaultError
from faults.guard_child import Guardian
from faults.planned import PlannedFault

DEADLINE_S = 0.4
GUARD_S = 3.0  # of one undo: 0.6 s by its own deadlines, the rest is a busy machine
STEP_S = 8.0  # two deadlines and what making a proxy anew takes


class Relay:
    """Passes calls on. `hangs` names the call that is kept, with all about its proxy after it."""

    def __init__(self, url: str) -> None:
        self.hangs: tuple[str, str] | None = None  # method, end of the path
        self.locked = ""  # path of the proxy whose lock is kept
        self.open = threading.Event()
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def _pass(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if relay.keeps(self.command, self.path):
                    relay.open.wait(30)
                    return
                with requests.Session() as session:
                    session.trust_env = False
                    answer = session.request(self.command, url + self.path, data=body, timeout=5)
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_DELETE = _pass  # noqa: N815 names of the library

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def keeps(self, method: str, path: str) -> bool:
        if self.locked and method == "DELETE" and path == self.locked:
            self.locked = ""
            self.hangs = None
            return False
        if self.locked:
            return path.startswith(self.locked)
        if self.hangs is None or method != self.hangs[0] or not path.endswith(self.hangs[1]):
            return False
        self.locked = path.partition("/toxics")[0]
        return True

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.thread.join(2)
        self.server.server_close()


@pytest.fixture
def relay(toxiproxy: Any) -> Iterator[Relay]:
    relay = Relay(toxiproxy.url)
    yield relay
    relay.close()


@pytest.fixture
def node(memcached: Callable[..., Any], toxiproxy: Any) -> Iterator[Node]:
    given = ExternalCluster([memcached().address], toxiproxy_url=toxiproxy.url, with_proxies=True)
    with given as cluster:
        yield cluster.nodes[0]


@pytest.fixture
def truth(toxiproxy: Any) -> Iterator[Toxiproxy]:
    api = Toxiproxy(toxiproxy.url)
    yield api
    api.close()


@pytest.fixture
def backend(relay: Relay, node: Node) -> Iterator[ToxiproxyBackend]:
    api = Toxiproxy(relay.url, deadline_s=DEADLINE_S)
    yield ToxiproxyBackend(api, [node])
    api.close()


def fault_of(kind: str, name: str, **attributes: Any) -> PlannedFault:
    return PlannedFault(
        id=name,
        kind=kind,
        effects=frozenset(),
        nodes=("node1",),
        at_s=0,
        duration_s=30,
        attributes=attributes,
    )


def toxics_on(truth: Toxiproxy, node: Node) -> list[str]:
    assert node.proxy is not None
    return [toxic.name for toxic in truth.proxy(node.proxy).known_toxics]


def test_a_heal_that_hangs_makes_the_proxy_anew_on_its_port(
    backend: ToxiproxyBackend, relay: Relay, truth: Toxiproxy, node: Node
) -> None:
    """With the toxics of other faults and of strangers, in time, and read back as ever."""
    assert node.proxy is not None
    truth.add_toxic(node.proxy, "theirs", "latency", {"latency": 1, "jitter": 0}, "upstream")
    slow, narrow = (
        fault_of("latency", "slow", latency_s=0.2),
        fault_of("bandwidth", "narrow", bytes_per_second=50_000.0),
    )
    backend.inject(slow)
    backend.inject(narrow)
    relay.hangs = ("DELETE", "/toxics/memquake-slow")
    began = time.monotonic()
    backend.heal(slow)
    assert time.monotonic() - began < STEP_S
    assert backend.read_back_healed(slow) == "gone from node1"
    assert "answers" in backend.observe_healed(slow)
    assert sorted(toxics_on(truth, node)) == ["memquake-narrow", "theirs"]
    assert backend.read_back(narrow)


def test_an_injection_that_hangs_makes_the_proxy_anew_with_the_fault(
    backend: ToxiproxyBackend, relay: Relay, node: Node
) -> None:
    """The fault is in place on the same address, and can be healed."""
    relay.hangs = ("POST", "/toxics")
    fault = fault_of("timeout", "hole")
    backend.inject(fault)
    assert backend.read_back(fault)
    with pytest.raises(ProbeError):
        version(node.address, 0.3)
    backend.heal(fault)
    assert backend.read_back_healed(fault)
    assert version(node.address, 5)


def test_a_proxy_that_could_not_be_made_again_is_made_by_the_next_try(
    backend: ToxiproxyBackend, relay: Relay, truth: Toxiproxy, node: Node
) -> None:
    """Deleted and not made again, a proxy would be gone for good: whoever heals next owes it."""
    fault = fault_of("latency", "slow", latency_s=0.1)
    backend.inject(fault)
    relay.hangs = ("DELETE", "/toxics/memquake-slow")
    relay_keeps = relay.keeps

    def once(method: str, path: str) -> bool:
        if (method, path) == ("POST", "/proxies"):
            relay.keeps = relay_keeps  # type: ignore[method-assign]
            return True
        return relay_keeps(method, path)

    relay.keeps = once  # type: ignore[method-assign]
    with pytest.raises(FaultError, match="had no answer within"):
        backend.heal(fault)
    assert truth.proxies() == {}
    backend.heal(fault)
    assert backend.read_back_healed(fault) == "gone from node1"
    assert version(node.address, 5)


def test_a_stall_goes_through_a_hang_of_its_drawing(
    backend: ToxiproxyBackend, relay: Relay, node: Node, bounded: Callable[..., Any]
) -> None:
    """A drawing that hangs is one drawing less; the heal ends it all the same."""
    fault = fault_of("stall", "some", stall_share=0.3)
    backend.inject(fault)
    relay.hangs = ("POST", "/toxics/memquake-some")
    bounded(lambda: relay.locked, what="a drawing that hangs")
    backend.heal(fault)
    assert backend.read_back_healed(fault) == "gone from node1"
    assert backend.leftovers() == []
    assert version(node.address, 5)


def test_the_guard_is_not_kept_by_a_hang(
    backend: ToxiproxyBackend, relay: Relay, truth: Toxiproxy, node: Node
) -> None:
    """It makes the proxy anew too, with what is not the fault's, and ends in time."""
    other = fault_of("bandwidth", "narrow", bytes_per_second=50_000.0)
    backend.inject(other)
    fault = fault_of("latency", "slow", latency_s=0.2, direction="both")
    (undo,) = backend.undos(fault).values()
    backend.inject(fault)
    relay.hangs = ("DELETE", "/toxics/memquake-slow")
    began = time.monotonic()
    Guardian().undo_one("slow@node1", dict(undo))
    assert time.monotonic() - began < GUARD_S
    assert toxics_on(truth, node) == ["memquake-narrow"]
    assert version(node.address, 5)


def test_the_guard_knows_the_address_of_a_proxy_that_tells_nothing(
    backend: ToxiproxyBackend, relay: Relay, truth: Toxiproxy, node: Node
) -> None:
    """Where even the question hangs, the proxy is made anew from what the guard was told."""
    assert node.proxy is not None
    fault = fault_of("latency", "slow", latency_s=0.2)
    (undo,) = backend.undos(fault).values()
    backend.inject(fault)
    relay.locked = f"/proxies/{node.proxy}"
    Guardian().undo_one("slow@node1", dict(undo))
    assert toxics_on(truth, node) == []
    assert version(node.address, 5)


def test_a_server_that_is_halted_as_a_whole_is_told(
    backend: ToxiproxyBackend, relay: Relay
) -> None:
    """Nothing can be made anew then; the step ends in time with the reason."""
    fault = fault_of("latency", "slow", latency_s=0.2)
    backend.inject(fault)
    relay.keeps = lambda method, path: True  # type: ignore[method-assign]
    began = time.monotonic()
    with pytest.raises(FaultError, match="had no answer within"):
        backend.heal(fault)
    assert time.monotonic() - began < STEP_S
    assert "cannot be read back" in backend.leftovers()[0]
    with pytest.raises(ToxiproxyTimeoutError):
        Toxiproxy(relay.url, deadline_s=DEADLINE_S).identify()

"""Connections that stall for a moment and go on: what a client feels of retransmission timeouts.

A toxic of bandwidth 0 holds every byte of the connections it hits and loses none. Which ones it
hits is drawn by Toxiproxy, and drawn anew every 200 ms by sending the same share again; what was
held goes on then, as a segment does that is sent a second time. It is no packet loss and must not
be called so. Rule: the drawing ends with the fault, whoever ends it, and after a time in any case.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.direct import connect
from cluster.node import Address, Node
from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import NoSuchThingError, ToxiproxyError
from faults.backends.base import expect_answer, on_each
from faults.backends.toxiproxy_toxics import is_as_asked, toxics_of
from faults.errors import FaultError
from faults.guard import undo_toxics
from faults.planned import PlannedFault

REDRAW_S = 0.2  # Linux waits at least this long before it sends a lost segment again
GRACE_S = 10.0  # beyond its planned end nobody draws any more, healed or not
STOP_S = 3.0  # a drawing under way ends within the deadline of its call

LOOK_S = 3.0  # 2 % of 40 connections, seven rounds a second: 1 look in 20,000 sees nothing
LOOK_CONNECTIONS = 40
LATE_S = 0.06  # a stall lasts 0 to 200 ms; a node on loopback answers within 1 ms
LATE_RATIO = 4.0  # and that much longer than the round's median, or the machine was slow


class Stall:
    """A whole backend for one thing: faults with the attribute `stall_share`, of any kind."""

    def __init__(self, api: Toxiproxy, nodes: Sequence[Node]) -> None:
        self._api = api
        self._nodes = {node.name: node for node in nodes if node.proxy is not None}
        self._drawing: dict[str, Redraw] = {}

    def needs(self, fault: PlannedFault) -> str:
        """Every node of the fault needs a proxy."""
        bare = [name for name in fault.nodes if name not in self._nodes]
        return f"{', '.join(bare)} stands behind no Toxiproxy proxy" if bare else ""

    def stand_in(self, fault: PlannedFault) -> str:
        """Nothing: what is done is what `stall` says."""
        return ""

    def undos(self, fault: PlannedFault) -> Mapping[str, Mapping[str, Any]]:
        """Remove the toxic; the drawing ends when it finds it gone."""
        (toxic,) = toxics_of(fault)

        def work(node: str) -> Mapping[str, Any]:
            proxy = self._api.proxy(self._proxy(node))
            return undo_toxics(
                self._api.url,
                proxy.name,
                [toxic.name],
                listen=proxy.listen,
                upstream=proxy.upstream,
            )

        return dict(zip(fault.nodes, _each(fault.nodes, work), strict=True))

    def inject(self, fault: PlannedFault) -> None:
        """Add the toxic and begin to draw."""
        (toxic,) = toxics_of(fault)

        def work(node: str) -> None:
            self._api.add(self._proxy(node), toxic)

        _each(fault.nodes, work)
        if toxic.toxicity < 1:

            def draw() -> None:
                for node in fault.nodes:
                    self._api.set_toxicity(self._proxy(node), toxic.name, toxic.toxicity)

            drawing = Redraw(draw, limit_s=fault.duration_s + GRACE_S)
            self._drawing[fault.id] = drawing
            drawing.start()

    def read_back(self, fault: PlannedFault) -> str:
        """Ask the server for the toxic, and whether the drawing goes on."""
        (asked,) = toxics_of(fault)

        def work(node: str) -> str:
            found = self._api.proxy(self._proxy(node)).known_toxic(asked.name)
            if not is_as_asked(found, asked):
                raise FaultError(f"the stall of {node} reads back as {found}")
            return f"a stall of {asked.toxicity * 100:g} % of the connections reads back on {node}"

        found = _each(fault.nodes, work)
        drawing = self._drawing.get(fault.id)
        if drawing is not None and not drawing.alive:
            raise FaultError("which connections are stalled is drawn no more")
        return "; ".join(found)

    def observe(self, fault: PlannedFault) -> str:
        """Ask over many connections at once until some wait while the others do not."""
        return "; ".join(
            on_each(fault.nodes, lambda node: expect_stalls(node, self._nodes[node].address))
        )

    def heal(self, fault: PlannedFault) -> None:
        """End the drawing and remove the toxic; what was held goes on."""
        drawing = self._drawing.pop(fault.id, None)
        if drawing is not None:
            drawing.stop()
        (toxic,) = toxics_of(fault)
        _each(fault.nodes, lambda node: self._api.remove_toxic(self._proxy(node), toxic.name))

    def read_back_healed(self, fault: PlannedFault) -> str:
        """Ask the server whether the toxic is gone."""
        (toxic,) = toxics_of(fault)

        def work(node: str) -> str:
            if self._api.proxy(self._proxy(node)).known_toxic(toxic.name) is not None:
                raise FaultError(f"the stall of {node} is still there")
            return f"gone from {node}"

        return "; ".join(_each(fault.nodes, work))

    def observe_healed(self, fault: PlannedFault) -> str:
        """Go the way of a client until an answer comes."""
        return "; ".join(
            on_each(fault.nodes, lambda node: expect_answer(node, self._nodes[node].address))
        )

    def clean(self) -> list[str]:
        """End every drawing; the toxics are removed by the backend of all toxics."""
        drawings, self._drawing = self._drawing, {}
        for drawing in drawings.values():
            drawing.stop()
        return []

    def leftovers(self) -> list[str]:
        """Name drawings that go on."""
        return [f"the stall {name} is still drawn" for name, d in self._drawing.items() if d.alive]

    def _proxy(self, name: str) -> str:
        proxy = self._nodes[name].proxy
        assert proxy is not None
        return proxy


class Redraw:
    """Repeat a drawing every 200 ms until stopped, until it finds nothing, or for so long."""

    def __init__(self, draw: Callable[[], None], *, limit_s: float) -> None:
        self._draw = draw
        self._limit_s = limit_s
        self._stop = threading.Event()
        # Under gevent a greenlet.
        self._thread = threading.Thread(target=self._run, name="memquake-stall", daemon=True)

    def start(self) -> None:
        """Begin, beside the caller."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it, and wait for a drawing under way."""
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        ends = time.monotonic() + self._limit_s
        while not self._stop.wait(REDRAW_S) and time.monotonic() < ends:
            try:
                self._draw()
            except NoSuchThingError:
                return  # somebody healed it, the guard for instance
            except ToxiproxyError:
                continue  # a moment of silence; whoever heals will say more


def expect_stalls(name: str, address: Address) -> str:
    """Give the evidence that some questions wait while others are answered, or raise."""
    ends = time.monotonic() + LOOK_S
    asked = 0
    late: list[float] = []
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_connected(name, address)) for _ in range(LOOK_CONNECTIONS)]
        while not late and time.monotonic() < ends:
            waits = sorted(_ask_all(sockets, min(2 * REDRAW_S, ends - time.monotonic())))
            asked += len(waits)
            usual = waits[len(waits) // 2]
            late = [wait for wait in waits if wait >= max(LATE_S, LATE_RATIO * usual)]
            if usual >= LATE_S and waits[-1] >= REDRAW_S:
                late = waits  # most are stalled
    if not late:
        raise FaultError(f"{name} was to stall, but answered {asked} questions without waiting")
    return (
        f"{len(late)} of {asked} questions to {name} waited, up to {max(late) * 1000:.0f} ms "
        f"(median {usual * 1000:.1f} ms)"
    )


def _connected(name: str, address: Address) -> socket.socket:
    try:
        return connect(address, 1.0)
    except OSError as why:
        raise FaultError(f"{name} was to stall, but takes no connection: {why}") from None


def _ask_all(sockets: Sequence[socket.socket], limit_s: float) -> list[float]:
    """Ask `version` over each at once; give how long each took, the limit where none came."""
    began = time.monotonic()
    waiting = set()
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.sendall(b"version\r\n")
        waiting.add(sock)
    waits = []
    while waiting and (left := began + limit_s - time.monotonic()) > 0:
        for sock in select.select(list(waiting), [], [], left)[0]:
            # Late answers of an earlier round end a question early at worst, never late.
            with contextlib.suppress(OSError):
                sock.recv(4096)
            waiting.discard(sock)
            waits.append(time.monotonic() - began)
    return waits + [limit_s] * len(waiting)


def _each(nodes: Sequence[str], work: Callable[[str], Any]) -> list[Any]:
    try:
        return on_each(nodes, work)
    except ToxiproxyError as why:
        raise FaultError(str(why)) from None

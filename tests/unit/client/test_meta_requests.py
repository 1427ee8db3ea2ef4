"""Meta requests byte for byte, each with a number of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client import meta
from client.meta import Reply, Request


def nothing(reply: Reply) -> None:
    """Make nothing of a reply."""


REQUESTS: dict[str, tuple[Callable[[], Request], bytes]] = {
    "an item": (lambda: meta.fetch(b"k", meta.ITEM, nothing), b"mg k v f c t %b\r\n"),
    "a lease": (
        lambda: meta.fetch(b"k", meta.leasing(30, None), nothing),
        b"mg k v f c t N30 %b\r\n",
    ),
    "a lease that renews": (
        lambda: meta.fetch(b"k", meta.leasing(30, 5), nothing),
        b"mg k v f c t N30 R5 %b\r\n",
    ),
    "set": (
        lambda: meta.store(b"S", b"k", b"abc", expire=7, flags=9, answer=nothing),
        b"ms k 3 T7 F9 MS %b\r\nabc\r\n",
    ),
    "cas": (
        lambda: meta.store(b"S", b"k", b"", expire=-1, flags=0, answer=nothing, cas=b"12"),
        b"ms k 0 T-1 F0 MS C12 %b\r\n\r\n",
    ),
    "delete": (lambda: meta.delete(b"k", None, nothing), b"md k %b\r\n"),
    "mark as stale": (lambda: meta.delete(b"k", 30, nothing), b"md k I T30 %b\r\n"),
    "incr": (lambda: meta.count(b"I", b"k", 2, nothing), b"ma k MI D2 v %b\r\n"),
    "decr of what may be missing": (
        lambda: meta.count(b"D", b"k", 2, nothing, initial=0, initial_expire=60),
        b"ma k MD D2 v N60 J0 %b\r\n",
    ),
}


@pytest.mark.parametrize(("build", "sent"), REQUESTS.values(), ids=REQUESTS.keys())
def test_bytes(build: Callable[[], Request], sent: bytes) -> None:
    """A request is what is listed here, and its opaque is in it."""
    request = build()
    assert request.data == sent % request.opaque
    assert request.has_value == sent.startswith(b"ms")
    assert len(request.opaque) <= 32, "memcached takes no longer one"


def test_every_request_has_a_number_of_its_own() -> None:
    """Two requests never share an opaque, whatever connection they go over."""
    opaques = [build().opaque for build, _ in REQUESTS.values() for _ in range(100)]
    assert len(set(opaques)) == len(opaques)
    assert min(int(opaque[1:]) for opaque in opaques) > 1 << 40, "above any connection's own"

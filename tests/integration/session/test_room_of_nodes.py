"""The room that keys are said to need, against the room they really take in a memcached."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from cluster.probe import settings, stats
from cluster.slabs import PAGE_BYTES, Items, Slabs


@pytest.mark.parametrize("value", [100, 3_000, 100_000, 400_000])
@pytest.mark.parametrize("options", [(), ("-f", "1.5", "-n", "96")], ids=["usual", "own classes"])
def test_what_fits_is_stored_and_one_more_is_evicted(
    memcached: Callable[..., Any], options: tuple[str, ...], value: int
) -> None:
    """As many items as the arithmetic allows stay, and with a twentieth more some do not."""
    server = memcached(*options, "-m", "16")
    slabs = Slabs.of(settings(server.address, 2.0))
    assert slabs is not None

    def fits(count: int) -> bool:
        return slabs.bytes_for([Items(count=count, key=10, value=value)]) <= slabs.limit_bytes

    most = max(count for count in range(1, 16 * PAGE_BYTES // value + 1) if fits(count))
    assert evictions(server, value, range(most * 19 // 20)) == 0
    assert evictions(server, value, range(most * 19 // 20, most * 21 // 20 + 3)) > 0


def evictions(server: Any, value: int, keys: range) -> int:
    with socket.create_connection(server.address, 5.0) as connection:
        sets = [b"set k%09d 0 0 %d noreply\r\n%s\r\n" % (key, value, b"v" * value) for key in keys]
        connection.sendall(b"".join(sets))
        connection.sendall(b"version\r\n")
        connection.recv(100)
    return stats(server.address, 2.0)["evictions"]

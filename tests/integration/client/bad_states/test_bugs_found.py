"""Bugs of the client that the detectors, the random kills and the fuzzers have found."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from client.dialing import Dialer
from client.errors import ConnectRefused
from tests.integration.client.bad_states.findings import crowd
from tests.integration.client.byte_server import ByteServer


def test_callers_who_connect_at_once_after_a_failure_all_connect(
    free_port: Callable[[], int],
) -> None:
    """The first to succeed forgets the failure; the others must not look for it (KeyError)."""
    dialer = Dialer(time.monotonic)
    port = free_port()
    where = [(socket.AF_INET, ("127.0.0.1", port))]
    refused = crowd(lambda _: _dial(dialer, where), 1)
    server = ByteServer(lambda connection: connection.recv(1) and None, port)
    try:
        connected = crowd(lambda _: _dial(dialer, where), 10)
    finally:
        server.stop()
    assert isinstance(refused[0], ConnectRefused)
    assert [type(one) for one in connected] == [socket.socket] * 10
    for one in connected:
        one.close()


def _dial(dialer: Dialer, where: Any) -> Any:
    try:
        return dialer.dial(where, time.monotonic() + 2.0)[0]
    except ConnectRefused as error:
        return error

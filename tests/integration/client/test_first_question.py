"""The first call to a node that does not speak meta: the question must not cost it its answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from client import MemcacheClient, MetaUnsupported

Start = Callable[..., Any]
Make = Callable[..., MemcacheClient]


def classic(answer: bytes | None) -> Callable[[socket.socket], None]:
    """Give a server of `gets` that answers meta with these bytes; None closes."""

    def serve(connection: socket.socket) -> None:
        while line := connection.recv(4096):
            if line.startswith(b"gets "):
                connection.sendall(b"VALUE k 0 1 7\r\nv\r\nEND\r\n")
            elif answer is None:
                return
            elif answer:
                connection.sendall(answer)

    return serve


@pytest.mark.parametrize(
    "answer", [b"", None, b"ERROR\r\n", b"what?\r\n", b"CLIENT_ERROR bad\r\n", b"M"]
)
def test_a_first_read_that_prefers_meta_gets_its_answer_from_a_classic_node(
    byte_server: Start, client: Make, answer: bytes | None
) -> None:
    """Silence, an end and nonsense all mean classic, for every kind of read."""
    address = byte_server(classic(answer)).address
    assert client(address, op_timeout=1.0).gets("k") == (b"v", b"7")


@pytest.mark.parametrize("answer", [b"", None, b"what?\r\n"])
def test_a_first_call_that_needs_meta_says_so(
    byte_server: Start, client: Make, answer: bytes | None
) -> None:
    """Nothing was sent, and the node is not to blame."""
    address = byte_server(classic(answer)).address
    with pytest.raises(MetaUnsupported):
        client(address, op_timeout=1.0).get_or_lease("k", 5)

"""Connections to the harness's own ports are no descriptors of the client."""

from __future__ import annotations

import socket

from session.resources import held


def test_a_visitor_is_not_counted() -> None:
    """Whoever looks at the web UI during a run changes nothing in what the client holds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = held({port})["fds"]
        with socket.create_connection(("127.0.0.1", port)) as client:
            peer, _ = server.accept()
            with peer:
                assert held({port})["fds"] == before + 1, "the end of the visitor itself"
                assert held()["fds"] == before + 2
            assert client.fileno() >= 0

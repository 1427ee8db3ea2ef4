"""Whoever starts master and servers at once waits for the servers first."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cluster.awaiting import await_all, looks_of, main

Start = Callable[..., Any]


def test_servers_that_answer_are_waited_for_no_longer(memcached: Start, toxiproxy: Any) -> None:
    """With everything there the end comes at once, whatever the limit is."""
    nodes = ",".join(f"127.0.0.1:{memcached().port}" for _ in range(2))
    looks = looks_of({"LOCUST_NODES": nodes, "LOCUST_TOXIPROXY_URL": toxiproxy.url})
    assert len(looks) == 3
    began = time.monotonic()
    assert await_all(looks, within_s=60) == []
    assert time.monotonic() - began < 5


def test_a_server_that_comes_late_is_seen(free_port: Callable[[], int]) -> None:
    """A node that begins to answer while it is waited for ends the waiting."""
    port = free_port()

    def come_late() -> None:
        time.sleep(1.0)
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"VERSION 1.6.18\r\n")

    thread = threading.Thread(target=come_late, daemon=True)
    thread.start()
    assert await_all(looks_of({"LOCUST_NODES": f"127.0.0.1:{port}"}), within_s=20) == []
    thread.join(5)


def test_what_never_answers_is_named(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A node and a Toxiproxy that are not there end it in one line and exit code 2."""
    node, proxy = free_port(), free_port()
    monkeypatch.setenv("LOCUST_NODES", f"127.0.0.1:{node}")
    monkeypatch.setenv("LOCUST_TOXIPROXY_URL", f"http://127.0.0.1:{proxy}")
    assert main(["--within", "1s"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"127.0.0.1:{node}" in said
    assert f"127.0.0.1:{proxy}" in said


@pytest.mark.parametrize(
    ("nodes", "within", "words"),
    [("127.0.0.1", "1s", "has no port or no host"), ("127.0.0.1:1", "soon", "'soon'")],
)
def test_bad_input_is_one_line(
    nodes: str,
    within: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """What cannot be read is named, with exit code 2."""
    monkeypatch.setenv("LOCUST_NODES", nodes)
    monkeypatch.delenv("LOCUST_TOXIPROXY_URL", raising=False)
    assert main(["--within", within]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_nothing_named_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variables it ends at once, as the embedded cluster needs nobody."""
    monkeypatch.delenv("LOCUST_NODES", raising=False)
    monkeypatch.delenv("LOCUST_TOXIPROXY_URL", raising=False)
    assert main([]) == 0

"""The adapter ends every call in time, by the right error, against the real server and bad ones."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cluster.toxiproxy import Toxiproxy
from cluster.toxiproxy_api import (
    AlreadyThereError,
    NoSuchThingError,
    ToxiproxyError,
    ToxiproxyTimeoutError,
    ToxiproxyUnreachableError,
)


@pytest.fixture
def api(toxiproxy: Any) -> Iterator[Toxiproxy]:
    api = Toxiproxy(toxiproxy.url)
    yield api
    api.close()


def test_a_proxy_with_an_odd_name_can_be_used(api: Toxiproxy) -> None:
    """Names are quoted, so none can reach another path."""
    name = "a b?c#d%2f"
    api.create(name=name, listen="127.0.0.1:0", upstream="127.0.0.1:1")
    api.add_toxic(name, "memquake-x", "latency", {"latency": 5, "jitter": 1}, "downstream")
    (toxic,) = api.proxy(name).known_toxics
    assert toxic.ours
    assert dict(toxic.attributes) == {"latency": 5, "jitter": 1}
    api.set_enabled(name, False)
    assert not api.proxies()[name].enabled
    assert api.remove_toxic(name, "memquake-x") is False
    api.delete(name)
    api.delete(name)
    assert api.proxies() == {}


def test_errors_are_told_apart(api: Toxiproxy) -> None:
    """Missing, already there, and an address that cannot be had."""
    with pytest.raises(NoSuchThingError):
        api.proxy("nobody")
    made = api.create(name="a", listen="127.0.0.1:0", upstream="127.0.0.1:1")
    with pytest.raises(AlreadyThereError):
        api.create(name="a", listen="127.0.0.1:0", upstream="127.0.0.1:1")
    with pytest.raises(ToxiproxyError, match="in use"):
        api.create(name="b", listen=made.listen, upstream="127.0.0.1:1")
    assert api.remove_toxic("a", "never there") is False


def test_the_environment_sends_nothing_astray(
    api: Toxiproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web proxy of the environment is not asked for loopback."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert api.identify()


def test_a_server_that_never_answers_ends_in_time() -> None:
    """The deadline holds for silence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = Toxiproxy(f"http://127.0.0.1:{server.getsockname()[1]}", deadline_s=0.2)
        began = time.monotonic()
        with pytest.raises(ToxiproxyTimeoutError):
            api.identify()
        assert time.monotonic() - began < 2
        api.close()


class Hanging(BaseHTTPRequestHandler):
    """A Toxiproxy whose deletion of toxics hangs, and that drips on request."""

    made: dict[str, Any]
    release: threading.Event

    def do_GET(self) -> None:
        if self.path == "/version":
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                if self.release.wait(0.05):
                    return
                self.wfile.write(b" ")
            return
        self._say(
            b'{"name":"p","listen":"127.0.0.1:7","upstream":"127.0.0.1:1","enabled":true,"toxics":['
            b'{"name":"memquake-a","type":"timeout","stream":"downstream","toxicity":1,'
            b'"attributes":{"timeout":0}},{"name":"theirs","type":"latency","stream":"upstream",'
            b'"toxicity":0.5,"attributes":{"latency":9,"jitter":0}}]}'
        )

    def do_DELETE(self) -> None:
        self.made.setdefault("deleted", []).append(self.path)
        if "/toxics/" in self.path:
            self.release.wait(5)
            return
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.made.setdefault("posted", []).append((self.path, body))
        self._say(b'{"name":"p","listen":"127.0.0.1:7","upstream":"127.0.0.1:1","enabled":true}')

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hanging() -> Iterator[tuple[Toxiproxy, dict[str, Any]]]:
    made: dict[str, Any] = {}
    release = threading.Event()
    handler = type("Handler", (Hanging,), {"made": made, "release": release})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    api = Toxiproxy(f"http://127.0.0.1:{server.server_port}", deadline_s=0.3)
    yield api, made
    api.close()
    release.set()
    server.shutdown()
    thread.join(2)
    server.server_close()


def test_a_deletion_that_hangs_makes_the_proxy_anew(
    hanging: tuple[Toxiproxy, dict[str, Any]],
) -> None:
    """On the same address, with the toxics of others and without the one that hung."""
    api, made = hanging
    assert api.remove_toxic("p", "memquake-a") is True
    assert made["deleted"] == ["/proxies/p/toxics/memquake-a", "/proxies/p"]
    paths = [path for path, _ in made["posted"]]
    assert paths == ["/proxies", "/proxies/p/toxics"]
    assert '"127.0.0.1:7"' in made["posted"][0][1]
    assert '"theirs"' in made["posted"][1][1]


def test_a_server_that_drips_ends_in_time(hanging: tuple[Toxiproxy, dict[str, Any]]) -> None:
    """The deadline is for the whole call, not for each byte."""
    api, _ = hanging
    began = time.monotonic()
    with pytest.raises(ToxiproxyTimeoutError):
        api.identify()
    assert time.monotonic() - began < 3


def test_nobody_there() -> None:
    """A refused connection is an error of its own."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        api = Toxiproxy(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ToxiproxyUnreachableError, match="connection refused"):
            api.identify()
        api.close()

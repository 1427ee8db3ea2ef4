"""A small HTTP server for the metrics of a run without web UI.

Its rule: loopback unless told otherwise, one clear error when the port is taken, and it can be
stopped. It runs in a thread of the standard library, which is a greenlet where threads are patched.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from telemetry.prometheus import Metrics

REQUEST_TIMEOUT_S = 10  # one connection that sends nothing must not keep all others out


class MetricsPortError(Exception):
    """The port for metrics cannot be opened. One line, with the way out."""


class _QuietHandler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base
        """Say nothing: a line a second is noise."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


Respond = Callable[[str, list[tuple[str, str]]], Any]


def make_app(metrics: Metrics) -> Callable[[dict[str, Any], Respond], Iterable[bytes]]:
    """Give a WSGI application: the metrics at /metrics, 404 elsewhere."""

    def app(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            respond("404 Not Found", [("Content-Type", "text/plain")])
            return [b"metrics are at /metrics\n"]
        body = metrics.render()
        headers = [("Content-Type", metrics.content_type), ("Content-Length", str(len(body)))]
        respond("200 OK", headers)
        return [body]

    return app


class MetricsServer:
    """Serves until `stop`. `port` is the real one, also when 0 was asked for."""

    def __init__(self, metrics: Metrics, port: int, bind: str = "127.0.0.1") -> None:
        try:
            self._server = make_server(
                bind,
                port,
                make_app(metrics),
                server_class=_Server6 if ":" in bind else _Server,
                handler_class=_QuietHandler,
            )
        except (OSError, OverflowError) as error:
            in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            why = "is in use" if in_use else f"cannot be opened ({error})"
            raise MetricsPortError(
                f"the port {port} on {bind} for metrics {why}: "
                "choose another with --prometheus-port"
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close the port. Safe to repeat."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def serve(metrics: Metrics, port: int, bind: str = "127.0.0.1") -> MetricsServer:
    """Serve the metrics at http://bind:port/metrics; raises MetricsPortError."""
    return MetricsServer(metrics, port, bind)

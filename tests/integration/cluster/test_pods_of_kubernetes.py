"""The API server is asked with the token of the moment, and every answer is one of four things."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster.pods import Pod, PodApi, PodError

POD = {
    "metadata": {"name": "memcached-1", "uid": "one"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


class Answers(BaseHTTPRequestHandler):
    """Answers every request with what the test says, and keeps what was asked."""

    status, body = 200, json.dumps(POD)
    asked: list[tuple[str, str, str, Any]] = []  # noqa: RUF012

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = json.loads(self.rfile.read(length)) if length else None
        token = str(self.headers.get("Authorization"))
        type(self).asked.append((self.command, self.path, token, sent))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body.encode())

    do_GET = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[type[Answers]]:
    class Mine(Answers):
        asked: list[tuple[str, str, str, Any]] = []  # noqa: RUF012

    http = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    Mine.port = http.server_address[1]  # type: ignore[attr-defined]
    yield Mine
    http.shutdown()
    http.server_close()
    thread.join(5)


@pytest.fixture
def api(server: Any, tmp_path: Path) -> Iterator[PodApi]:
    token = tmp_path / "token"
    token.write_text("first\n")
    made = PodApi(f"http://127.0.0.1:{server.port}", "mine", token=token, authority=None)
    yield made
    made.close()


def test_a_pod_is_read_and_deleted_by_its_uid(api: PodApi, server: Any, tmp_path: Path) -> None:
    """A deletion names the uid, so that a follower of the same name is never hit."""
    pod = api.get("memcached-1")
    assert pod == Pod(name="memcached-1", uid="one", is_ready=True, is_ending=False)
    (tmp_path / "token").write_text("second")
    api.delete(pod)
    path = "/api/v1/namespaces/mine/pods/memcached-1"
    (get, delete) = server.asked
    assert get == ("GET", path, "Bearer first", None)
    assert delete[:3] == ("DELETE", path, "Bearer second")
    assert delete[3]["preconditions"] == {"uid": "one"}
    assert delete[3]["gracePeriodSeconds"] == 0


def test_one_that_is_not_there(api: PodApi, server: Any) -> None:
    """No such pod is an answer, and so is one that was replaced before it could be deleted."""
    server.status, server.body = 404, json.dumps({"message": "not found"})
    assert api.get("memcached-9") is None
    api.delete(Pod(name="memcached-9", uid="x", is_ready=False, is_ending=False))
    server.status = 409
    api.delete(Pod(name="memcached-1", uid="old", is_ready=True, is_ending=False))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, json.dumps({"message": "forbidden"}), "refuses to get pod memcached-1"),
        (500, json.dumps({"message": "etcd is gone"}), "etcd is gone"),
        (200, "<html>", "does not answer"),
        (200, "[]", "the Kubernetes API: 200"),
    ],
)
def test_what_is_wrong_is_one_line(
    status: int, body: str, words: str, api: PodApi, server: Any
) -> None:
    """A missing Role names the component that has it; nothing is a traceback."""
    server.status, server.body = status, body
    with pytest.raises(PodError, match=words) as caught:
        api.get("memcached-1")
    assert "\n" not in str(caught.value)


def test_nobody_there(free_port: Any, tmp_path: Path) -> None:
    """A server that cannot be reached is one line as well."""
    (tmp_path / "token").write_text("t")
    api = PodApi(
        f"http://127.0.0.1:{free_port()}", "mine", token=tmp_path / "token", authority=None
    )
    with pytest.raises(PodError, match="does not answer"):
        api.get("memcached-1")
    api.close()

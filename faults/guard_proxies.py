"""How the guard undoes what was done to proxies, by Toxiproxy's API. Standard library only.

Three calls fit into the time that a dead harness leaves.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

CALL_S = 0.7  # of one HTTP call; three of them fit into the 3 s that a dead harness leaves
LOOK_S = 0.2  # a server that answers does so within milliseconds
DELETE_S = 0.35  # then the proxy is made anew, which takes a few milliseconds


def undo_disabled(url: str, proxy: str) -> None:
    """Open a closed proxy again; one that is gone is fine."""
    expect(call(url, "POST", "/proxies/" + quote(proxy, safe=""), {"enabled": True}), 200, 404)


def undo_toxics(undo: dict[str, Any]) -> None:
    """Remove toxics of one proxy; what is gone is fine.

    Deleting a toxic can hang, and every question about the proxy with it; then the proxy is made
    anew on the same address with the toxics that were not ours to remove.
    """
    url, names = undo["url"], undo["toxics"]
    path = "/proxies/" + quote(undo["proxy"], safe="")
    old: dict[str, Any] = {}
    try:
        status, body = call(url, "GET", path, within_s=LOOK_S)
        if status == 404:
            return
        expect((status, body), 200)
        old = json.loads(body)
        for name in names:
            where = f"{path}/toxics/{quote(name, safe='')}"
            expect(call(url, "DELETE", where, within_s=DELETE_S), 204, 404)
    except TimeoutError:
        address = {key: old.get(key) or undo.get(key) for key in ("listen", "upstream")}
        if not all(address.values()):
            raise
        expect(call(url, "DELETE", path, within_s=DELETE_S), 204, 404)
        again = {"name": undo["proxy"], **address, "enabled": True}
        expect(call(url, "POST", "/proxies", again), 201, 200, 409)
        for toxic in old.get("toxics") or ():
            if toxic["name"] not in names:
                expect(call(url, "POST", f"{path}/toxics", toxic), 200, 201, 409)


def call(
    url: str, method: str, path: str, body: Any = None, within_s: float = CALL_S
) -> tuple[int, bytes]:
    """Make one HTTP call, past every proxy of the environment."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    make: Callable[..., http.client.HTTPConnection] = (
        http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    )
    connection = make(parts.hostname or "127.0.0.1", parts.port, timeout=within_s)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, parts.path.rstrip("/") + path, data)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def expect(answer: tuple[int, bytes], *good: int) -> None:
    """Raise unless the status is one of the good ones."""
    if answer[0] not in good:
        raise RuntimeError(f"status {answer[0]}: {answer[1][:200]!r}")

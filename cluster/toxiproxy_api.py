"""The HTTP face of one Toxiproxy server, with a deadline on every call.

`ApiConsumer` has the methods of toxiproxy-python's class of that name, and none of its globals:
each instance has its own address, session and deadline, so several servers can be used side by
side. It ignores the web proxies of the environment, which would send loopback traffic astray, and
raises typed errors, which are the library's own errors as well. What a proxy or a toxic is stands
in `cluster.toxiproxy`. See docs/adr/0003.
"""

from __future__ import annotations

import json as jsons
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from urllib3.exceptions import HTTPError, ReadTimeoutError

DEADLINE_S = 2.0  # a healthy server answers within milliseconds, on a busy machine within 100 ms
MAX_BODY_BYTES = 1 << 20  # a list of hundreds of proxies; more is not Toxiproxy
DEFAULT_URL = "http://127.0.0.1:8474"
OLDEST = "2.1"
"""The oldest series that is taken: 2.1.4, 2.3.0, 2.5.0 and 2.12.0 are tried."""

Json = Mapping[str, Any] | Sequence[Any]


class ToxiproxyError(Exception):
    """A call to Toxiproxy failed. `str()` is one line."""


class ToxiproxyUnreachableError(ToxiproxyError):
    """No server answers at the address."""


class ToxiproxyTimeoutError(ToxiproxyError):
    """No full answer before the deadline; the call may have been carried out."""


class NotToxiproxyError(ToxiproxyError):
    """Something answers that is not Toxiproxy."""


class InvalidToxicError(ToxiproxyError, InvalidToxic):  # type: ignore[misc]  # untyped base
    """The server refuses what it was asked for (400): an unknown type, a missing field."""


class NoSuchThingError(ToxiproxyError, NotFound):  # type: ignore[misc]  # untyped base
    """The proxy or toxic does not exist (404)."""


class AlreadyThereError(ToxiproxyError, ProxyExists):  # type: ignore[misc]  # untyped base
    """A proxy or toxic of that name exists (409)."""


_REFUSALS: Mapping[int, type[ToxiproxyError]] = {
    400: InvalidToxicError,
    404: NoSuchThingError,
    409: AlreadyThereError,
}


@dataclass(frozen=True)
class Answer:
    """A whole answer of the server, read within the deadline; the face of requests' Response."""

    status_code: int
    content: bytes

    def json(self) -> Any:
        """Return the body as JSON, {} for an empty one. Raises ValueError."""
        return jsons.loads(self.content) if self.content else {}


class ApiConsumer(APIConsumer):  # type: ignore[misc]  # untyped base
    """GET, POST and DELETE of one server. Paths begin with a slash and are quoted by the caller."""

    def __init__(self, url: str = DEFAULT_URL, *, deadline_s: float = DEADLINE_S) -> None:
        self.url = url.rstrip("/")
        self.deadline_s = deadline_s
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def get(self, url: str, params: Any = None, **kwargs: Any) -> Answer:
        """Return what the server has at a path."""
        return self._call("GET", url, params=params, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> Answer:
        """Delete what the server has at a path."""
        return self._call("DELETE", url, **kwargs)

    def post(self, url: str, data: Any = None, json: Json | None = None, **kwargs: Any) -> Answer:
        """Create or change what the server has at a path."""
        return self._call("POST", url, data=data, json=json, **kwargs)

    def not_toxiproxy(self, why: str = "") -> NotToxiproxyError:
        """Return the error for a server that answers as Toxiproxy does not."""
        return NotToxiproxyError(f"{self.url} answers, but is not Toxiproxy{why and f' ({why})'}")

    def _call(self, method: str, path: str, **kwargs: Any) -> Answer:
        what = f"Toxiproxy at {self.url}: {method} {path}"
        try:
            answer = self._exchange(method, f"{self.url}{path}", **kwargs)
        except (requests.Timeout, ReadTimeoutError):
            raise ToxiproxyTimeoutError(
                f"{what} had no answer within {self.deadline_s:g} s"
            ) from None
        except (requests.RequestException, HTTPError, ValueError, OSError) as why:
            raise ToxiproxyUnreachableError(
                f"no Toxiproxy answers at {self.url} ({_reason(why)})"
            ) from None
        if answer.status_code < 300:
            return answer
        if answer.status_code == 503:
            raise ToxiproxyTimeoutError(f"{what} hung until the server itself gave up")
        kind = _REFUSALS.get(answer.status_code, ToxiproxyError)
        raise kind(f"{what}: {self._error_text(answer)}")

    def _error_text(self, answer: Answer) -> str:
        """Return the server's own words of an error."""
        try:
            body = answer.json()
        except ValueError:
            body = None
        found = body.get("error") if isinstance(body, dict) else None
        if found is None:
            raise self.not_toxiproxy(f"status {answer.status_code}")
        return str(found)

    def _exchange(self, method: str, url: str, **kwargs: Any) -> Answer:
        # The timeout of requests restarts with every received chunk, so the whole is timed here.
        ends = time.monotonic() + self.deadline_s
        kwargs = {"timeout": self.deadline_s, "allow_redirects": False} | kwargs | {"stream": True}
        with self._session.request(method, url, **kwargs) as answer:
            content = b""
            # read1 gives what is there; iter_content would wait for a full chunk of a slow drip.
            while chunk := answer.raw.read1(8192, decode_content=True):
                content += chunk
                if time.monotonic() > ends:
                    raise requests.Timeout
                if len(content) > MAX_BODY_BYTES:
                    raise ValueError("an endless answer")
            return Answer(answer.status_code, content)


def _reason(why: Exception) -> str:
    text = str(why)
    for known in ("Connection refused", "Name or service not known", "No route to host"):
        if known in text:
            return known.lower()
    return type(why).__name__

"""Toxiproxy's HTTP API, as little of it as is needed, with a deadline on every call.

One instance speaks to one server by its own base URL (nothing global, so two servers can be used
side by side) and past the proxies of the environment, which would send loopback traffic astray.
It hides one fault of the server: changing a toxic can hang, and every question about its proxy
with it (Toxiproxy #558). It happens when a client went away in the middle of a reply that a toxic
holds, so what is held is let go bit by bit first; where it hangs all the same, the proxy is
deleted and made again on the same address. It validates nothing: the server takes a toxicity of 7
without a word, so whoever calls must have checked. See docs/adr/0003.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

DEADLINE_S = 2.0  # a healthy server answers within milliseconds, on a busy machine within 100 ms
OWN_PREFIX = "memquake-"  # proxies and toxics with this prefix are ours to remove, others never
MAX_BODY_BYTES = 1 << 20  # a list of hundreds of proxies; more is not Toxiproxy
HOLDING = frozenset({"bandwidth", "latency", "slicer"})  # toxics that keep bytes for a while
FLUSHES = 2  # the first write to a client that is gone still works, the second ends the connection
FLUSH_PAUSE_S = 0.02  # for the reset of a client that is gone to come back
MAKE_TRIES = 4  # a port just given up may be somebody's outgoing port for a moment
MAKE_PAUSE_S = 0.05

Stream = Literal["upstream", "downstream"]


class ToxiproxyError(Exception):
    """A call to Toxiproxy failed. `str()` is one line."""


class ToxiproxyUnreachableError(ToxiproxyError):
    """Nobody answers at the address."""


class ToxiproxyTimeoutError(ToxiproxyError):
    """No full answer before the deadline; the call may have been carried out."""


class NotToxiproxyError(ToxiproxyError):
    """Something answers that is not Toxiproxy."""


class NoSuchThingError(ToxiproxyError):
    """The proxy or toxic does not exist (404)."""


class AlreadyThereError(ToxiproxyError):
    """A proxy or toxic of that name exists (409)."""


@dataclass(frozen=True, kw_only=True)
class Toxic:
    """A toxic as the server has it. Attributes in the server's units (ms)."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        """Whether memquake made it."""
        return self.name.startswith(OWN_PREFIX)


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy as the server has it."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[Toxic, ...]

    def toxic(self, name: str) -> Toxic | None:
        """Give the toxic of that name, if it is there."""
        return next((toxic for toxic in self.toxics if toxic.name == name), None)


class ToxiproxyApi:
    """One Toxiproxy server."""

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        self.url = url.rstrip("/")
        self.deadline_s = deadline_s
        self._session = requests.Session()
        self._session.trust_env = False
        self._seen: dict[str, Proxy] = {}  # as last read; a proxy that hangs tells nothing
        self._owed: dict[str, Proxy] = {}  # deleted by us and not made again yet

    def __repr__(self) -> str:
        return f"<ToxiproxyApi {self.url}>"

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def version(self) -> str:
        """Give the server's version; NotToxiproxyError where something else answers."""
        answer = self._call("GET", "version")
        found = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(found, str):
            raise NotToxiproxyError(f"{self.url} answers, but is not Toxiproxy")
        return found

    def proxies(self) -> dict[str, Proxy]:
        """Give all proxies by name."""
        answer = self._call("GET", "proxies")
        if not isinstance(answer, dict):
            raise NotToxiproxyError(f"{self.url} answers, but is not Toxiproxy")
        return {name: self._proxy(raw) for name, raw in answer.items()}

    def proxy(self, name: str) -> Proxy:
        """Give one proxy with its toxics."""
        found = self._seen[name] = self._proxy(self._call("GET", "proxies", name))
        return found

    def create(self, name: str, *, listen: str, upstream: str) -> Proxy:
        """Make a proxy; AlreadyThereError, or ToxiproxyError where the address cannot be had."""
        body = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
        return self._proxy(self._call("POST", "proxies", body=body))

    def delete(self, name: str) -> None:
        """Delete a proxy; one that is not there is fine."""
        try:
            self._call("DELETE", "proxies", name)
        except NoSuchThingError:
            return

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Open or close a proxy; closing ends its connections, its port is kept."""
        # POST, not PATCH: servers before 2.5 know only this form, later ones take both.
        self._call("POST", "proxies", name, body={"enabled": enabled})

    def add_toxic(
        self,
        proxy: str,
        name: str,
        kind: str,
        attributes: Mapping[str, int],
        stream: Stream,
        *,
        toxicity: float = 1.0,
    ) -> None:
        """Add a toxic by its parts; see `add`."""
        self.add(
            proxy,
            Toxic(name=name, type=kind, stream=stream, toxicity=toxicity, attributes=attributes),
        )

    def add(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic, for open connections too.

        A toxicity below 1 hits that share of the connections, drawn anew at every change. Where
        the call hangs, the proxy is made anew with the toxic, and its connections end.
        """
        old = self._look(proxy)
        try:
            self._call("POST", "proxies", proxy, "toxics", body=_toxic_body(toxic))
        except ToxiproxyTimeoutError:
            self._remake(replace(old, toxics=(*_others(old, toxic.name), toxic)))

    def set_toxicity(self, proxy: str, name: str, toxicity: float) -> None:
        """Set the share of connections a toxic hits, and draw anew which; NoSuchThingError."""
        # POST, not PATCH, for the same reason as in `set_enabled`.
        self._call("POST", "proxies", proxy, "toxics", name, body={"toxicity": toxicity})

    def remove_toxic(self, proxy: str, name: str) -> bool:
        """Remove a toxic; one that is not there is fine. Tell whether the proxy was made anew.

        What the toxic holds goes on. Removing a timeout toxic ends every connection of the proxy.
        """
        try:
            old = self._look(proxy)
            toxic = old.toxic(name)
            if toxic is None:
                return False
            if toxic.type in HOLDING:
                self._flush(proxy, toxic)
            self._call("DELETE", "proxies", proxy, "toxics", name)
        except NoSuchThingError:
            return False
        except ToxiproxyTimeoutError:
            known = self._seen.get(proxy)
            if known is None:
                raise
            self._remake(replace(known, toxics=_others(known, name)))
            return True
        return False

    def _look(self, name: str) -> Proxy:
        owed = self._owed.get(name)
        if owed is not None:
            self._make(owed)
        return self.proxy(name)

    def _flush(self, proxy: str, toxic: Toxic) -> None:
        # A link whose client is gone ends at its second write. Were that write made by the
        # deletion, the server would wait 5 s or for ever for somebody to take the third.
        for _ in range(FLUSHES):
            self.set_toxicity(proxy, toxic.name, toxic.toxicity)
            time.sleep(FLUSH_PAUSE_S)

    def _remake(self, wanted: Proxy) -> None:
        self._owed[wanted.name] = wanted
        self.delete(wanted.name)
        self._make(wanted)

    def _make(self, wanted: Proxy) -> None:
        # Everything comes back as it was, toxics of others included.
        for attempt in range(MAKE_TRIES):
            try:
                self.create(wanted.name, listen=wanted.listen, upstream=wanted.upstream)
                break
            except AlreadyThereError:
                break
            except (ToxiproxyTimeoutError, ToxiproxyUnreachableError):
                raise
            except ToxiproxyError:
                if attempt == MAKE_TRIES - 1:
                    raise
            time.sleep(MAKE_PAUSE_S)
        if not wanted.enabled:
            self.set_enabled(wanted.name, False)
        for toxic in wanted.toxics:
            with contextlib.suppress(AlreadyThereError):
                self._call("POST", "proxies", wanted.name, "toxics", body=_toxic_body(toxic))
        self._seen[wanted.name] = wanted
        self._owed.pop(wanted.name, None)

    def _proxy(self, raw: Any) -> Proxy:
        try:
            return Proxy(
                name=str(raw["name"]),
                listen=str(raw["listen"]),
                upstream=str(raw["upstream"]),
                enabled=bool(raw["enabled"]),
                toxics=tuple(
                    Toxic(
                        name=str(toxic["name"]),
                        type=str(toxic["type"]),
                        stream=str(toxic["stream"]),
                        toxicity=float(toxic["toxicity"]),
                        attributes=dict(toxic["attributes"]),
                    )
                    for toxic in raw.get("toxics") or ()
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NotToxiproxyError(f"{self.url} answers, but is not Toxiproxy") from None

    def _call(self, method: str, *parts: str, body: Mapping[str, Any] | None = None) -> Any:
        path = "/".join(quote(part, safe="") for part in parts)
        what = f"Toxiproxy at {self.url}: {method} /{path}"
        try:
            status, text = self._exchange(method, f"{self.url}/{path}", body)
        except (requests.Timeout, ReadTimeoutError):
            raise ToxiproxyTimeoutError(
                f"{what} had no answer within {self.deadline_s:g} s"
            ) from None
        except (requests.RequestException, HTTPError, ValueError, OSError) as why:
            raise ToxiproxyUnreachableError(
                f"no Toxiproxy answers at {self.url} ({_reason(why)})"
            ) from None
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = None
        if status < 300 and answer is not None:
            return answer
        if status == 503:
            raise ToxiproxyTimeoutError(f"{what} hung until the server itself gave up")
        said = answer.get("error") if isinstance(answer, dict) else None
        if said is None:
            raise NotToxiproxyError(f"{self.url} answers, but is not Toxiproxy (status {status})")
        kind = {404: NoSuchThingError, 409: AlreadyThereError}.get(status, ToxiproxyError)
        raise kind(f"{what}: {said}")

    def _exchange(self, method: str, url: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        # The timeout of requests restarts with every received chunk, so the whole is timed here.
        ends = time.monotonic() + self.deadline_s
        with self._session.request(
            method, url, json=body, timeout=self.deadline_s, stream=True, allow_redirects=False
        ) as answer:
            text = b""
            # read1 gives what is there; iter_content would wait for a full chunk of a slow drip.
            while chunk := answer.raw.read1(8192, decode_content=True):
                text += chunk
                if time.monotonic() > ends:
                    raise requests.Timeout
                if len(text) > MAX_BODY_BYTES:
                    raise ValueError("an endless answer")
            return answer.status_code, text


def _toxic_body(toxic: Toxic) -> dict[str, Any]:
    return {
        "name": toxic.name,
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": toxic.toxicity,
        "attributes": dict(toxic.attributes),
    }


def _others(proxy: Proxy, name: str) -> tuple[Toxic, ...]:
    return tuple(toxic for toxic in proxy.toxics if toxic.name != name)


def _reason(why: Exception) -> str:
    text = str(why)
    for known in ("Connection refused", "Name or service not known", "No route to host"):
        if known in text:
            return known.lower()
    return type(why).__name__

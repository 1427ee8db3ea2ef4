"""Toxiproxy servers, their proxies and toxics: toxiproxy-python's classes, made safe to rely on.

`Toxiproxy`, `Proxy` and `Toxic` are subclasses of the library's, so tests and scripts written for
it run unchanged on a cluster of ours. Each server has a consumer of its own in place of the
library's class-wide one (`cluster.toxiproxy_api`). One fault of the server is hidden: changing a
toxic can hang, and every question about its proxy with it (Toxiproxy #558). It happens when a
client went away in the middle of a reply that a toxic holds, so what is held is let go bit by bit
first; where it hangs all the same, the proxy is deleted and made again on the same address. Nothing
is validated here: the server takes a toxicity of 7 without a word, so the caller must have checked.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import toxiproxy
from toxiproxy.toxic import Toxic as LibraryToxic

from cluster.toxiproxy_api import (
    DEADLINE_S,
    DEFAULT_URL,
    OLDEST,
    AlreadyThereError,
    Answer,
    ApiConsumer,
    InvalidToxicError,
    NoSuchThingError,
    ToxiproxyError,
    ToxiproxyTimeoutError,
    ToxiproxyUnreachableError,
)

OWN_PREFIX = "memquake-"  # proxies and toxics with this prefix are ours to remove, others never
TRIAL = OWN_PREFIX + "trial"  # a proxy that is gone within the call
NOWHERE = "127.0.0.1:1"  # nothing listens there
ANY_PORT = "127.0.0.1:0"  # the library's default: a free port of loopback
HOLDING = frozenset({"bandwidth", "latency", "slicer"})  # toxics that keep bytes for a while
FLUSHES = 2  # the first write to a client that is gone still works, the second ends the connection
FLUSH_PAUSE_S = 0.02  # for the reset of a client that is gone to come back
MAKE_TRIES = 4  # a port just given up may be an outgoing port of some process for a moment
MAKE_PAUSE_S = 0.05

Stream = Literal["upstream", "downstream"]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Toxic(LibraryToxic):  # type: ignore[misc]  # untyped base
    """A toxic as the server has it. Attributes in the server's units (ms)."""

    type: str
    stream: str
    name: str
    toxicity: float
    attributes: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        """Whether memquake made it."""
        return self.name.startswith(OWN_PREFIX)

    def body(self) -> dict[str, Any]:
        """Return what the server is sent to make it."""
        return {
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Toxic:
        """Return a toxic from the library's words; stream, name, toxicity, attributes may lack."""
        known = vars(LibraryToxic(**raw))
        return cls(**(known | {"toxicity": float(known["toxicity"])}))


class Proxy(toxiproxy.Proxy):  # type: ignore[misc]  # untyped base
    """A proxy as the server had it when it was read; its methods ask the server anew."""

    name: str
    listen: str
    upstream: str
    enabled: bool

    def __init__(self, server: Toxiproxy, raw: Mapping[str, Any]) -> None:
        super().__init__(**raw)
        self.known_toxics = tuple(Toxic.of(toxic) for toxic in raw.get("toxics") or ())
        self._server = server

    def __repr__(self) -> str:
        state = "" if self.enabled else ", disabled"
        return f"<Proxy {self.name} {self.listen} -> {self.upstream}{state}>"

    def known_toxic(self, name: str) -> Toxic | None:
        """Return the toxic of that name, if it was there when the proxy was read."""
        return next((toxic for toxic in self.known_toxics if toxic.name == name), None)

    def with_toxics(self, toxics: Iterable[Toxic]) -> Proxy:
        """Return the same proxy with other toxics; the server is told nothing."""
        raw = {name: getattr(self, name) for name in ("name", "listen", "upstream", "enabled")}
        return Proxy(self._server, raw | {"toxics": [toxic.body() for toxic in toxics]})

    def toxics(self) -> dict[str, Toxic]:
        """Return the toxics that the server has now, by name."""
        return {toxic.name: toxic for toxic in self._server.proxy(self.name).known_toxics}

    def add_toxic(self, **kwargs: Any) -> None:
        """Add a toxic: `type`, and where wanted `stream`, `name`, `toxicity`, `attributes`."""
        self._server.add(self.name, Toxic.of(kwargs))

    def destroy_toxic(self, toxic_name: str) -> bool:
        """Remove a toxic. Raises NotFound when there is none of that name."""
        if self.get_toxic(toxic_name) is None:
            raise NoSuchThingError(f"no toxic {toxic_name} on proxy {self.name}")
        self._server.remove_toxic(self.name, toxic_name)
        return True

    def destroy(self) -> bool:
        """Delete the proxy."""
        self._server.delete(self.name)
        return True

    def disable(self) -> None:
        """End all connections of the proxy and stop listening; its port is kept."""
        self._server.set_enabled(self.name, False)
        self.enabled = False

    def enable(self) -> None:
        """Listen again."""
        self._server.set_enabled(self.name, True)
        self.enabled = True


class Toxiproxy(toxiproxy.Toxiproxy):  # type: ignore[misc]  # untyped base
    """One Toxiproxy server, by its own base URL.

    Every call ends within `deadline_s` or raises ToxiproxyTimeoutError; all errors are
    ToxiproxyError, and ProxyExists, NotFound or InvalidToxic where the library has a name for them.
    """

    def __init__(self, url: str = DEFAULT_URL, *, deadline_s: float = DEADLINE_S) -> None:
        self.consumer = ApiConsumer(url, deadline_s=deadline_s)
        self._seen: dict[str, Proxy] = {}  # as last read; a proxy that hangs tells nothing
        self._owed: dict[str, Proxy] = {}  # deleted by us and not made again yet

    def __repr__(self) -> str:
        return f"<Toxiproxy {self.url}>"

    @property
    def url(self) -> str:
        """The base URL of the server's API."""
        return self.consumer.url

    def update_api_consumer(self, host: str, port: int) -> None:
        """Speak to another server from now on: this object alone, no other."""
        self.close()
        self.consumer = ApiConsumer(f"http://{host}:{port}", deadline_s=self.consumer.deadline_s)
        self._seen, self._owed = {}, {}

    def close(self) -> None:
        """Close the kept connections."""
        self.consumer.close()

    # The server --------------------------------------------------------------------------------

    def running(self) -> bool:
        """Tell whether a server takes connections at the address."""
        parts = urlsplit(self.url)
        at = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        try:
            socket.create_connection(at, self.consumer.deadline_s).close()
        except OSError:
            return False
        return True

    def version(self) -> bytes | None:
        """Return what the server says of its version, as it says it; None when none is there."""
        return self.consumer.get("/version").content if self.running() else None

    def identify(self) -> str:
        """Return the server's version, after it answered as what is needed of a Toxiproxy.

        Raises NotToxiproxyError where something else answers. Servers before 2.6 say their version
        in plain text.
        """
        try:
            answer = self.consumer.get("/version")
        except NoSuchThingError as why:
            raise self.consumer.not_toxiproxy() from why
        try:
            told = answer.json()
        except ValueError:
            told = answer.content.decode(errors="replace").strip()
        version = told.get("version") if isinstance(told, dict) else told
        if not isinstance(version, str) or not version or len(version) > 64:
            raise self.consumer.not_toxiproxy()
        try:
            self.proxies()
        except NoSuchThingError as why:
            raise self.consumer.not_toxiproxy() from why
        if version.split(".")[0] in {"0", "1"}:
            raise ToxiproxyError(
                f"Toxiproxy at {self.url} is version {version}: {OLDEST} or newer is needed"
            )
        return version

    def reset(self) -> bool:
        """Enable all proxies and remove all toxics, those of others too."""
        self.consumer.post("/reset")
        return True

    # Proxies -----------------------------------------------------------------------------------

    def proxies(self) -> dict[str, Proxy]:
        """Return all proxies by name."""
        raw = self._json(self.consumer.get("/proxies"))
        return self._checked(lambda: {name: Proxy(self, one) for name, one in raw.items()})

    def proxy(self, name: str) -> Proxy:
        """Return one proxy with its toxics. Raises NoSuchThingError."""
        found = self._proxy(self.consumer.get(_path("proxies", name)))
        self._seen[name] = found
        return found

    def create(
        self, upstream: str, name: str, listen: str | None = None, enabled: bool | None = None
    ) -> Proxy:
        """Make a proxy. Raises AlreadyThereError; ToxiproxyError where it cannot listen there."""
        enabled = True if enabled is None else enabled
        body = {"name": name, "listen": listen or ANY_PORT, "upstream": upstream}
        return self._proxy(self.consumer.post("/proxies", json=body | {"enabled": enabled}))

    def populate(self, proxies: Iterable[Mapping[str, Any]]) -> list[Proxy]:
        """Make several proxies in one call; one that is there with other addresses is replaced.

        Each has `name`, `upstream` and where wanted `listen` and `enabled`.
        """
        wanted = [{"listen": ANY_PORT, "enabled": True, **proxy} for proxy in proxies]
        raw = self._json(self.consumer.post("/populate", json=wanted))
        return self._checked(lambda: [Proxy(self, one) for one in raw["proxies"]])

    def delete(self, name: str) -> None:
        """Delete a proxy; one that is not there is fine."""
        with contextlib.suppress(NoSuchThingError):
            self.consumer.delete(_path("proxies", name))

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Open or close a proxy; closing ends its connections, its port is kept."""
        # POST, not PATCH: servers before 2.5 know only this form, later ones take both.
        self.consumer.post(_path("proxies", name), json={"enabled": enabled})

    # Toxics ------------------------------------------------------------------------------------

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
        toxic = Toxic(name=name, type=kind, stream=stream, toxicity=toxicity, attributes=attributes)
        self.add(proxy, toxic)

    def add(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic, for open connections too.

        A toxicity below 1 hits that share of the connections, drawn anew at every change. Where
        the call hangs, the proxy is made anew with the toxic, and its connections end.
        """
        old = self._look(proxy)
        try:
            self.consumer.post(_path("proxies", proxy, "toxics"), json=toxic.body())
        except ToxiproxyTimeoutError:
            self._remake(old.with_toxics((*_others(old, toxic.name), toxic)))

    def set_toxicity(self, proxy: str, name: str, toxicity: float) -> None:
        """Set the share of connections a toxic hits, and draw anew which; NoSuchThingError."""
        # POST, not PATCH, for the same reason as in `set_enabled`.
        self.consumer.post(_path("proxies", proxy, "toxics", name), json={"toxicity": toxicity})

    def remove_toxic(self, proxy: str, name: str) -> bool:
        """Remove a toxic; one that is not there is fine. Tell whether the proxy was made anew.

        What the toxic holds goes on. Removing a timeout toxic ends every connection of the proxy.
        """
        try:
            toxic = self._look(proxy).known_toxic(name)
            if toxic is None:
                return False
            if toxic.type in HOLDING:
                self._flush(proxy, toxic)
            self.consumer.delete(_path("proxies", proxy, "toxics", name))
        except NoSuchThingError:
            return False
        except ToxiproxyTimeoutError:
            known = self._seen.get(proxy)
            if known is None:
                raise
            self._remake(known.with_toxics(_others(known, name)))
            return True
        return False

    def knows(self, kind: str) -> bool:
        """Tell whether the server has a type of toxic, by a trial on a closed proxy of its own."""
        trial = self.create(name=TRIAL, upstream=NOWHERE, enabled=False)
        try:
            trial.add_toxic(type=kind)
        except InvalidToxicError:
            return False
        finally:
            trial.destroy()
        return True

    # Within ------------------------------------------------------------------------------------

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
                self.create(name=wanted.name, listen=wanted.listen, upstream=wanted.upstream)
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
        for toxic in wanted.known_toxics:
            with contextlib.suppress(AlreadyThereError):
                self.consumer.post(_path("proxies", wanted.name, "toxics"), json=toxic.body())
        self._seen[wanted.name] = wanted
        self._owed.pop(wanted.name, None)

    def _proxy(self, answer: Answer) -> Proxy:
        raw = self._json(answer)
        return self._checked(lambda: Proxy(self, raw))

    def _json(self, answer: Answer) -> dict[str, Any]:
        raw = self._checked(answer.json)
        if not isinstance(raw, dict):
            raise self.consumer.not_toxiproxy()
        return raw

    def _checked(self, parse: Callable[[], _T]) -> _T:
        try:
            return parse()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self.consumer.not_toxiproxy() from None


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _others(proxy: Proxy, name: str) -> tuple[Toxic, ...]:
    return tuple(toxic for toxic in proxy.known_toxics if toxic.name != name)

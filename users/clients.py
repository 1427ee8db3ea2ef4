"""The client under test: from what `--client` says to an object that answers calls.

A specification is one of three names or MODULE:CALLABLE with the working directory on the path. A
stranger's module or callable may raise anything; that becomes one line, and nothing is started.
"""

from __future__ import annotations

import importlib
import os
import ssl
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from pymemcache.client.base import PooledClient
from pymemcache.client.hash import HashClient

import client
from cluster.node import Address, is_unix, spell
from memquake.paths import CHECKOUT
from users.pooled import build_pooled
from users.strangers import (
    ends_the_user,
    kind_of,
    part_of,
    text_of,
    words_of,
)

Factory = Callable[[Sequence[Address], Any], Any]

_INSTALLED = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}

NEEDED_METHODS = ("get", "set", "add", "delete", "incr", "get_many")
"""What the users call. Everything else of the contract is done without where it is missing."""


class ClientSpecError(Exception):
    """A client that cannot be used. One line: what is wrong and how to mend it."""


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What CALLABLE gets as its settings. Times in seconds; from ring on for our client.

    `tls` encrypts connections (None: nothing does) and knows for itself which name a certificate
    must have; `auth_token` is "user password", None where the nodes ask for none.
    """

    pool_size: int
    op_timeout: float
    connect_timeout: float
    tls: ssl.SSLContext | None = None
    auth_token: str | None = field(default=None, repr=False)
    ring: str = "ketama"
    failover: str = "fail"
    gutter_nodes: Sequence[Address] = ()
    breaker: Mapping[str, Any] | None = None
    guard_share: float | None = None


def _pymemcache(settings: Any) -> dict[str, Any]:
    # Noreply hides failed writes; everything else is left as the library has it.
    return {
        "timeout": settings.op_timeout,
        "connect_timeout": settings.connect_timeout,
        "default_noreply": False,
        "max_pool_size": settings.pool_size,
        "tls_context": settings.tls,
    }


def _build_hash(nodes: Sequence[Address], settings: Any) -> HashClient:
    return HashClient(list(nodes), use_pooling=True, **_pymemcache(settings))


def _build_pooled(nodes: Sequence[Address], settings: Any) -> Any:
    return build_pooled(nodes, partial(PooledClient, **_pymemcache(settings)))


NAMED: Mapping[str, Factory] = {
    "memquake": client.build,
    "pymemcache-hash": _build_hash,
    "pymemcache-pooled": _build_pooled,
}


def resolve(spec: str) -> Factory:
    """Give the callable that `--client SPEC` names.

    Raises ClientSpecError for an unknown name, a module that does not import, or an attribute
    that is missing or not callable.
    """
    if ":" in spec:
        return _import(spec)
    if spec not in NAMED:
        near = get_close_matches(spec, NAMED, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ClientSpecError(
            f"--client {spec!r} is unknown: {hint}give one of {', '.join(NAMED)}, "
            "or MODULE:CALLABLE"
        )
    return NAMED[spec]


def _import(spec: str) -> Factory:
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise ClientSpecError(f"--client {spec!r} is incomplete: give MODULE:CALLABLE")
    here = str(Path.cwd())
    sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    try:
        found = importlib.import_module(module_name)
    except BaseException as error:  # a stranger's module may even exit
        raise ClientSpecError(
            f"--client {spec}: module {module_name} does not import: {_line(error)}"
        ) from error
    finally:
        _refuse_namesake(spec, module_name.partition(".")[0], here)
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except BaseException as error:
        raise ClientSpecError(f"--client {spec}: {_line(error)}; give MODULE:CALLABLE") from error
    if not callable(found):
        raise ClientSpecError(
            f"--client {spec} is a {kind_of(found)}, which cannot be called: "
            "name a function or class that takes (nodes, settings)"
        )
    factory: Factory = found
    return factory


def folder_of(spec: str) -> Path | None:
    """Return the folder that the module of `--client MODULE:CALLABLE` was found in.

    None for a name, and for an installed package, which is found from anywhere.
    """
    if ":" not in spec:
        return None
    module = sys.modules.get(spec.partition(":")[0].partition(".")[0])
    places = [part_of(module, "__file__"), *(part_of(module, "__path__") or ())]
    found = next((Path(place) for place in places if type(place) is str), None)
    if found is None:
        return None
    folder = (found.parent if found.name == "__init__.py" else found).parent
    return None if folder in _INSTALLED else folder


def _refuse_namesake(spec: str, name: str, here: str) -> None:
    """Refuse a module that had its name before the working directory's could have it."""
    wanted = PathFinder.find_spec(name, [here])
    if wanted is None or wanted.origin is None or CHECKOUT in Path(wanted.origin).parents:
        return
    taken = sys.modules.get(name)
    file = getattr(taken, "__file__", None) or "built in"
    if taken is not None and os.path.realpath(file) != os.path.realpath(wanted.origin):
        raise ClientSpecError(
            f"--client {spec}: {name} is also a module that Python has loaded before ({file}): "
            f"rename {wanted.origin}"
        )


def construct(factory: Factory, nodes: Sequence[Address], settings: Any) -> Any:
    """Build a client and see that it has the methods that users call.

    Raises ClientSpecError when it raises or lacks one of them.
    """
    name = text_of(part_of(factory, "__qualname__") or kind_of(factory))
    try:
        built = factory([_as_given(node) for node in nodes], settings)
    except BaseException as error:  # a stranger's code may even exit
        if ends_the_user(error, is_ending=False):
            raise
        raise ClientSpecError(f"--client: {name} raised {_line(error)}") from error
    missing = [method for method in NEEDED_METHODS if not callable(part_of(built, method))]
    if missing:
        raise ClientSpecError(
            f"--client: {name} returned a {kind_of(built)} without {', '.join(missing)}: "
            "return an object with pymemcache's methods"
        )
    return built


def declares_moves(factory: Factory, built: Any) -> bool:
    """Tell whether a client, or the callable that made it, says that it moves keys between nodes.

    Only True itself is believed: an attribute by a catch-all `__getattr__` says nothing.
    """
    return any(part_of(thing, "moves_keys") is True for thing in (built, factory))


def _as_given(node: Address) -> Any:
    """Return an address as clients take it: (host, port), or "unix:/path"."""
    return spell(node) if is_unix(node) else node


def _line(error: BaseException) -> str:
    return " ".join(words_of(error).split())

"""Who the client under test is: its class, file and version, so that a verdict says what it judged.

A client is often an adapter of the user's own around a library: the distributions that its module
and its parts come from are named too. Files tell what is memquake's own, not names of modules.
"""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from types import FunctionType, MethodType, ModuleType
from typing import Any

from memquake.paths import CHECKOUT
from users.strangers import bases_of, file_of, module_of, part_of, space_of, text_of

OWN_CLIENTS = (f"{CHECKOUT}/client/", f"{CHECKOUT}/users/")
OWN_NAME = "memquake"
LIBRARIES_MAX = 20
VERSIONS_OF = ("gevent", "locust")


def identify(client: object, factory: object, version: str) -> dict[str, Any]:
    """Give class, file, package and version of a client, its libraries and what built it.

    `version` is memquake's. A package or version that nothing tells is None; `libraries` maps the
    distributions that the client is made of to their versions. Plain types.
    """
    kind, file = type(client), file_of(type(client))
    if file.startswith(OWN_CLIENTS):
        package: str | None = OWN_NAME
        found: str | None = version
    else:
        package = _distribution(module_of(kind))
        found = _version(package) if package else _told_version(kind)
    libraries = {name for each in _modules(client, factory) if (name := _distribution(each))}
    return {
        "class": f"{module_of(kind)}.{text_of(part_of(kind, '__qualname__'))}",
        "file": file,
        "package": package,
        "version": found,
        "factory_file": file_of(_function(factory)),
        "libraries": {
            name: _version(name) for name in sorted(libraries - {package})[:LIBRARIES_MAX]
        },
    }


def versions(version: str) -> dict[str, str]:
    """Give the versions of what runs the load in this process; `version` is memquake's."""
    return {
        OWN_NAME: version,
        "python": platform.python_version(),
        **{name: _version(name) or "" for name in VERSIONS_OF},
    }


def agreed(all_of_them: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give what several processes say as one: values that differ stand beside each other."""
    found: dict[str, Any] = {}
    for key in {key: None for each in all_of_them for key in each}:
        values = [each[key] for each in all_of_them if each.get(key) is not None]
        if any(isinstance(value, Mapping) for value in values):
            found[key] = agreed([value for value in values if isinstance(value, Mapping)])
        else:
            found[key] = ", ".join(dict.fromkeys(map(str, values))) or None
    return found


def _function(factory: object) -> object:
    """Give what a factory is written as: of a partial its function, of an object its class."""
    while type(factory) is functools.partial:
        factory = factory.func
    if type(factory) is MethodType:
        factory = factory.__func__
    return factory if type(factory) in (FunctionType, type) else type(factory)


def _modules(client: object, factory: object) -> Iterable[str]:
    """Give the modules that a client comes from, is made of, and is written with."""
    for base in bases_of(type(client)):
        yield module_of(base)
    parts = part_of(client, "__dict__")
    for value in list(parts.values()) if type(parts) is dict else ():
        yield module_of(type(value))
    for space in (space_of(type(client)), space_of(_function(factory))):
        yield from map(_origin, list(space.values()))


def _origin(value: object) -> str:
    """Return the module that a value comes from, without a look at what its own code would say."""
    kind = type(value)
    if kind is ModuleType:
        found = vars(value).get("__name__")
    elif kind is FunctionType:
        found = value.__module__
    else:
        found = module_of(value if issubclass(kind, type) else kind)  # type: ignore[arg-type]
    return found if type(found) is str else ""


def _distribution(module: str) -> str | None:
    top = module.partition(".")[0]
    return None if top in sys.stdlib_module_names else _packages().get(top, [None])[0]


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return None


def _told_version(kind: type) -> str | None:
    told = space_of(kind).get("__version__")
    return told if type(told) is str else None

"""Who the client under test is: told by files, for two modules may have one name."""

from __future__ import annotations

import functools
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pymemcache.client.hash
import pytest
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import MemcacheError

import client as our_client
from users.clients import NAMED, ClientOptions
from users.identity import agreed, identify, versions
from users.strangers import file_of, top_of

NODES = [("127.0.0.1", 1)]
OPTIONS = ClientOptions(pool_size=1, op_timeout=0.5, connect_timeout=0.5)
PYMEMCACHE = metadata.version("pymemcache")
LIBRARY = str(pymemcache.client.hash.__file__)

ADAPTER = """
import json
from pymemcache.client.base import Client as Inner
__version__ = "2.5"
class Adapter:
    def get(self, key): ...
def make(nodes, settings): return Adapter()
"""


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Make a service's module that is called `client`, while the name leads to memquake's."""
    module = ModuleType("client")
    module.__file__ = str(tmp_path / "client.py")
    exec(ADAPTER, module.__dict__)
    monkeypatch.setitem(sys.modules, "client", our_client)
    return module


def identity(factory: Any) -> dict[str, Any]:
    return identify(factory(NODES, OPTIONS), factory, "1.2.3")


def test_memquake_s_own_client() -> None:
    told = identity(NAMED["memquake"])
    assert told["class"] == "client.client.MemcacheClient"
    assert (told["package"], told["version"]) == ("memquake", "1.2.3")
    assert told["file"] == str(Path(our_client.__file__).parent / "client.py")


def test_a_library_as_it_is() -> None:
    told = identity(NAMED["pymemcache-hash"])
    assert told["class"] == "pymemcache.client.hash.HashClient"
    assert (told["file"], told["package"], told["version"]) == (LIBRARY, "pymemcache", PYMEMCACHE)


def test_a_module_of_the_service_with_the_name_of_ours(adapter: ModuleType) -> None:
    assert identity(adapter.make) == {
        "class": "client.Adapter",
        "file": adapter.__file__,
        "package": None,
        "version": "2.5",
        "factory_file": adapter.__file__,
        "libraries": {"pymemcache": PYMEMCACHE},
    }


@pytest.mark.parametrize("how", ["partial", "object", "class", "method"])
def test_what_built_it_is_found_whatever_it_is(adapter: ModuleType, how: str) -> None:
    def call(self: Any, nodes: Any, settings: Any) -> Any:
        return adapter.Adapter()

    maker: Any = type("Maker", (), {"__init__": lambda *_: None, "get": adapter.make})
    maker.__module__ = "client"
    factories: dict[str, Any] = {
        "partial": functools.partial(adapter.make, NODES),
        "object": type("Callable", (adapter.Adapter,), {"__module__": "client"})(),
        "class": maker,
        "method": maker().get,
    }
    told = identify(adapter.Adapter(), factories[how], "1.2.3")
    expected = {"object": our_client.__file__}.get(how, adapter.__file__)  # no function of its own
    assert told["factory_file"] == expected


def test_a_wrapper_names_what_it_wraps() -> None:
    """By its attributes, where nothing is imported where it stands."""
    wrapper = type("Wrapper", (), {"__module__": "nowhere"})()
    wrapper.inner = RetryingClient(object())
    assert identify(wrapper, print, "1")["libraries"] == {"pymemcache": PYMEMCACHE}


@pytest.mark.parametrize(
    "thing", [Mock(), object(), 3, type], ids=["mock", "object", "int", "type"]
)
def test_whatever_is_no_client_is_named_all_the_same(thing: Any) -> None:
    told = identify(thing, thing, "1")
    assert told["class"].endswith(type(thing).__name__)


def test_a_class_without_functions_is_looked_up_by_its_module() -> None:
    assert file_of(MemcacheError) == sys.modules["pymemcache.exceptions"].__file__
    assert file_of(int) == ""


@pytest.mark.parametrize(
    ("file", "top"), [("a/b/c.py", "a"), ("a/b/__init__.py", "a"), ("alone.py", "alone.py")]
)
def test_the_top_of_a_file_is_its_outermost_package(tmp_path: Path, file: str, top: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for place in ("a", "a/b"):
        (tmp_path / place / "__init__.py").touch()
    assert top_of(tmp_path / file) == tmp_path / top


def test_workers_that_differ_are_both_named() -> None:
    told = [{"file": "/a/x.py", "version": None, "libraries": {"l": "1"}},
            {"file": "/b/x.py", "version": "2", "libraries": {"l": "1", "m": "3"}}]  # fmt: skip
    assert agreed(told) == {
        "file": "/a/x.py, /b/x.py",
        "version": "2",
        "libraries": {"l": "1", "m": "3"},
    }
    assert agreed([]) == {}


def test_versions_of_what_runs_the_load() -> None:
    assert versions("1.2.3") == {
        "memquake": "1.2.3",
        "python": "{}.{}.{}".format(*sys.version_info),
        "gevent": metadata.version("gevent"),
        "locust": metadata.version("locust"),
    }


def test_no_code_of_the_client_s_module_is_run(adapter: ModuleType) -> None:
    """What stands there may connect when it is looked at."""

    class Lazy:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    adapter.lazy = Lazy()  # type: ignore[attr-defined]
    assert identity(adapter.make)["libraries"] == {"pymemcache": PYMEMCACHE}

"""`--client` gives a callable or one line that says what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from users.clients import (
    NAMED,
    NEEDED_METHODS,
    ClientOptions,
    ClientSpecError,
    construct,
    declares_moves,
    folder_of,
    resolve,
)
from users.pooled import PooledRing

OPTIONS = ClientOptions(pool_size=2, op_timeout=0.5, connect_timeout=0.25)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working directory whose modules nobody has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


@pytest.mark.parametrize("name", list(NAMED))
def test_each_name_gives_a_callable(name: str) -> None:
    assert callable(resolve(name))


def test_a_callable_is_found_in_the_working_directory(workdir: Path) -> None:
    (workdir / "stranger_found.py").write_text("class Mine:\n    def make(nodes, settings): ...\n")
    assert callable(resolve("stranger_found:Mine.make"))


def test_the_folder_of_a_client_is_where_its_top_module_lies(workdir: Path) -> None:
    """There it is found again; names and installed packages are found from anywhere."""
    deep = workdir / "stranger_top" / "stranger_inner"
    deep.mkdir(parents=True)
    (deep / "made.py").write_text("def make(nodes, settings): ...\n")
    (workdir / "stranger_pack").mkdir()
    (workdir / "stranger_pack" / "__init__.py").write_text("make = print\n")
    for spec in ("stranger_top.stranger_inner.made:make", "stranger_pack:make"):
        resolve(spec)
        assert folder_of(spec) == workdir
    resolve("pymemcache.client.hash:HashClient")
    assert folder_of("pymemcache.client.hash:HashClient") is None
    assert folder_of("memquake") is None


@pytest.mark.parametrize(
    ("spec", "source", "says"),
    [
        pytest.param("memquak", "", "did you mean memquake", id="nearly a name"),
        pytest.param("redis", "", "give one of memquake, pymemcache-hash", id="no name"),
        pytest.param("nowhere_at_all:make", "", "ModuleNotFoundError", id="no module"),
        pytest.param(":make", "", "incomplete", id="no module named"),
        pytest.param("stranger_a:", "", "incomplete", id="no callable named"),
        pytest.param("stranger_b:make", "x = 1", "no attribute 'make'", id="no attribute"),
        pytest.param("stranger_c:make", "make = 3", "is a int", id="not callable"),
        pytest.param("stranger_d:make", "1 / 0", "ZeroDivisionError", id="raises on import"),
        pytest.param("stranger_e:make", "exit(4)", "SystemExit", id="exits on import"),
        pytest.param("stranger_f:make", "def", "SyntaxError", id="not Python"),
    ],
)
def test_a_spec_that_cannot_be_used_ends_in_one_line(
    workdir: Path, spec: str, source: str, says: str
) -> None:
    name = spec.partition(":")[0]
    if source:
        (workdir / f"{name}.py").write_text(source)
    with pytest.raises(ClientSpecError, match=says) as refusal:
        resolve(spec)
    assert "\n" not in str(refusal.value)


class Everything:
    """Has every attribute that it is asked for, as a wrapper with a catch-all does."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


@pytest.mark.parametrize(
    ("attributes", "built", "declares"),
    [
        pytest.param({}, SimpleNamespace(moves_keys=True), True, id="the client"),
        pytest.param({"moves_keys": True}, SimpleNamespace(), True, id="the callable"),
        pytest.param({}, SimpleNamespace(moves_keys=False), False, id="says no"),
        pytest.param({}, SimpleNamespace(), False, id="says nothing"),
        pytest.param({}, Everything(), False, id="has every attribute"),
    ],
)
def test_a_client_may_say_that_it_moves_keys(
    attributes: dict[str, Any], built: Any, declares: bool
) -> None:
    """True itself, on the client or on the callable that makes it."""

    def factory(nodes: Any, settings: Any) -> Any:
        return built

    vars(factory).update(attributes)
    assert declares_moves(factory, built) is declares


def raising(error: BaseException) -> Any:
    def factory(nodes: Any, settings: Any) -> Any:
        raise error

    return factory


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        pytest.param(raising(ValueError("two\nlines")), "ValueError: two lines", id="raises"),
        pytest.param(raising(SystemExit(1)), "SystemExit", id="exits"),
        pytest.param(lambda: None, "TypeError", id="takes no arguments"),
        pytest.param(lambda nodes, settings: None, "without get, set, add", id="gives None"),
        pytest.param(
            lambda nodes, settings: SimpleNamespace(
                **{name: print for name in NEEDED_METHODS if name != "incr"}
            ),
            "without incr:",
            id="lacks one method",
        ),
    ],
)
def test_a_client_that_cannot_be_built_ends_in_one_line(factory: Any, says: str) -> None:
    with pytest.raises(ClientSpecError, match=says) as refusal:
        construct(factory, [("127.0.0.1", 1)], OPTIONS)
    assert "\n" not in str(refusal.value)


class FakePooled:
    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        if self.broken:
            raise OSError
        return dict.fromkeys(keys, b"v")

    def set_many(self, values: dict[str, bytes], expire: int) -> list[str]:
        return list(values) if self.broken else []


def test_a_broken_node_fails_only_its_own_keys_of_a_batch() -> None:
    clients: Any = {"a:1": FakePooled(), "b:1": FakePooled(broken=True), "c:1": FakePooled()}
    ring = PooledRing(clients)
    keys = [f"k{i}" for i in range(60)]
    dead = {key for key in keys if ring.node_for(key) == "b:1"}
    found = ring.get_many(keys)
    assert set(found.failed) == dead
    assert set(found) == set(keys) - dead
    assert set(ring.set_many(dict.fromkeys(keys, b"v"), 1)) == dead


def test_the_rendezvous_moves_only_the_keys_of_a_node_that_is_gone() -> None:
    whole: Any = dict.fromkeys(["a:1", "b:1", "c:1"])
    less: Any = dict.fromkeys(["a:1", "c:1"])
    keys = [f"k{i}" for i in range(300)]
    before = {key: PooledRing(whole).node_for(key) for key in keys}
    after = {key: PooledRing(less).node_for(key) for key in keys}
    assert all(after[key] == node for key, node in before.items() if node != "b:1")
    assert all(list(before.values()).count(node) > 60 for node in whole)

"""Two modules of one name: the folder's own for its own modules, the user's for all others."""

from __future__ import annotations

import ast
import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from memquake.own_modules import KEPT_AS, OwnModules
from memquake.paths import CHECKOUT

OUR_SOURCES = {
    "mq_client/__init__.py": "from mq_client.errors import Broken\nWHOSE = 'ours'\n",
    "mq_client/errors.py": "class Broken(Exception): ...\n",
    "mq_settings.py": "from mq_client import Broken, WHOSE\n",
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """Make a folder of ours and a service's, which is the working directory; forget them after."""
    ours, service = tmp_path / "ours", tmp_path / "service"
    for folder in (ours, service):
        folder.mkdir()
    monkeypatch.chdir(service)
    monkeypatch.setattr(sys, "path", [str(service), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write(ours, OUR_SOURCES)
    yield ours, service
    for name in [name for name in sys.modules if name.startswith("mq_")]:
        del sys.modules[name]


def write(folder: Path, sources: dict[str, str]) -> None:
    for name, source in sources.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(source)
    importlib.invalidate_caches()


def load(ours: Path) -> tuple[OwnModules, ModuleType]:
    own = OwnModules(ours)
    with own.importing():
        settings = importlib.import_module("mq_settings")
    return own, settings


THEIRS = {
    "a module": {"mq_client.py": "WHOSE = 'theirs'\n"},
    "a package": {"mq_client/__init__.py": "from mq_client.errors import WHOSE\n",
                  "mq_client/errors.py": "WHOSE = 'theirs'\n"},
}  # fmt: skip
WAYS = {
    "a statement": "from mq_client import WHOSE\n",
    "a statement in a function": (
        "def whose():\n    from mq_client import WHOSE\n    return WHOSE\nWHOSE = whose()\n"
    ),
    "by name at run time": (
        "import importlib\nWHOSE = importlib.import_module('mq_client').WHOSE\n"
    ),
    "through another of their modules": "from mq_settings import WHOSE\n",
}


@pytest.mark.parametrize("sources", THEIRS.values(), ids=THEIRS)
@pytest.mark.parametrize("source", WAYS.values(), ids=WAYS)
def test_the_service_gets_its_own_module_in_every_way(
    folders: tuple[Path, Path], sources: dict[str, str], source: str
) -> None:
    ours, service = folders
    settings = load(ours)[1]
    write(service, {**sources, "mq_settings.py": WAYS["a statement"], "mq_adapter.py": source})
    assert importlib.import_module("mq_adapter").WHOSE == "theirs"
    assert settings.WHOSE == "ours"


def test_what_was_imported_before_is_set_aside_and_comes_back(folders: tuple[Path, Path]) -> None:
    """As when the user's own locustfile is loaded first."""
    ours, service = folders
    write(service, {**THEIRS["a package"], "mq_settings.py": "THEIRS = True\n"})
    before = [importlib.import_module(n) for n in ("mq_settings", "mq_client", "mq_client.errors")]
    settings = load(ours)[1]
    assert settings.WHOSE == "ours"
    assert [sys.modules[module.__name__] for module in before] == before


@pytest.mark.parametrize("order", ["first", "last"])
def test_the_service_wins_wherever_the_folder_is_on_the_path(
    folders: tuple[Path, Path], order: str
) -> None:
    """As with the checkout as working directory and the service in PYTHONPATH."""
    ours, service = folders
    load(ours)
    write(service, THEIRS["a module"])
    sys.path.insert(0 if order == "first" else len(sys.path), str(ours))
    assert importlib.import_module("mq_client").WHOSE == "theirs"


def test_without_one_of_its_own_it_gets_ours_and_no_copy(folders: tuple[Path, Path]) -> None:
    """A copy would have exceptions of other classes than those that the harness knows."""
    ours, _ = folders
    settings = load(ours)[1]
    sys.path.append(str(ours))
    assert importlib.import_module("mq_client.errors").Broken is settings.Broken
    assert importlib.import_module("mq_client").WHOSE == "ours"
    assert importlib.import_module("mq_settings") is settings


def test_the_folder_itself_is_no_package_of_the_service_s(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout is often called as its own package, and used from beside it."""
    ours, _ = folders
    named = ours.rename(ours.with_name("mq_client"))
    settings = load(named)[1]
    monkeypatch.chdir(named.parent)
    sys.path[:] = [str(named.parent), *sys.path, str(named)]
    assert importlib.import_module("mq_client.errors").Broken is settings.Broken
    named.rename(ours)


def test_what_is_nowhere_on_the_path_is_not_found(folders: tuple[Path, Path]) -> None:
    load(folders[0])
    with pytest.raises(ModuleNotFoundError, match="No module named 'mq_client'"):
        importlib.import_module("mq_client")


def test_a_module_of_ours_asks_again_and_gets_the_same(folders: tuple[Path, Path]) -> None:
    """Loaded twice, as by two locustfiles, it is one module, and a new one sees the old ones."""
    ours, service = folders
    own, settings = load(ours)
    write(service, THEIRS["a module"])
    assert importlib.import_module("mq_client").WHOSE == "theirs"
    write(ours, {"mq_late.py": "from mq_client import Broken, WHOSE\n"})
    with own.importing():
        late = importlib.import_module("mq_late")
        assert importlib.import_module("mq_settings") is settings
    assert late.Broken is settings.Broken
    assert sys.modules["mq_client"].WHOSE == "theirs"


def test_an_import_of_ours_that_fails_gives_the_names_back(folders: tuple[Path, Path]) -> None:
    ours, service = folders
    write(service, THEIRS["a module"])
    theirs = importlib.import_module("mq_client")
    write(ours, {"mq_settings.py": "import mq_client\n1 / 0\n"})
    path = list(sys.path)
    with pytest.raises(ZeroDivisionError):
        load(ours)
    assert sys.modules["mq_client"] is theirs
    assert sys.path == path


def test_what_looks_a_module_up_by_a_class_finds_theirs(folders: tuple[Path, Path]) -> None:
    """So do pickle, dataclasses, pydantic and typing."""
    ours, service = folders
    load(ours)
    write(service, {"mq_settings.py": "class Settings:\n    size: 'Size'\nclass Size: ...\n"})
    theirs: Any = importlib.import_module("mq_settings")
    assert type(pickle.loads(pickle.dumps(theirs.Settings()))) is theirs.Settings


def test_ours_are_still_found_by_who_looks_at_all_modules(folders: tuple[Path, Path]) -> None:
    settings = load(folders[0])[1]
    assert sys.modules[KEPT_AS.format("mq_settings")] is settings
    assert settings in sys.modules.values()


LATE = {
    ("client/transport.py", "client.hub_connection"),
    ("client/batch.py", "client.batch_on_hub"),
}
"""Done at the import already wherever gevent is there."""


def test_no_module_of_memquake_is_imported_late() -> None:
    """Its name may be another module's by then."""
    packages = {place.parent.name for place in CHECKOUT.glob("*/__init__.py")}
    names = packages | {place.stem for place in CHECKOUT.glob("*.py")}
    found = set()
    for place in CHECKOUT.glob("*/**/*.py"):
        inside = place.relative_to(CHECKOUT)
        if inside.parts[0] in packages - {"bench", "scripts"}:
            late = late_imports(ast.parse(place.read_text(encoding="utf-8")))
            found |= {(str(inside), n) for n in late if n.split(".")[0] in names or n[0] == "."}
    assert found == LATE


def test_no_class_of_memquake_s_is_looked_up_by_its_module() -> None:
    """As a pickle does: the name may lead to the user's module by then."""
    by_name = {"pickle", "shelve", "multiprocessing"}
    for place in CHECKOUT.glob("*/**/*.py"):
        top = place.relative_to(CHECKOUT).parts[0]
        if (CHECKOUT / top / "__init__.py").exists() and top not in ("bench", "scripts"):
            for node in ast.walk(ast.parse(place.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert not by_name & {name.split(".")[0] for name in names}, place


def late_imports(tree: ast.AST) -> Iterator[str]:
    """Give the modules that are imported inside functions, relative ones with their dots."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield "." * node.level + (node.module or "")

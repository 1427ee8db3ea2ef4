"""Keep memquake's modules and the user's apart, where both have the same names.

memquake's top-level modules are called `client`, `settings`, `users` and the like, and so are those
of many a service. An import by a name that is taken gives the module that has it already: the
client under test would be another one than was asked for.

Rule: the locustfile imports every module of memquake within `OWN.importing()`, from memquake's own
folder, whatever has been imported under those names before. When it is done they leave
`sys.modules`, and from then on Python's own import system gives the names to the user's modules.
So no module of memquake may be imported later (a test looks for such statements), and nothing is
ever exchanged while something runs (docs/adr/0012).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

from memquake.paths import CHECKOUT

KEPT_AS = "{} (memquake)"  # no import statement can ask for this, and who looks at all finds it


class OwnModules:
    """The modules of one folder, which have their names only while they are imported.

    A finder of `sys.meta_path`: the names lead to the user's modules wherever there are such, and
    to the folder's where there are none and the folder is on `sys.path`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, ModuleType] = {}

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Import the folder's modules within; afterwards the names are the user's again."""
        names = {path.name.removesuffix(".py") for path in self._folder.iterdir()}
        theirs = {
            name: sys.modules.pop(name)
            for name in list(sys.modules)
            if name.partition(".")[0] in names and not self._has(name)
        }
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name, module in self._kept.items():
            sys.modules[name] = module
        sys.path.insert(0, str(self._folder))
        try:
            yield
        finally:
            sys.path.remove(str(self._folder))
            self._step_aside()
            sys.modules.update(theirs)
            sys.meta_path.insert(0, self)

    def _has(self, name: str) -> bool:
        """Whether the module of this name is one of the folder's."""
        file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
        if not file:
            return False
        place = Path(file)
        return (place.parent if place.name == "__init__.py" else place).parent == self._folder

    def _step_aside(self) -> None:
        own = [name for name in sys.modules if name != "__main__" and self._has(name)]
        for name in own:
            # The import system still has a hand on a module that is being imported by a statement.
            if not getattr(sys.modules[name].__spec__, "_initializing", False):
                module = self._kept[name] = sys.modules.pop(name)
                sys.modules[KEPT_AS.format(name)] = module

    def keep_findable(self, *kinds: type) -> None:
        """Name the modules of classes as they are kept, for who looks a class's file up by that.

        Locust does of a class that it finds in two locustfiles.
        """
        for kind in kinds:
            kept_as = KEPT_AS.format(kind.__module__)
            if kept_as in sys.modules:
                kind.__module__ = kept_as

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module by a name that one of the folder's has."""
        own = self._kept.get(name)
        if own is None:
            return None
        if path is not None:
            parent = name.rpartition(".")[0]
            is_own = sys.modules.get(parent) is self._kept.get(parent)
            return self._spec_of(name, own) if is_own else None
        elsewhere = [entry for entry in sys.path if not self._is_folder(entry)]
        for finder in sys.meta_path:
            if finder is self:
                continue
            found = finder.find_spec(name, elsewhere if finder is PathFinder else None)
            # A folder is a package of its name: the checkout itself, seen from where it was cloned.
            if found is not None and not self._is_folder(*(found.submodule_search_locations or ())):
                return found
        return self._spec_of(name, own) if len(elsewhere) < len(sys.path) else None

    def _is_folder(self, *entries: str) -> bool:
        places = {os.path.realpath(entry or os.curdir) for entry in entries}
        return places == {str(self._folder)}

    def _spec_of(self, name: str, module: ModuleType) -> ModuleSpec | None:
        return spec_from_loader(name, _Again(module), origin=module.__file__)


class _Again(Loader):
    """Gives a module that was imported before, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def exec_module(self, module: ModuleType) -> None:
        """Put the module that is there in place of the new one, as an import allows."""
        sys.modules[module.__name__] = self._module


OWN = OwnModules(CHECKOUT)

"""Asking a stranger's object for its text, its name or a part of it, whatever its code does then.

A `repr`, a property or a `__str__` is code of whoever wrote the client under test. It may raise
anything, and an exit that nobody catches ends the load process without a verdict. So nothing that
such code raises leaves this module, but for the harness's own kill; what it gives as text is plain
and can be written in any file.

Rule: no stranger's object is turned into text anywhere else.
"""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import gevent

_NO_METHOD = "memquake_asks_for_a_method_that_no_client_has"
TEXT_MAX = 300  # what went wrong is said in the first words

# Taken from `type` itself: a metaclass may have an answer of its own.
_name: Any = type.__dict__["__name__"]
_bases: Any = type.__dict__["__mro__"]
_module: Any = type.__dict__["__module__"]
_members: Any = type.__dict__["__dict__"]


def ends_the_user(error: BaseException, is_ending: bool = True) -> bool:
    """Say whether an exception out of a stranger's code is the harness's own: to be passed on.

    That is the kill of a user's greenlet, if the user `is_ending`: a client may raise the same.
    Ctrl-C counts too while Python's own handler is in force, since it is raised wherever the
    process happens to be; otherwise a KeyboardInterrupt, like a SystemExit, is the client's doing
    and must not end the run.
    """
    kind = type(error)  # `isinstance` would ask the error what it is
    if issubclass(kind, gevent.GreenletExit):
        return is_ending
    return (
        issubclass(kind, KeyboardInterrupt)
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _always() -> bool:
    return True


def name_of(kind: type) -> str:
    """Name a class."""
    return str(_name.__get__(kind))


def module_of(kind: type) -> str:
    """Name the module of a class, "" where it names none."""
    try:
        found = _module.__get__(kind)
    except AttributeError:
        return ""
    return found if type(found) is str else ""


def space_of(thing: Any) -> dict[str, Any]:
    """Give the names of the module that a class or function was made in, {} where nothing tells.

    By functions first, for the module's name may lead to another module of that name.
    """
    if type(thing) is FunctionType:
        return thing.__globals__
    if not issubclass(type(thing), type):
        return {}
    module = module_of(thing)
    for value in list(_members.__get__(thing).values()):
        function = value if type(value) is FunctionType else part_of(value, "__func__")
        if type(function) is FunctionType and function.__globals__.get("__name__") == module:
            return function.__globals__
    found = sys.modules.get(module)
    return vars(found) if type(found) is ModuleType else {}


def file_of(thing: Any) -> str:
    """Give the file that a class or function was made in, "" where no file of Python's tells."""
    file = space_of(thing).get("__file__")
    return file if type(file) is str else ""


def top_of(file: Path) -> Path:
    """Give the outermost package that a module's file lies in, the file itself where in none."""
    place = file
    while (place.parent / "__init__.py").exists():
        place = place.parent
    return place


def bases_of(kind: type) -> tuple[type, ...]:
    """Give a class and all it derives from."""
    found: tuple[type, ...] = _bases.__get__(kind)
    return found


def kind_of(thing: object) -> str:
    """Name the class of an object."""
    return name_of(type(thing))


def text_of(
    thing: object,
    how: Callable[[Any], str] = str,
    *,
    limit: int = TEXT_MAX,
    is_ending: Callable[[], bool] = _always,
) -> str:
    """Give the text that `how` (str or repr) makes of an object, or say that it has none.

    `limit` counts characters. `is_ending` says whether a GreenletExit is to be believed.
    """
    try:
        # A subclass of str may have methods of its own; half a surrogate fits in no file.
        text = str.__getitem__(how(thing), slice(limit))
        return text.encode("utf-8", "backslashreplace").decode()
    except BaseException as error:
        if ends_the_user(error, is_ending()):
            raise
        return f"<no text: {how.__name__} raised {kind_of(error)}>"


def words_of(
    error: BaseException,
    *,
    limit: int = TEXT_MAX,
    is_ending: Callable[[], bool] = _always,
) -> str:
    """Give an exception as "Kind: text"."""
    return f"{kind_of(error)}: {text_of(error, is_ending=is_ending)}"[:limit]


def part_of(thing: object, name: str, default: Any = None) -> Any:
    """Give an attribute of an object, `default` where it has none or does not give it."""
    try:
        return getattr(thing, name, default)
    except BaseException as error:
        if ends_the_user(error):
            raise
        return default


def offers(thing: object, method: str, *probe: Any) -> bool:
    """Tell whether an object has a method of this name.

    With arguments to call it with, it is called once: what it raises tells that it is absent.
    Without, an object that gives something callable under every name has what it names itself.
    """
    named, found = is_named(thing, method), part_of(thing, method)
    if not callable(found) or not probe:
        return named and callable(found)
    try:
        found(*probe)
    except BaseException as error:
        if ends_the_user(error):
            raise
        return named and not is_absence(error, method)
    return True


def is_named(thing: object, method: str) -> bool:
    """Tell whether an object names a method itself: by its class, its `dir`, or a choice.

    A `__getattr__` that gives something callable under any name chooses nothing: it is asked for a
    name that no object has. To be asked before the method is: a mock names what it was asked for.
    """
    if not callable(part_of(thing, _NO_METHOD)):
        return True
    try:
        return inspect.getattr_static(thing, method, None) is not None or method in dir(thing)
    except BaseException as error:
        if ends_the_user(error):
            raise
        return False


def is_absence(error: BaseException, method: str) -> bool:
    """Tell whether a call raised that there is no such method, in itself or in what it wraps."""
    kind = type(error)
    if issubclass(kind, AttributeError):
        return part_of(error, "name") == method or f"'{method}'" in text_of(error)
    return issubclass(kind, NotImplementedError)

"""Dataclasses as JSON and back, by the types of their fields.

A class needs no code of its own. A mapping becomes an object, or a list of pairs where its keys are
tuples. A field that holds nothing, and whose default is the same nothing, is left out; a default
that says something is always written, for it may be another one in a later version. What is read
equals what was written, with a tuple for every `Sequence` and a dictionary for every `Mapping`.

Scalars are taken as they come: what a load process sent is not held against its declared type.
A codec resolves the names of types when it is made, so it has to be made at import, while the
modules still have their names (memquake.own_modules).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_SCALARS = (bool, int, float, str)
_NEVER = object()


@dataclass(frozen=True)
class Codec:
    """From values of one type to what `json` writes, and back.

    `decode` raises ValueError for what the type cannot be.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def codec_of(form: Any) -> Codec:
    """Return the codec of a type. Raises TypeError for one that has no form in JSON."""
    codec = _of_one(form) or _of_several(get_origin(form), get_args(form))
    if codec is None:
        raise TypeError(f"{form} has no form in JSON")
    return codec


def _of_one(form: Any) -> Codec | None:
    if form in _SCALARS:
        return Codec(_same, _scalar)
    if form is Any:
        return Codec(as_data, _same)
    if isinstance(form, type) and dataclasses.is_dataclass(form):
        return _record(form)
    if isinstance(form, type) and issubclass(form, Enum):
        return Codec(lambda value: value.value, form)
    return None


def _of_several(origin: Any, parts: Sequence[Any]) -> Codec | None:
    if origin in (Union, UnionType):
        return _optional([part for part in parts if part is not NoneType])
    if origin is tuple and parts[-1] is not Ellipsis:
        return _row([codec_of(part) for part in parts])
    if origin in (tuple, list, frozenset, Sequence):
        return _many(tuple if origin is Sequence else origin, codec_of(parts[0]))
    if origin in (dict, Mapping):
        return _mapping(parts[0], codec_of(parts[1]))
    return None


def as_data(value: Any) -> Any:
    """Return a value of any kind as JSON holds it: what it does not know, as its text."""
    if isinstance(value, Mapping):
        return {str(name): as_data(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(part) for part in value]
    return value if value is None or isinstance(value, _SCALARS) else str(value)


def _same(value: Any) -> Any:
    return value


def _scalar(data: Any) -> Any:
    if data is None or isinstance(data, _SCALARS):
        return data
    raise ValueError(f"expected a plain value, not {str(data)[:40]}")


def _expect(data: Any, kind: type) -> Any:
    if not isinstance(data, kind):
        raise ValueError(f"expected a {kind.__name__}, not {str(data)[:40]}")
    return data


def _optional(parts: Sequence[Any]) -> Codec:
    if len(parts) != 1:
        raise TypeError(f"{parts} have no form in JSON that tells one from the other")
    inner = codec_of(parts[0])
    if inner.encode is _same:
        return inner
    return Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda data: None if data is None else inner.decode(data),
    )


def _row(parts: Sequence[Codec]) -> Codec:
    def encode(values: Any) -> list[Any]:
        return [part.encode(value) for part, value in zip(parts, values, strict=True)]

    def decode(data: Any) -> tuple[Any, ...]:
        pairs = zip(parts, _expect(data, list), strict=True)
        return tuple(part.decode(value) for part, value in pairs)

    return Codec(encode, decode)


def _many(kind: Callable[[Any], Any], part: Codec) -> Codec:
    def encode(values: Any) -> list[Any]:
        ordered = sorted(values) if kind is frozenset else values
        return list(ordered) if part.encode is _same else [part.encode(each) for each in ordered]

    return Codec(encode, lambda data: kind(part.decode(each) for each in _expect(data, list)))


def _mapping(key: Any, part: Codec) -> Codec:
    if key not in (str, int):
        pairs = _many(dict, _row([codec_of(key), part]))
        return Codec(lambda values: pairs.encode(values.items()), pairs.decode)

    def encode(values: Any) -> dict[Any, Any]:
        if part.encode is _same:
            return dict(values)
        return {name: part.encode(value) for name, value in values.items()}

    def decode(data: Any) -> dict[Any, Any]:
        return {key(name): part.decode(value) for name, value in _expect(data, dict).items()}

    return Codec(encode, decode)


def _record(kind: Any) -> Codec:
    hints = get_type_hints(kind)
    codecs = {field.name: codec_of(hints[field.name]) for field in dataclasses.fields(kind)}
    nothing = {
        field.name: codecs[field.name].encode(default)
        for field in dataclasses.fields(kind)
        if (default := _default_of(field)) is not dataclasses.MISSING and not default
    }

    def encode(value: Any) -> dict[str, Any]:
        found = {}
        for name, codec in codecs.items():
            part = codec.encode(getattr(value, name))
            default = nothing.get(name, _NEVER)
            if part != default or type(part) is not type(default):
                found[name] = part
        return found

    def decode(data: Any) -> Any:
        parts = _expect(data, dict)
        if unknown := parts.keys() - codecs.keys():
            raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
        values = {name: codecs[name].decode(part) for name, part in parts.items()}
        try:
            return kind(**values)
        except TypeError as error:
            raise ValueError(str(error)) from None

    return Codec(encode, decode)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()

"""facts.json.gz: all that a verdict is made from, so that a run can be judged again.

One JSON document, with a line a window. A reader refuses what a later version wrote: it would judge
without what it does not know. Files of earlier versions stay readable.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report.atomic import replacing
from report.reading import OutcomeError
from report.typed_json import codec_of
from telemetry.window import Window
from verdict.model import RunFacts

FACTS = "facts.json.gz"
FORMAT = "memquake facts"
VERSION = 3
"""Grows with each field that is added to the facts or changes its meaning."""

NAMES_BACKENDS = 3  # the first version that says what made a fault

PACKED = b"\x1f\x8b"  # how a gzip file begins
LEVEL = 6  # of compression; the highest takes four times as long for 2 % less

_RUN, _WINDOW = codec_of(RunFacts), codec_of(Window)


def write_facts(facts: RunFacts, path: Path) -> None:
    """Write the facts of a run. Raises OSError."""
    with (
        replacing(Path(path)) as file,
        gzip.GzipFile("", "wb", LEVEL, fileobj=file, mtime=0) as packed,
    ):
        for piece in _pieces(facts):
            packed.write(piece.encode("ascii"))


def _pieces(facts: RunFacts) -> Iterator[str]:
    """Yield the document in parts: the windows of a long run are many times the rest."""
    run = _RUN.encode(dataclasses.replace(facts, windows=()))
    del run["windows"]
    head = _text({"format": FORMAT, "version": VERSION, "run": run})
    yield f'{head[:-1]},"windows":['
    for number, window in enumerate(facts.windows):
        yield (",\n" if number else "\n") + _text(_WINDOW.encode(window))
    yield "\n]}\n"


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def read_facts(path: Path) -> RunFacts:
    """Return the facts of a run, from its folder or its facts.json.gz. Raises OutcomeError."""
    path = Path(path)
    if path.is_dir():
        path /= FACTS
        if not path.exists():
            raise OutcomeError(
                f"{path.parent} holds no {FACTS}: give the folder of a run that has ended"
            )
    data = _read(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _not_facts(path)
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise OutcomeError(
            f"{path} has version {version} of the facts, this memquake reads up to {VERSION}: "
            "judge it with the memquake that wrote it, or a newer one"
        )
    try:
        found: RunFacts = _RUN.decode({**data["run"], "windows": data["windows"]})
        if version < NAMES_BACKENDS:
            _name_backends(found)
    except (KeyError, TypeError, ValueError) as error:
        raise _not_facts(path, str(error)) from None
    return found


def _name_backends(facts: RunFacts) -> None:
    """Set by the words for a reader which faults were made by a proxy; nothing else said so."""
    for record in facts.faults:
        if "toxiproxy" in record.emulated_by.lower():
            record.backend = "toxiproxy"


def _read(path: Path) -> Any:
    """Return the document; a browser that has fetched it may have unpacked it."""
    try:
        raw = path.read_bytes()
        return json.loads(gzip.decompress(raw) if raw.startswith(PACKED) else raw)
    except FileNotFoundError:
        raise OutcomeError(f"{path} does not exist: give the folder of a run") from None
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError, RecursionError):
        raise _not_facts(path) from None
    except OSError as error:
        raise OutcomeError(f"{path} cannot be read ({error.strerror}): check the path") from None


def _not_facts(path: Path, why: str = "") -> OutcomeError:
    detail = f" ({' '.join(why.split())})" if why else ""
    return OutcomeError(
        f"{path} is not the facts of a run{detail}: give the folder of a run, or its {FACTS}"
    )

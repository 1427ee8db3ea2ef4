"""How large the house is, a package a row, and what in it a reader would stumble over.

    python -m scripts.size [PACKAGE ...] [--words] [--long]

Code lines are those that hold a token which is neither comment nor docstring. Modules a folder is
the fullest folder's count, without `__init__.py`. A circle is a way of imports, at run time or for
types, that ends where it began. `--long` lists functions over 40 lines, `--words` where a word
stands that the field has another one for.
"""

from __future__ import annotations

import argparse
import ast
import graphlib
import io
import itertools
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = (
    "client", "users", "faults", "cluster", "telemetry", "verdict", "report", "dashboard",
    "session", "options", "memquake", "bench", "scripts",
)  # fmt: skip
LONGEST = 40  # lines of a function that is read in one go
EMPTY = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
                   tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER})  # fmt: skip
HOUSE_WORDS = (
    "door", "Places", "settle", "Detour", "Manner", "Aside", "Exchange", "_Meeting", "ShareGuard",
    "streak", "Accounts", "Book", "Page", "About", "Bounds", "Spelling", "sides", "Knife", "Cuts",
    "CuttingClient", "Treatment", "HeavyNeighbour", "stand_in", "kernel_instead", "undos",
    "read_back", "Foretold", "WAYS_OUT", "orders", "Deed", "OrderBook", "riders", "subject",
    "stranger", "robbed", "stolen", "crowded", "taken_back", "Heard", "knocking", "Crowd",
)  # fmt: skip
"""What redesign of the house replaces by the field's terms, as parts of names."""

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


@dataclass
class Size:
    """What was counted of some modules."""

    lines: int = 0
    modules: int = 0
    folders: Counter[str] = field(default_factory=Counter)
    long: list[str] = field(default_factory=list)
    untyped: int = 0  # names `Any`
    gives: int = 0  # docstrings that begin with "Give"
    words: list[str] = field(default_factory=list)


def measure(paths: Sequence[Path]) -> Size:
    """Return what stands in these modules. Raises SyntaxError."""
    size = Size()
    for path in paths:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, str(path))
        name = str(path.relative_to(ROOT))
        size.lines += len(_code_lines(text, tree))
        size.modules += 1
        size.folders[str(path.parent.relative_to(ROOT))] += path.name != "__init__.py"
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                size.untyped += node.id == "Any"
            elif isinstance(node, Defined):
                size.gives += (ast.get_docstring(node) or "").startswith("Give")
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > LONGEST:
                        size.long.append(f"{name}:{node.lineno} {node.name} {length}")
        size.words += [f"{name}:{line} {word}" for line, word in _house_words(text)]
    return size


def _code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    described = {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = {
        number
        for token in tokens
        if token.type not in EMPTY
        for number in range(token.start[0], token.end[0] + 1)
    }
    return found - described


def _house_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and word where a name has a part that the field calls otherwise."""
    pattern = re.compile(r"(?<![A-Za-z])(" + "|".join(HOUSE_WORDS) + r")(?![a-z])")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and (match := pattern.search(token.string)):
            yield token.start[0], match.group(1)


def circles(paths: Sequence[Path]) -> list[list[str]]:
    """Return ways of imports that end where they began; none of them shares a step with another."""
    names = {_module(path): path for path in paths}
    imported: dict[str, set[str]] = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = {target for node in ast.walk(tree) for target in _imported(node, names)}
        imported[name] = targets - {name}
    found = []
    while True:
        try:
            graphlib.TopologicalSorter(imported).prepare()
        except graphlib.CycleError as error:
            way = error.args[1][::-1]  # each module imports the next one
            found.append(way)
            for name, target in itertools.pairwise(way):
                imported[name].discard(target)
        else:
            return found


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.AST, names: Container[str]) -> Iterator[str]:
    """Yield the modules, of those with these names, that an import is of."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if inner in names:
                yield inner
            elif node.module in names:
                yield node.module


def modules_of(package: str) -> list[Path]:
    """Return the modules of a package, in order."""
    return sorted((ROOT / package).rglob("*.py"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and the lists that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.size", description=__doc__)
    parser.add_argument("packages", nargs="*", default=PRODUCT)
    parser.add_argument("--words", action="store_true", help="where words of the house stand")
    parser.add_argument("--long", action="store_true", help=f"functions over {LONGEST} lines")
    options = parser.parse_args(arguments)
    sizes = {package: measure(modules_of(package)) for package in options.packages}
    head = ("package", "lines", "modules", "a folder", "long", "Any", "Give", "words")
    print("{:<12}{:>8}{:>9}{:>10}{:>6}{:>6}{:>6}{:>7}".format(*head))
    paths = [path for package in options.packages for path in modules_of(package)]
    for name, size in [*sizes.items(), ("all", measure(paths))]:
        fullest = max(size.folders.values(), default=0)
        print(
            f"{name:<12}{size.lines:>8,}{size.modules:>9}{fullest:>10}{len(size.long):>6}"
            f"{size.untyped:>6}{size.gives:>6}{len(size.words):>7}"
        )
    for circle in circles(paths):
        print(f"circle: {' -> '.join(circle)}")
    for wanted, of in ((options.long, "long"), (options.words, "words")):
        for line in [each for size in sizes.values() for each in getattr(size, of)] * wanted:
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What is counted of the house."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import size


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that stands for the checkout."""
    monkeypatch.setattr(size, "ROOT", tmp_path)
    (tmp_path / "rooms").mkdir()
    return tmp_path / "rooms"


def test_only_code_is_counted(house: Path) -> None:
    """Blank lines, comments and docstrings are no code; each line of a long text is."""
    (house / "one.py").write_text(
        '"""Doc.\n\nMore.\n"""\n\n# comment\nimport os  # why\n\n\ndef f():\n    """Give it."""\n'
        '    return """a\n    b\n    """\n'
    )
    found = size.measure(size.modules_of("rooms"))
    assert (found.lines, found.modules, found.gives) == (5, 1, 1)


def test_a_way_back_is_a_circle_and_a_package_in_between_is_none(house: Path) -> None:
    """Importing a module by its package is no import of the package."""
    (house / "__init__.py").write_text("from rooms.b import x\n")
    (house / "a.py").write_text("from rooms import b\n")
    (house / "b.py").write_text("x = 1\n")
    assert size.circles(size.modules_of("rooms")) == []
    (house / "b.py").write_text("from rooms.a import b as x\n")
    (way,) = size.circles(size.modules_of("rooms"))
    assert set(way) == {"rooms.a", "rooms.b"}
    assert way[0] == way[-1]


@pytest.mark.parametrize(
    ("code", "word"), [("next_door = 1", "door"), ("class Accounts: pass", "Accounts")]
)
def test_words_that_the_field_has_others_for_are_found_in_names(
    house: Path, code: str, word: str
) -> None:
    """As a part of a name, not as a part of a word, and not in texts."""
    (house / "one.py").write_text(f"{code}\nindoors = '{word}'\n")
    assert size.measure(size.modules_of("rooms")).words == [f"rooms/one.py:1 {word}"]


def test_long_functions_are_named(house: Path) -> None:
    """One line too many is one."""
    (house / "one.py").write_text("def f():\n" + "    x = 1\n" * size.LONGEST)
    assert size.measure(size.modules_of("rooms")).long == [f"rooms/one.py:1 f {size.LONGEST + 1}"]

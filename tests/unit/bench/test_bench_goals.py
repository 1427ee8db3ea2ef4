"""Goals, the words that say whether they were reached, and the table at the end."""

import json

import pytest

from bench.figures import Summary, summarise
from bench.goals import Figure, Goal, Section, draw, number


def figure(value, goal=None):
    return Figure(name="A/B CPU", value=summarise([value]), goal=goal)


@pytest.mark.parametrize(
    ("goal", "value", "word"),
    [
        (Goal(limit=0.37), 0.37, "reached"),
        (Goal(limit=0.37), 0.371, "NOT reached"),
        (Goal(limit=0.95, at_most=False), 0.95, "reached"),
        (Goal(limit=0.95, at_most=False), 0.949, "NOT reached"),
        (None, 7.0, ""),
    ],
    ids=["at most, at it", "at most, above", "at least, at it", "at least, below", "no goal"],
)
def test_the_limit_itself_is_reached(goal, value, word):
    """A goal is kept up to its limit, and a figure without one says nothing."""
    assert figure(value, goal).word == word


def test_the_median_decides():
    """One round beyond the limit does not lose a goal, and one within does not win it."""
    found = Figure(name="x", value=Summary(median=0.5, low=0.1, high=0.9), goal=Goal(limit=0.4))
    assert found.word == "NOT reached"


def test_the_table_has_a_line_for_every_figure_and_the_notes_below():
    """Part, name, goal, value, spread and word stand in one line."""
    sections = [
        Section(part="P1", title="t", figures=[figure(0.3, Goal(limit=0.37))], notes=["no D"]),
        Section(part="P3", title="t", figures=[figure(1.5)]),
    ]
    lines = draw(sections).splitlines()
    assert " ".join(lines[1].split()) == "P1 A/B CPU <= 0.37 0.3 0.3 to 0.3 reached"
    assert lines[2].startswith("P3")
    assert lines[3] == "P1  no D"


def test_a_section_as_json_keeps_goal_and_word():
    """What the table says can be read by a program."""
    section = Section(part="P1", title="t", figures=[figure(0.3, Goal(limit=0.37))])
    found = json.loads(json.dumps(section.to_json()))["figures"]["A/B CPU"]
    assert (found["median"], found["goal"]["limit"], found["word"]) == (0.3, 0.37, "reached")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.3704, "0.37"), (12.34, "12.3"), (79_292.4, "79,292")],
    ids=["zero", "below ten", "below a hundred", "large"],
)
def test_numbers_have_the_digits_that_matter(value, text):
    """Three digits, and no more, unless they are before the point."""
    assert number(value) == text

"""The end of a suite on a terminal: one table, a row a scenario, what needs reading beneath it.

Plain ASCII, colour only where asked for. What failed says why and where to read on; a row that
passed stays one line, or two on a narrow terminal when something had to be emulated.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from report.words import plain, quantity
from verdict.model import Ruling
from verdict.suite import State, SuiteCase, SuiteResult

NARROWEST = 80
NOTE_WIDTH = 30  # with less than this beside the figures, notes go onto lines of their own
INDENT = "  "
_COLOURS = {Ruling.PASS: "32", Ruling.FAIL: "31", Ruling.INCONCLUSIVE: "33"}
_HEAD = ("verdict", "scenario", "ops", "errors", "recovered")
_VERDICT_WIDTH = len("INCONCLUSIVE")


def suite_text(result: SuiteResult, place: str, color: bool = False, width: int = 100) -> str:
    """Give the table and the summary under it; `place` is the suite's folder."""
    width = max(NARROWEST, width)
    rows = [_cells(case, result) for case in result.cases]
    widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
    widths[0] = _VERDICT_WIDTH
    room = width - sum(widths) - 2 * len(widths)
    head = _row(_HEAD, widths) + (INDENT + "what broke it" if room >= NOTE_WIDTH else "")
    lines = [head.rstrip()]
    for case, row in zip(result.cases, rows, strict=True):
        lines += _block(case, _row(row, widths), color, width, room)
    lines += ["", *_summary(result, color, width), f"folder  {plain(place)}"]
    return "\n".join(line.rstrip() for line in lines)


def case_line(case: SuiteCase, color: bool = False) -> str:
    """Say in one line how a scenario ended, while the suite goes on."""
    text = f"{_painted(_word(case), case, color)}  {plain(case.scenario)}"
    if case.duration_s:
        text += f" in {spell_time(case.duration_s)}"
    return f"{text}: {reason(case)}" if reason(case) else text


def reason(case: SuiteCase) -> str:
    """Say why a scenario did not pass, "" when it did."""
    text = f"{case.check}: {plain(case.why)}" if case.check else plain(case.why)
    if case.state is State.INTERRUPTED and case.ruling is Ruling.FAIL:
        text = f"{text}; interrupted"
    elif case.state is State.INTERRUPTED:
        return "stopped before its end"
    return f"{text} (and {case.more} more)" if case.more else text


def spell_time(seconds: float) -> str:
    """Write a length of time as a person says it: `33 s`, `9 min`, `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def title(case: SuiteCase, result: SuiteResult) -> str:
    """Name a case; where a scenario runs more than once, by its place or round too."""
    name = plain(case.scenario)
    same = [other for other in result.cases if other.scenario == case.scenario]
    if len(same) == 1:
        return name
    rounds = {other.round for other in same}
    if len(rounds) == len(same):
        return f"{name} (round {case.round})"
    return f"{name} ({next(i for i, other in enumerate(same, 1) if other is case)})"


def _cells(case: SuiteCase, result: SuiteResult) -> tuple[str, ...]:
    return (
        _word(case),
        title(case, result),
        "-" if case.operations is None else f"{case.operations:,}",
        quantity(case.error_rate, "share"),
        quantity(case.recovery_time_s, "s"),
    )


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return INDENT.join(words + numbers)


def _block(case: SuiteCase, row: str, color: bool, width: int, room: int) -> list[str]:
    """Give the row of a case with its notes: beside the figures where there is room."""
    word = _word(case)
    painted = _painted(word, case, color) + row[len(word) :]
    means = plain("; ".join(case.emulated_by))
    below: list[str] = []
    if room >= NOTE_WIDTH:
        first, *rest = textwrap.wrap(means, room) or [""]
        lines = [painted + INDENT + first, *(" " * (len(row) + len(INDENT)) + r for r in rest)]
    else:
        lines = [painted]
        below += _note(f"by {means}" if means else "", width)
    # Why a place was not reached, or not to its end, is the suite's business and said once.
    if case.state is State.JUDGED or case.state is State.NOT_SET_UP or case.ruling is Ruling.FAIL:
        below += _note(reason(case), width)
    if case.vague_runs:
        below += _note(f"by its run {len(case.vague_runs) + 1}: before it INCONCLUSIVE", width)
    if case.run and case.ruling is not Ruling.PASS:
        below.append(" " * (_VERDICT_WIDTH + 2) + plain(case.run))
    return lines + below


def _note(text: str, width: int) -> list[str]:
    lead = " " * (_VERDICT_WIDTH + 2)
    return textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=lead)


def _summary(result: SuiteResult, color: bool, width: int) -> list[str]:
    counts = Counter(_word(case) for case in result.cases)
    words = {
        "FAIL": "failed",
        "NOT SET UP": "not set up",
        "INCONCLUSIVE": "inconclusive",
        "interrupted": "interrupted",
        "PASS": "passed",
        "not run": "not run",
    }
    told = ", ".join(f"{counts[word]} {said}" for word, said in words.items() if counts[word])
    word = result.ruling.value
    subject = f"suite {plain(result.name)}, client {plain(result.client)}"
    text = f"{word}  {subject}: {told}; {spell_time(result.duration_s)}"
    if result.interrupted:
        text += f"; {plain(result.interrupted)}"
    first, *rest = textwrap.wrap(text, width, subsequent_indent=" " * (len(word) + 2))
    return [_paint(word, result.ruling, color) + first[len(word) :], *rest]


def _word(case: SuiteCase) -> str:
    if case.state is State.NOT_SET_UP:
        return "NOT SET UP"
    if case.state is State.INTERRUPTED and case.ruling is not Ruling.FAIL:
        return State.INTERRUPTED.value
    return case.ruling.value if case.ruling is not None else State.NOT_RUN.value


def _painted(word: str, case: SuiteCase, color: bool) -> str:
    ruling = Ruling.INCONCLUSIVE if case.state is State.NOT_SET_UP else case.ruling
    return _paint(word, ruling, color)


def _paint(text: str, ruling: Ruling | None, color: bool) -> str:
    code = _COLOURS.get(ruling) if ruling else None
    return f"\x1b[1;{code}m{text}\x1b[0m" if color and code else text

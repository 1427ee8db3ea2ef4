"""Saying how a run or a suite ended: every file of the outcome, the terminal, and what crashed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from report.atomic import write_text
from report.console import summary
from report.facts_file import FACTS, write_facts
from report.findings import write_findings
from report.html import write_html
from report.json import write_json
from report.junit import write_junit
from report.suite import suite_text
from verdict.model import RunFacts, Verdict
from verdict.suite import SuiteResult

logger = logging.getLogger("locust.memquake")

CRASHES = "crashes.txt"


def write_outcome(folder: Path, facts: RunFacts, verdict: Verdict, *, report: bool) -> list[str]:
    """Write every file of the outcome; the verdict first, so that nothing can take it along.

    Return a line for each file that could not be written: a full disk costs files, no verdict.
    """
    traces = [check.trace for check in verdict.checks if check.trace]
    if verdict.trace:
        traces.append(verdict.trace)
    files: list[tuple[str, Callable[[Path], None]]] = [
        ("verdict.json", lambda path: write_json(verdict, facts, path)),
        ("junit.xml", lambda path: write_junit(verdict, facts, path)),
        (FACTS, lambda path: write_facts(facts, path)),
        ("findings.jsonl", lambda path: write_findings(facts, path)),
    ]
    if traces:
        files.append((CRASHES, lambda path: write_text(path, "\n".join(traces))))
    if report:
        files.append(("report.html", lambda path: write_html(verdict, facts, path)))
    unwritten = []
    for name, write in files:
        try:
            write(folder / name)
        except OSError as error:
            unwritten.append(f"{name} cannot be written: {error.strerror or error}")
        except Exception as error:
            logger.exception("memquake: %s could not be made", name)
            unwritten.append(f"{name} cannot be made: {type(error).__name__}: {error}")
    return unwritten


def print_summary(verdict: Verdict, facts: RunFacts, folder: Path, stream: TextIO) -> None:
    """Print the end of a run."""
    color, width = _look_of(stream)
    has_report = (folder / "report.html").exists()
    text = summary(verdict, facts, folder, color=color, width=width, has_report=has_report)
    stream.write("\n" + text.rstrip("\n") + "\n")
    stream.flush()


def print_suite(result: SuiteResult, folder: Path, stream: TextIO) -> None:
    """Print the table of a suite."""
    color, width = _look_of(stream)
    stream.write("\n" + suite_text(result, str(folder), color=color, width=width) + "\n")
    stream.flush()


def _look_of(stream: TextIO) -> tuple[bool, int]:
    """Return whether a stream takes colour, and how many columns it has."""
    return stream.isatty(), shutil.get_terminal_size((100, 24)).columns

"""Saying how a run ended: verdict.json, junit.xml, report.html, the terminal, and what crashed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from typing import TextIO

from report.console import summary
from report.findings import write_findings
from report.html import write_html
from report.json import write_json
from report.junit import write_junit
from session.folder import RunFolder
from session.suite import SuiteSession
from verdict.model import RunFacts, Verdict

logger = logging.getLogger("locust.memquake")

CRASHES = "crashes.txt"


def write_outcome(
    folder: RunFolder, facts: RunFacts, verdict: Verdict, *, report: bool
) -> list[str]:
    """Write every file of the outcome; the verdict first, so that nothing can take it along.

    Gives a line for each file that could not be written: a full disk costs files, no verdict.
    """
    traces = [check.trace for check in verdict.checks if check.trace]
    if verdict.trace:
        traces.append(verdict.trace)
    files: list[tuple[str, Callable[[], object]]] = [
        ("verdict.json", lambda: write_json(verdict, facts, folder.file("verdict.json"))),
        ("junit.xml", lambda: write_junit(verdict, facts, folder.file("junit.xml"))),
    ]
    files.append(("findings.jsonl", lambda: write_findings(facts, folder.file("findings.jsonl"))))
    if traces:
        files.append((CRASHES, lambda: folder.write_text(CRASHES, "\n".join(traces))))
    if report:
        files.append(
            ("report.html", lambda: write_html(verdict, facts, folder.file("report.html")))
        )
    unwritten = []
    for name, write in files:
        try:
            write()
        except OSError as error:
            unwritten.append(f"{name} cannot be written: {error.strerror or error}")
        except Exception as error:
            logger.exception("memquake: %s could not be made", name)
            unwritten.append(f"{name} cannot be made: {type(error).__name__}: {error}")
    return unwritten


def print_summary(verdict: Verdict, facts: RunFacts, folder: RunFolder, stream: TextIO) -> None:
    """Print the end of a run."""
    color = stream.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    has_report = folder.file("report.html").exists()
    text = summary(verdict, facts, folder.path, color=color, width=width, has_report=has_report)
    stream.write("\n" + text.rstrip("\n") + "\n")
    stream.flush()


def print_suite(suite: SuiteSession, stream: TextIO) -> None:
    """Print the table of a suite."""
    color = stream.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    stream.write("\n" + suite.text(color=color, width=width) + "\n")
    stream.flush()

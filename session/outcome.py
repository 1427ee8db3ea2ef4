"""Saying how a run ended: verdict.json, junit.xml, report.html, the terminal, and what crashed."""

from __future__ import annotations

import logging
import shutil
import sys

from report.console import summary
from report.html import write_html
from report.json import write_json
from report.junit import write_junit
from session.folder import RunFolder
from verdict.model import RunFacts, Verdict

logger = logging.getLogger("locust.memquake")

CRASHES = "crashes.txt"


def write_outcome(folder: RunFolder, facts: RunFacts, verdict: Verdict, *, report: bool) -> None:
    """Write every file of the outcome; the verdict first, so that nothing can take it along."""
    write_json(verdict, facts, folder.file("verdict.json"))
    write_junit(verdict, facts, folder.file("junit.xml"))
    traces = [check.trace for check in verdict.checks if check.trace]
    if verdict.trace:
        traces.append(verdict.trace)
    if traces:
        folder.write_text(CRASHES, "\n".join(traces))
    if report:
        try:
            write_html(verdict, facts, folder.file("report.html"))
        except Exception:
            logger.exception("memquake: report.html could not be written")


def print_summary(verdict: Verdict, facts: RunFacts, folder: RunFolder) -> None:
    """Print the end of a run on standard output."""
    color = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    text = summary(verdict, facts, folder.path, color=color, width=width)
    sys.stdout.write("\n" + text.rstrip("\n") + "\n")
    sys.stdout.flush()

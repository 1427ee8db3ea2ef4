"""Where the folders of this checkout are: the one place that knows.

What is read from beside the module that reads it (templates, pages) is looked up there. A program
that is run by file path (the guard, the helpers, `python -m faults`) finds the checkout by itself,
because it cannot import this before. Standard library only; imports nothing of memquake.
"""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder of all packages; a link to it is followed, as it is for the files of all modules."""

LOCUSTFILE = CHECKOUT / "locustfile.py"
PROJECT = CHECKOUT / "pyproject.toml"
SCENARIOS = CHECKOUT / "scenarios"
SUITES = SCENARIOS / "suites"
DOCS = CHECKOUT / "docs"
PROMETHEUS = CHECKOUT / "dashboard" / "prometheus"
GUARD_PROGRAM = CHECKOUT / "faults" / "guard_child.py"
HELPER_PROGRAM = CHECKOUT / "faults" / "helpers" / "child.py"
NODE_AGENT = CHECKOUT / "cluster" / "agent.sh"

TOOLS = CHECKOUT / ".tools"
PROGRAMS = TOOLS / "bin"
"""Servers and tools that the set-up installed."""

RUNS = "runs"
"""Of the working directory: what holds a folder for every run unless `--runs-dir` says another."""

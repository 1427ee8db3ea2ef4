"""What Locust prints to machines and writes at its end, kept whole and harmless.

Seen in Locust 2.47.0, each mended here:
1. `print_stats_json` and `save_stats_json` empty the statistics they print: of `--json` with
   `--json-file` the second has nothing left to write, nor has the table on standard error.
2. Workers forked by `--processes` inherit both options: several documents on one standard output,
   and a file that the last of them overwrites.
3. A file that cannot be written any more at the end of a run (`--html`, `--json-file`) ends the
   process with a traceback and exit code 1, which is a FAIL here.
"""

from __future__ import annotations

import copy
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import locust.html
import locust.main
import locust.stats

from options.of_locust import unwritable

_MARK = "_memquake_output"


def people(options: Namespace) -> TextIO:
    """Return the stream for what people read: standard output, unless JSON has it for itself."""
    return sys.stderr if options.json else sys.stdout


def leave_output_to_the_master(options: Namespace) -> None:
    """Let a forked worker print and write nothing of what its master does."""
    options.json, options.json_file = False, None


def install() -> None:
    """Mend the three. Safe to call again."""
    if hasattr(locust.stats, _MARK):
        return
    save, name_html = locust.stats.save_stats_json, locust.html.process_html_filename

    def save_json(stats: Any, filename: str) -> None:
        try:
            save(copy.deepcopy(stats), filename)
        except OSError as error:
            _say(f"--json-file: {filename}.json cannot be written: {error.strerror or error}")

    def name_file(options: Namespace) -> None:
        name_html(options)
        if why := unwritable(Path(options.html_file)):
            _say(f"--html: {options.html_file} cannot be written: {why}")
            options.html_file = os.devnull

    # setattr, because a type checker rightly objects to assigning to functions of a module.
    for owner, name, replacement in (
        (locust.stats, "print_stats_json", _on_a_copy(locust.stats.print_stats_json)),
        (locust.stats, "save_stats_json", save_json),
        (locust.main, "process_html_filename", name_file),
        (locust.stats, _MARK, True),
    ):
        setattr(owner, name, replacement)


def _on_a_copy(print_stats: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda stats: print_stats(copy.deepcopy(stats))


def _say(line: str) -> None:
    sys.stderr.write(f"memquake: {line}\n")
    sys.stderr.flush()

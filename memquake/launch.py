"""memquake's locustfile with Locust's own words, from any folder; the list of its options.

A locustfile that is named as well (`-f`, `LOCUST_LOCUSTFILE`, a config file) is loaded beside
memquake's: its users ride along.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from locust.main import main as run_locust

from memquake.locustfiles import with_locustfiles
from session.option_tables import options_text

USAGE_ERROR = 2
HELP = """usage: python -m memquake [options] [UserClass ...]
       python -m memquake options     this list
       python -m memquake judge RUN   judge a run again (--help says more)
       locust --help                  Locust's own options, which work here as well

"""


def print_options() -> None:
    """Print memquake's options by area."""
    width = shutil.get_terminal_size((100, 24)).columns
    try:
        sys.stdout.write(HELP + options_text(width))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(words: Sequence[str]) -> int:
    """Do what the words say; a run ends the process as Locust does."""
    if list(words) == ["options"] or {"-h", "--help"} & set(words):
        print_options()
        return 0
    try:
        sys.argv = ["memquake", *with_locustfiles(words)]
    except ValueError as error:
        sys.stderr.write(f"memquake: {error}\n")
        return USAGE_ERROR
    run_locust()
    return 0

"""`python -m memquake`: this checkout's locustfile with Locust's own words, from any folder.

`python -m memquake options` lists memquake's options. A locustfile that is named as well (`-f`,
`LOCUST_LOCUSTFILE`, a config file) is loaded beside memquake's: its users ride along.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from locust.argument_parser import get_empty_argument_parser
from locust.main import main as run_locust

from memquake.own_modules import OWN

with OWN.importing():
    from session.option_tables import options_text

LOCUSTFILE = Path(__file__).resolve().parent.parent / "locustfile.py"
FROM_MASTER = "-"  # Locust's word for a locustfile that a worker fetches
USAGE_ERROR = 2
HELP = """usage: python -m memquake [options] [UserClass ...]
       python -m memquake options     this list
       locust --help                  Locust's own options, which work here as well

"""


def locustfiles(words: Sequence[str]) -> str:
    """Return the value of Locust's option: memquake's file, and the user's where one is named.

    Raises ValueError with one line where the checkout lies in a place that Locust cannot name.
    """
    parser = get_empty_argument_parser(add_help=False)
    parser.set_defaults(locustfile="")
    given = str(parser.parse_known_args(list(words))[0].locustfile)
    if given == FROM_MASTER:
        return given
    if "," in str(LOCUSTFILE):
        raise ValueError(f"{LOCUSTFILE}: Locust separates files by commas: move the checkout")
    others = [name.strip() for name in given.split(",") if name.strip()]
    others = [name for name in others if os.path.realpath(name) != str(LOCUSTFILE)]
    return ",".join([str(LOCUSTFILE), *others])


def with_locustfiles(words: Sequence[str]) -> list[str]:
    """Return the words with the option added where Locust reads it last."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], "-f", locustfiles(words), *words[end:]]


def print_options() -> None:
    """Print memquake's options by area."""
    width = shutil.get_terminal_size((100, 24)).columns
    try:
        sys.stdout.write(HELP + options_text(width))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(words: list[str]) -> None:
    """Do what the words say; ends the process as Locust does."""
    if words == ["options"] or {"-h", "--help"} & set(words):
        print_options()
        return
    try:
        sys.argv = ["memquake", *with_locustfiles(words)]
    except ValueError as error:
        sys.stderr.write(f"memquake: {error}\n")
        raise SystemExit(USAGE_ERROR) from None
    run_locust()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The locustfiles of `python -m memquake`: memquake's own, and those the user names beside it.

Pure but for looking whether a file is there. It must not know what the files hold.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from locust.argument_parser import get_empty_argument_parser
from locust.util.url import is_url

from memquake.paths import LOCUSTFILE

FROM_MASTER = "-"  # Locust's word for a locustfile that a worker fetches


def locustfiles(words: Sequence[str]) -> str:
    """Return the value of Locust's option: memquake's file, and the user's where one is named.

    Raises ValueError with one line where the checkout lies in a place that Locust cannot name, and
    where there is no such file: Locust ends with 1 then, the exit code of a FAIL.
    """
    parser = get_empty_argument_parser(add_help=False)
    parser.set_defaults(locustfile="")
    given = str(parser.parse_known_args(list(words))[0].locustfile)
    if given == FROM_MASTER:
        return given
    if "," in str(LOCUSTFILE):
        raise ValueError(f"{LOCUSTFILE}: Locust separates files by commas: move the checkout")
    others = [name.strip() for name in given.split(",") if name.strip()]
    for name in others:
        is_file = name.endswith(".py") and os.path.exists(name)
        if not (is_file or os.path.isdir(name) or is_url(name)):
            raise ValueError(f"-f {name}: no such locustfile: give a file NAME.py or a folder")
    others = [name for name in others if os.path.realpath(name) != str(LOCUSTFILE)]
    return ",".join([str(LOCUSTFILE), *others])


def with_locustfiles(words: Sequence[str]) -> list[str]:
    """Return the words with the option added where Locust reads it last."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], "-f", locustfiles(words), *words[end:]]

"""Ending the process with one line when a run cannot be set up.

The main greenlet may be deep inside Locust (waiting for workers, joining the runner), so the exit
is thrown into it; atexit handlers and the guard then clean up as on any other exit.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import gevent
from gevent.hub import get_hub

from session.options import USAGE_ERROR


def say(line: str) -> None:
    """Print one line on stderr, without a traceback."""
    sys.stderr.write(f"memquake: {' '.join(line.split())}\n")
    sys.stderr.flush()


def exit_main(code: int = USAGE_ERROR) -> None:
    """Raise SystemExit in the main greenlet, whatever it is waiting for."""
    main = get_hub().parent
    if gevent.getcurrent() is main:
        raise SystemExit(code)
    gevent.kill(main, SystemExit(code))


def wait_idle(seconds: float, sleep: Callable[[float], object] = gevent.sleep) -> None:
    """Wait for so many seconds in which this process could have done something else.

    A second that it spends on a verdict of its own, or waits for a core in, is longer than one and
    counts as one: whoever is waited for could do nothing in it.
    """
    for _ in range(math.ceil(seconds)):
        sleep(1.0)

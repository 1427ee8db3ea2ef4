"""`python -m scripts.setup [runtime|dev|unit]`: bring a checkout to where it can run.

`runtime` is what a run needs, `dev` what checks and tests need besides, `unit` the Python packages
of `dev` alone.

Only the standard library, because this runs before anything is installed. Every step looks first
and is silent when there is nothing to do. One set-up works in a checkout at a time; a second one
waits for it. Exit code 0, or 2 after one line that says what to do.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memquake.paths import CHECKOUT, TOOLS
from scripts.progress import Log, SetupError
from scripts.python_env import PythonEnv
from scripts.system_packages import ensure_programs, missing_programs
from scripts.tools import ensure_tools, missing_tools

LEVELS = ("runtime", "dev", "unit")
LOCK_TIMEOUT_S = 1200.0  # the longest honest set-up of another process


@contextmanager
def alone() -> Iterator[None]:
    """Hold the checkout's lock: an advisory one on a tracked file, so that none is left behind."""
    with (CHECKOUT / "requirements.txt").open("r+b") as held:  # NFS locks only what may be written
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        waiting = False
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupError(
                        "another set-up of this checkout does not end: stop it and run make again"
                    ) from None
                if not waiting:
                    sys.stdout.write("setup: waiting for another set-up of this checkout ...\n")
                    sys.stdout.flush()
                waiting = True
                time.sleep(0.2)
        yield


def remove_leftovers(tools: Path) -> None:
    """Remove scratch folders of a set-up that was killed."""
    for scratch in tools.glob("tmp-*"):
        shutil.rmtree(scratch, ignore_errors=True)


def has_programs(tools: Path, level: str) -> bool:
    """Whether nothing is left to install besides Python packages."""
    for_tests = level == "dev"
    return not (
        missing_programs(tools, for_tests=for_tests) or missing_tools(tools, for_tests=for_tests)
    )


def main(arguments: list[str]) -> int:
    """Set up for a level and return the exit code."""
    level = arguments[0] if arguments else "runtime"
    if level not in LEVELS or len(arguments) > 1:
        sys.stderr.write(f"setup: usage: python -m scripts.setup [{'|'.join(LEVELS)}]\n")
        return 2
    log = Log(TOOLS / "setup.log")
    env = PythonEnv(CHECKOUT, log)
    packages = "runtime" if level == "runtime" else "dev"
    started = time.monotonic()
    try:
        if env.is_current(packages) and (level == "unit" or has_programs(TOOLS, level)):
            return 0
        with alone():
            remove_leftovers(TOOLS)
            env.ensure(packages)
            if level != "unit":
                ensure_programs(TOOLS, log, for_tests=level == "dev")
                ensure_tools(TOOLS, log, for_tests=level == "dev")
    except (SetupError, OSError) as error:
        tail = log.tail()
        if tail:
            sys.stderr.write(f"{tail}\n(the end of {log.path})\n")
        sys.stderr.write(f"setup: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("setup: interrupted; run make again to go on\n")
        return 2
    if log.used:
        log.say(f"done in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

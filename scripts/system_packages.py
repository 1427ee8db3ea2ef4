"""Programs of the system's package manager: memcached, and what runs and tests do better with.

Each is looked for first; what is missing comes in one call of apt-get or brew. Without memcached
nothing runs, so it ends the set-up when it cannot be installed. The others are optional: one line
says what is done without them, and the package manager is not asked again for a day.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.progress import CommandError, Log, SetupError

SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # off the PATH of ordinary users
PACKAGE_TIMEOUT_S = 600.0
NOT_AGAIN_FOR_S = 24 * 3600.0
DECLINED = "not-installed"  # names the optional programs that could not be installed


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program, what it is called by the package managers, and what goes without it."""

    name: str
    apt: str
    brew: str | None  # None where macOS has no such program
    without: str = ""  # empty where nothing works without it
    for_tests: bool = False

    def is_installed(self) -> bool:
        """Whether the program is on PATH, or where system programs are."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
        return shutil.which(self.name, path=path) is not None


PROGRAMS = (
    Program(name="memcached", apt="memcached", brew="memcached"),
    Program(
        name="nft",
        apt="nftables",
        brew=None,
        without="faults of the packet filter are carried out by stand-ins, in tests as well",
    ),
    Program(
        name="openssl",
        apt="openssl",
        brew="openssl",
        without="the tests of encrypted connections fail",
        for_tests=True,
    ),
)


def missing_programs(tools: Path, *, for_tests: bool) -> list[Program]:
    """Return what is not installed, without the optional programs that were declined today."""
    left_out = declined(tools)
    return [
        program
        for program in PROGRAMS
        if (for_tests or not program.for_tests)
        and (program.brew is not None or sys.platform == "linux")
        and not program.is_installed()
        and program.name not in left_out
    ]


def ensure_programs(tools: Path, log: Log, *, for_tests: bool) -> None:
    """Install what is missing. Raises SetupError where nothing works without it."""
    missing = missing_programs(tools, for_tests=for_tests)
    if not missing:
        return
    why = dict.fromkeys(missing, _install(missing, log))
    for program in missing if len(missing) > 1 else ():
        if not program.is_installed():  # one package that cannot be had costs no other
            why[program] = _install([program], log)
    lacking = [program for program in missing if not program.is_installed()]
    for program in lacking:
        reason = why[program] or "its package did not bring it"
        if not program.without:
            raise SetupError(
                f"{program.name} is not on PATH and {reason}: install it with your package "
                f"manager and run make again"
            )
        log.say(f"{program.name} is not installed ({reason}): {program.without}")
    decline(tools, [program.name for program in lacking])


def _install(programs: Sequence[Program], log: Log) -> str:
    """Install packages; return in words why it was not possible, empty when it was."""
    if shutil.which("apt-get"):
        names = [program.apt for program in programs]
        command, update = apt("install", "-y", "--no-install-recommends", *names), apt("update")
    elif shutil.which("brew"):
        names = [program.brew for program in programs if program.brew]
        command, update = ["brew", "install", *names], []
    else:
        return "there is neither apt-get nor brew"
    if not command:
        return f"`apt-get install {' '.join(names)}` needs root (no sudo here)"
    log.say(f"installing {', '.join(names)} with {'apt-get' if update else 'brew'} ...")
    stdin = None if sys.stdin.isatty() else subprocess.DEVNULL
    # A fresh container has no package lists; a stale list names files that are gone.
    tries = [[command], [update, command]] if update else [[command]]
    why = ""
    for steps in tries:
        try:
            for step in steps:
                log.run(step, timeout_s=PACKAGE_TIMEOUT_S, stdin=stdin)
        except CommandError as error:
            why = f"installing it failed: {error}"
        else:
            return ""
    return why


def apt(*words: str) -> list[str]:
    """Return an apt-get command that may run as root, empty when there is no way to be root."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words]
    if os.geteuid() == 0:
        return command
    if not shutil.which("sudo"):
        return []
    return ["sudo", *([] if sys.stdin.isatty() else ["-n"]), *command]


def declined(tools: Path) -> set[str]:
    """Return the names of what could not be installed within the last day."""
    try:
        age_s = time.time() - (tools / DECLINED).stat().st_mtime
        return set((tools / DECLINED).read_text().split()) if age_s < NOT_AGAIN_FOR_S else set()
    except OSError:
        return set()


def decline(tools: Path, names: Sequence[str]) -> None:
    """Keep names of optional programs that could not be installed, so that a day goes without."""
    if names:
        lines = sorted(declined(tools) | set(names))
        (tools / DECLINED).write_text("".join(f"{name}\n" for name in lines))

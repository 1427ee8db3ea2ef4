"""The nft program, asked with a deadline: load a table, list it, delete it, and nothing else.

Every table is one of ours by its name: `memquake_<pid>_<start>_<namespace>_...`, so that nobody
else's is ever touched, and one whose process is dead is known for what it is. A table of another
process namespace is left alone, because its process cannot be seen from here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from cluster import spawning
from faults.errors import FaultError
from faults.guard_child import start_time

PREFIX = "memquake_"
DEADLINE_S = 3.0  # nft takes 10 ms; on a machine under load a few times that
SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # off the PATH of ordinary users
_MISSING = "No such file or directory"

Table = tuple[str, str]  # family, name


def find_nft(path: str | None = None) -> str | None:
    """Give the absolute path of nft, None when it is not installed."""
    places = os.environ.get("PATH", os.defpath) if path is None else path
    found = shutil.which("nft", path=os.pathsep.join([places, *SBIN]))
    return os.path.abspath(found) if found else None


def owner_name(pid: int | None = None) -> str:
    """Give the beginning of the names of all tables of a process, this one by default."""
    pid = os.getpid() if pid is None else pid
    return f"{PREFIX}{pid}_{start_time(pid) or 0}_{_namespace()}_"


def is_orphan(name: str) -> bool:
    """Tell whether a table was made by a process of ours that is dead; a doubt means no."""
    words = name.removeprefix(PREFIX).split("_")
    if not name.startswith(PREFIX) or len(words) < 4 or not words[0].isdigit():
        return False
    pid, start, namespace = words[:3]
    if namespace != _namespace():
        return False
    return (start_time(int(pid)) or "gone") != start


def delete_orphans() -> list[str]:
    """Delete the tables of dead processes of ours and name them; raises nothing."""
    program = find_nft()
    if program is None:
        return []
    nft = Nft(program)
    try:
        found = [table for table in nft.tables() if is_orphan(table[1])]
        nft.delete(found)
    except FaultError:
        return []  # whoever may not use nft cannot, and a run that needs it says why
    return [f"removed nftables table {name} of a process that is gone" for _, name in found]


class Nft:
    """One nft program. Every method raises FaultError in one line."""

    def __init__(self, program: str, *, deadline_s: float = DEADLINE_S) -> None:
        self.program = program
        self._deadline_s = deadline_s

    def load(self, text: str) -> None:
        """Carry out a script as one transaction: all of it or nothing."""
        self._run(["-f", "-"], text)

    def delete(self, tables: Sequence[Table]) -> None:
        """Delete tables at once; one that is gone is fine."""
        # Adding a table that exists changes nothing, so the deletion never meets a missing one.
        lines = (f"add table {f} {name}\ndelete table {f} {name}\n" for f, name in tables)
        if text := "".join(lines):
            self.load(text)

    def table(self, table: Table) -> list[Mapping[str, Any]] | None:
        """Give what is in a table, as nft's JSON tells it; None when there is none."""
        try:
            return self._list(["list", "table", *table])
        except FaultError as why:
            if _MISSING in str(why):
                return None
            raise

    def tables(self) -> list[Table]:
        """Give all tables whose names are ours, dead processes' included."""
        listed = [item["table"] for item in self._list(["list", "tables"]) if "table" in item]
        found = [(str(item["family"]), str(item["name"])) for item in listed]
        return [(family, name) for family, name in found if name.startswith(PREFIX)]

    def _list(self, command: Sequence[str]) -> list[Mapping[str, Any]]:
        told = self._run(["-j", *command], "")
        try:
            items: list[Mapping[str, Any]] = json.loads(told)["nftables"]
        except (ValueError, KeyError):
            raise FaultError(f"nft {' '.join(command)} answered no JSON: {told[:80]!r}") from None
        return items

    def _run(self, command: Sequence[str], text: str) -> str:
        try:
            done = spawning.run(
                [self.program, *command],
                input=text,
                capture_output=True,
                text=True,
                timeout=self._deadline_s,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
        except spawning.TimeoutExpired:
            raise FaultError(f"nft did not end within {self._deadline_s:g} s") from None
        except OSError as why:
            raise FaultError(f"nft cannot be run: {why}") from None
        if done.returncode:
            raise FaultError(f"nft refuses: {_first_line(done.stderr)}")
        return done.stdout


class CheckingNft(Nft):
    """One that lets the kernel check a script and changes nothing."""

    def load(self, text: str) -> None:
        """Have a script checked: the transaction is sent without its end, and forgotten."""
        self._run(["-c", "-f", "-"], text)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # nft puts the place before the problem: `/dev/stdin:3:9-20: Error: Could not process rule: X`.
    return lines[0].rpartition("Error: ")[2] if lines else "it said nothing"


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"

"""A run once more, in a process of its own: the command line, the process, what it leaves.

The run is Locust's, started as a user would; nothing of it is imported here. It runs in a session
of its own, so that Ctrl-C reaches it once, from here, and its own clean-up is waited for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.errors import ScenarioError
from faults.planfile import plan_to_yaml
from faults.planned import Plan
from faults.record import Judged, Record, read_verdict
from memquake.paths import LOCUSTFILE

GIVEN_NODES = "given"  # what a run on nodes of the user's own says in their place
SET_UP_S = 300.0  # start, users, last reports and verdict beside the phases; a hang, not slowness
CLEAN_UP_S = 60.0  # a run that is interrupted still judges and writes
CLIENT_FOLDER = "client-folder"  # where the module of `--client` lies
NO_FLAGS = frozenset({"nodes", "user-classes", CLIENT_FOLDER})  # said in another way, see below
OUTPUT = "output.txt"
USAGE_ERROR = 2


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """What came of it."""

    folder: Path
    judged: Judged


def locust_options(record: Record, more: Sequence[str]) -> list[str]:
    """Give the options of the run as Locust's command line; `more` comes last and wins.

    ScenarioError where the run needs something that its folder cannot hold.
    """
    found: list[str] = []
    given = _flags(more)
    for name, value in record.options.items():
        flag = f"--{name}"
        if name in NO_FLAGS:
            continue
        if value is True:
            found.append(flag)
        elif value is not False:
            values = value if isinstance(value, list) else [value]
            found += [part for one in values for part in (flag, str(one))]
    for flag, needed in (
        ("--nodes", record.options.get("nodes") == GIVEN_NODES),
        ("--gutter-nodes", record.options.get("failover") == "gutter"),
    ):
        if needed and flag not in given:
            raise ScenarioError(
                f"the run had {flag} of yours, which its folder does not hold: give them again at "
                f"the end, -- {flag} host:port,..."
            )
    if record.plan is not None and record.options.get("nodes") != GIVEN_NODES:
        found += ["--embedded-nodes", str(len(record.plan.nodes))]
    return [*found, *more, *record.options.get("user-classes", ())]


def _flags(more: Sequence[str]) -> set[str]:
    return {word.split("=")[0] for word in more}


def client_folder(record: Record, more: Sequence[str]) -> Path | None:
    """Return the folder to run in, so that the module of the run's client is found; None: any.

    ScenarioError where it is gone and `more` names no other client.
    """
    told = record.options.get(CLIENT_FOLDER)
    if told is None or "--client" in _flags(more):
        return None
    folder = Path(told)
    if not folder.is_dir():
        raise ScenarioError(
            f"the run's client {record.options.get('client')} was found in {folder}, which is not "
            "there: go to where it is now and give it again at the end, -- --client MODULE:CALLABLE"
        )
    return folder


def run_again(
    record: Record, plan: Plan | None, more: Sequence[str], *, into: Path, shown: bool
) -> Rerun:
    """Run a plan under a run's options and give what it left in the folder `into`.

    `shown` lets it speak on the terminal; otherwise its words go to a file there. Raises
    ScenarioError when it cannot be run, KeyboardInterrupt once it has cleaned up after itself.
    """
    if plan is None:
        scenario, length_s = [record.scenario, "--seed", str(record.seed)], 0.0
    else:
        path = into / "plan-to-run.yaml"
        path.write_text(plan_to_yaml(plan), encoding="utf-8")
        scenario, length_s = [str(path)], plan.duration_s
    folder = client_folder(record, more)
    command = [
        # Without the working directory on the path: a `locust.py` of the user's would be started.
        *(sys.executable, "-P", "-m", "locust", "-f", str(LOCUSTFILE), "--headless"),
        *("--runs-dir", str(into), "--scenario", *scenario, *locust_options(record, more)),
    ]
    output = into / OUTPUT
    with contextlib.ExitStack() as open_files:
        streams: dict[str, Any] = {}
        if not shown:
            streams["stdout"] = streams["stderr"] = open_files.enter_context(output.open("wb"))
        code = _run(command, cwd=folder, limit_s=length_s + SET_UP_S, streams=streams)
    folders = [path for path in into.iterdir() if path.is_dir() and not path.is_symlink()]
    if code == USAGE_ERROR or not folders:
        words = "" if shown else output.read_text(encoding="utf-8", errors="replace")
        last = (words.strip().splitlines() or [f"it ended with exit code {code}"])[-1]
        raise ScenarioError(f"the run could not be repeated: {last}")
    return Rerun(folder=folders[0], judged=read_verdict(folders[0]))


def _run(
    command: Sequence[str], *, cwd: Path | None, limit_s: float, streams: Mapping[str, Any]
) -> int:
    child = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True, **streams
    )
    try:
        return child.wait(limit_s)
    except subprocess.TimeoutExpired:
        raise ScenarioError(f"the run did not end within {limit_s:.0f} s and was stopped") from None
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let it clean up after itself; then end what is left of it."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(CLEAN_UP_S)
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)  # its guard has a session of its own, and heals
        child.wait()


def make_folder(record: Record, name: str) -> Path:
    """Make a folder for runs inside the run's own; ScenarioError where that cannot be."""
    try:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=record.folder)).resolve()
    except OSError as why:
        raise ScenarioError(
            f"{record.folder} cannot be written to ({why.strerror}): copy it to where it can"
        ) from None


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let a polite end from outside do what Ctrl-C does, so that a run is never left behind."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Record the facts of runs in tests/fixtures/facts, or their verdicts again after a rule changed.

    python -m tests.corpus.record live [NAME...]   make runs that are not recorded, 30 s each
    python -m tests.corpus.record made             made-up runs, one for each check
    python -m tests.corpus.record again            judge all facts again and write what is new

Of a run only what its verdict was made from is kept; paths of the machine are replaced. `again`
prints what has changed: a commit that changes a verdict says why.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from client.operation import Outcome
from memquake.judge import main as judge_again
from report.facts_file import FACTS, write_facts
from report.suite_files import SUITE
from tests.corpus.runs import RUNS, Run
from tests.corpus.verdicts import (
    FOLDER,
    PACKED,
    differences,
    facts_of,
    judged,
    kept,
    names,
    recorded,
    suites,
    text_of,
)
from tests.unit.verdict.made_up_runs import MadeUpRun, run_with_outage
from tests.unit.verdict.test_check_tables import CASES

CHECKOUT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 240.0
GUARD_S = 5.0  # what the guard of a dead master takes to heal and to say so
BEGUN = '"event": "run"'  # in the journal, a moment before second 0


def live(name: str, run: Run) -> None:
    """Make a run and record it.

    Raises AssertionError where it left no facts, or facts with another verdict than its own.
    """
    with tempfile.TemporaryDirectory(prefix="corpus-") as place:
        folder = Path(place)
        _make(run, folder)
        runs = folder / "runs"
        found = sorted(path.parent for path in runs.glob(f"*/{FACTS}"))
        found = [path for path in found if not path.is_symlink()]
        assert found, f"{name} left no facts: {(folder / 'output').read_text()[-2000:]}"
        if run.suite:
            _keep_suite(name, next(runs.glob("suite-*")), found, folder)
        else:
            _keep_run(name, found[-1], folder)


def _make(run: Run, folder: Path) -> None:
    words = [*run.words, "--runs-dir", str(folder / "runs"), "--no-report"]
    for option, text in (("--scenario", run.scenario), ("--suite", run.suite)):
        if text:
            (folder / f"mine{option}.yaml").write_text(text)
            words += [option, str(folder / f"mine{option}.yaml")]
    for file, text in run.files.items():
        (folder / file).write_text(text)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "--headless", *words],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            if run.does is not None:
                _await_begin(folder)
                time.sleep(run.does_at_s)
                run.does(psutil.Process(process.pid))
            process.wait(LIMIT_S)
        finally:
            process.kill()
    time.sleep(GUARD_S if process.returncode < 0 else 0)
    words = ["-m", "session.broken_off", str(folder / "runs")]
    subprocess.run([sys.executable, *words], cwd=CHECKOUT, check=True)


def _await_begin(folder: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if any(BEGUN in path.read_text() for path in folder.glob("runs/*/journal.jsonl")):
            return
        time.sleep(0.05)


def _keep_run(name: str, folder: Path, place: Path) -> None:
    _keep_facts(folder, FOLDER / f"{name}{PACKED}", place)
    verdict = judged(facts_of(name))
    told = json.loads(_neutral((folder / "verdict.json").read_text(), place))
    assert not (found := differences(kept(told), verdict)), "\n".join(found)
    (FOLDER / f"{name}.json").write_text(text_of(verdict))
    failed = [check["name"] for check in verdict["checks"] if check["verdict"] == "FAIL"]
    size = (FOLDER / f"{name}{PACKED}").stat().st_size
    print(f"{name}: {verdict['verdict']} {' '.join(failed)} ({size:,} bytes)", flush=True)


def _keep_suite(name: str, suite: Path, runs: Sequence[Path], place: Path) -> None:
    target = FOLDER / name
    shutil.rmtree(target, ignore_errors=True)
    for run in runs:
        (target / run.name).mkdir(parents=True)
        _keep_facts(run, target / run.name / FACTS, place)
    (target / SUITE).write_text(_neutral((suite / SUITE).read_text(), place))
    with tempfile.TemporaryDirectory() as out:
        with contextlib.redirect_stdout(io.StringIO()):
            code = judge_again(["judge", str(target), "--out", out])
        assert (Path(out) / SUITE).read_text() == (target / SUITE).read_text()
    print(f"{name}: exit code {code}", flush=True)


def _keep_facts(folder: Path, target: Path, place: Path) -> None:
    text = _neutral(gzip.decompress((folder / FACTS).read_bytes()).decode(), place)
    with target.open("wb") as file, gzip.GzipFile("", "wb", 9, fileobj=file, mtime=0) as packed:
        packed.write(text.encode())


def _neutral(text: str, place: Path) -> str:
    """Replace what is of this machine alone."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    for path, name in (
        (packages, "/site-packages"),
        (str(Path(packages).resolve()), "/site-packages"),
        (str(CHECKOUT), "/memquake"),
        (sys.base_prefix, "/python"),
        (str(place), "/corpus"),
    ):
        text = text.replace(path, name)
    return text


def made() -> None:
    """Record a made-up run for each check: one that it convicts, or that proves nothing by it."""
    rows = {
        **{name: make for name, _, make, ruling in reversed(CASES) if ruling == "INCONCLUSIVE"},
        **{name: make for name, _, make, ruling in reversed(CASES) if ruling == "FAIL"},
        "nothing-wrong": lambda: MadeUpRun(30),
        "outage": lambda: run_with_outage().batches_all_along((Outcome.PARTIAL, 300)),
    }
    for name, make in rows.items():
        facts = make().facts()
        write_facts(facts, FOLDER / f"made-{name}{PACKED}")
        (FOLDER / f"made-{name}.json").write_text(text_of(judged(facts)))


def again() -> None:
    """Judge all recorded facts again, print what has changed, and write it."""
    for name in names():
        verdict = judged(facts_of(name))
        if found := differences(recorded(name), verdict):
            print("\n".join([name, *(f"  {line}" for line in found)]))
            (FOLDER / f"{name}.json").write_text(text_of(verdict))
    for suite in suites():
        with tempfile.TemporaryDirectory() as out:
            with contextlib.redirect_stdout(io.StringIO()):
                judge_again(["judge", str(suite), "--out", out])
            shutil.copyfile(Path(out) / SUITE, suite / SUITE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.record", description=__doc__)
    parser.add_argument("what", choices=["live", "made", "again"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of tests/corpus/runs.py")
    options = parser.parse_args(arguments)
    if options.what == "again":
        again()
    elif options.what == "made":
        made()
    else:
        known = {*names(), *(suite.name for suite in suites())}
        for name in options.names or [name for name in RUNS if name not in known]:
            try:
                live(name, RUNS[name])
            except AssertionError as error:
                print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()

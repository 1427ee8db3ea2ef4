"""The tests in two lanes: what leaves room for others runs beside the rest.

`test` has the unit tests beside those with servers, then whole runs; `prove` the light ones of the
slow proofs beside the heavy ones, then those that want the machine for themselves. Each lane is a
pytest of its own with folders of its own. What the one beside says is kept and shown when both have
ended; the last line sums all up. Further arguments go to all. The exit code is 0 only when all are
green.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from junitparser import JUnitXml

TESTS = Path("tests")
UNIT = TESTS / "unit"
SERVERS = TESTS / "integration"  # waits more than it computes, so others may run beside it
NAMES = ("beside", "rest", "last")  # also of their folders
INTERRUPTED = 2  # pytest's exit code


@dataclass(frozen=True)
class Lane:
    """One pytest: what it is told, and the folder that is its own."""

    words: list[str]
    folder: Path

    def start(self, more: list[str], said: Path | None = None) -> subprocess.Popen[bytes]:
        """Start it, with what it says in a file or on the terminal."""
        own = [f"--basetemp={self.folder}", f"--junitxml={self.folder}.xml"]
        command = [sys.executable, "-m", "pytest", *self.words, *own, *more]
        if said is None:
            return subprocess.Popen(command)
        with said.open("wb") as output:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def counts(self) -> tuple[int, int, int, int]:
        """Give how many tests were run, failed, broke and were skipped; zeros where none ended."""
        try:
            found = JUnitXml.fromfile(f"{self.folder}.xml")
        except OSError:
            return 0, 0, 0, 0
        return found.tests, found.failures, found.errors, found.skipped


def main(arguments: list[str]) -> int:
    """Run two lanes to their end, then the third."""
    which, *more = arguments
    words = _lanes()[which]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memquake-lanes-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        said = folder / "said"
        lanes = [Lane(each, folder / name) for each, name in zip(words, NAMES, strict=True)]
        beside = lanes[0].start(more, said)
        codes = [1]
        try:
            codes = [_ended(lanes[1].start(more))]
        finally:  # an interrupt reaches both: each cleans up what it has started
            codes.append(_ended(beside))
        sys.stdout.write(f"\nbeside it, pytest {' '.join(lanes[0].words)}\n")
        sys.stdout.write(said.read_text(errors="replace"))
        sys.stdout.flush()
        if INTERRUPTED not in codes:
            codes.append(_ended(lanes[2].start(more)))
        sys.stdout.write(f"{_summary(lanes, time.monotonic() - begun)}\n")
    return max(codes)


def _lanes() -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Give by name what the lane beside, the other one and the last one are told."""
    others = sorted(
        str(path)
        for path in TESTS.iterdir()
        if path not in (UNIT, SERVERS) and any(path.rglob("test_*.py"))
    )
    return {
        "test": ([str(UNIT)], [str(SERVERS)], others),
        "prove": (
            ["-m", "prove and light", str(TESTS)],
            ["-m", "prove and not light and not alone", str(TESTS)],
            ["-m", "prove and alone", str(TESTS)],
        ),
    }


def _ended(lane: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return lane.wait()
        except KeyboardInterrupt:  # it got the same
            continue


def _summary(lanes: list[Lane], took_s: float) -> str:
    """Sum the lanes up as pytest sums up each."""
    run, failed, broke, skipped = (sum(each) for each in zip(*map(Lane.counts, lanes), strict=True))
    passed = run - failed - broke - skipped
    words = {"failed": failed, "passed": passed, "skipped": skipped, "errors": broke}
    told = ", ".join(f"{count} {word}" for word, count in words.items() if count) or "no tests ran"
    return f" {told} in {took_s:.2f}s ({timedelta(seconds=round(took_s))}) ".center(80, "=")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

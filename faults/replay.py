"""A run again, and whether it is judged the same. Compares verdicts, makes none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faults.record import Judged, read_record
from faults.rerun import client_folder, locust_options, make_folder, run_again


def replay(folder: Path, more: Sequence[str]) -> tuple[list[str], bool]:
    """Repeat a run; give what to print and whether the verdict is the same.

    ScenarioError in one line for a run that cannot be repeated.
    """
    record = read_record(folder)
    locust_options(record, more)  # what is missing shows before anything is written
    client_folder(record, more)
    into = make_folder(record, "replay")
    again = run_again(record, record.plan, more, into=into, shown=True)
    same = same_verdict(record.judged, again.judged)
    return [f"replay  {again.folder}", *difference(record.judged, again.judged)], same


def same_verdict(before: Judged, after: Judged) -> bool:
    """Tell whether two runs were judged the same: the ruling, and what it FAILs by."""
    return before.ruling == after.ruling and before.failed == after.failed


def difference(before: Judged, after: Judged) -> list[str]:
    """Say how two verdicts compare: a line for both, a line for each check that differs.

    A check that differs without deciding anything (not judged here, passed there) is named too.
    """
    by = f" by {', '.join(sorted(before.failed))}" if before.failed else ""
    if same_verdict(before, after):
        lines = [f"the same verdict: {before.ruling}{by}"]
    elif before.ruling != after.ruling:
        lines = [f"another verdict: {before.ruling}{by}, and now {after.ruling}"]
    else:
        lines = [f"another reason: {before.ruling}{by}, and now by other checks"]
    names = [*before.checks, *(name for name in after.checks if name not in before.checks)]
    for name in names:
        was, now = before.checks.get(name, "absent"), after.checks.get(name, "absent")
        if was != now:
            why = after.whys.get(name) or before.whys.get(name, "")
            lines.append(f"  {name}: {was}, and now {now}: {why}")
    return lines

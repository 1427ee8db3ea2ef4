"""verdict.json read back: an earlier run, or those of a suite, for the next one to be held against.

Refuses in one line whatever is no outcome of memquake. It takes the numbers over as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verdict.model import EarlierRun

MAX_BYTES = 64 << 20  # a verdict.json has some ten thousand


class OutcomeError(Exception):
    """An earlier outcome cannot be read. One line: what is wrong and how to mend it."""


def read_earlier(path: Path) -> Mapping[str, EarlierRun]:
    """Give the runs at a path by scenario: verdict.json, suite.json, or a folder with either.

    Of a scenario that a suite ran more than once, the first run. Raises OutcomeError.
    """
    path = _outcome_at(path)
    data = read_json(path)
    if "scenarios" not in data:
        run = _run(data, path)
        return {run.scenario: run}
    found: dict[str, EarlierRun] = {}
    for case in data["scenarios"]:
        folder = case.get("run") if isinstance(case, dict) else None
        if folder and case.get("state") == "judged" and case.get("scenario") not in found:
            verdict = run_of_suite(path.parent, str(folder)) / "verdict.json"
            found[case["scenario"]] = _run(read_json(verdict), verdict)
    return found


def run_of_suite(suite: Path, name: str) -> Path:
    """Return the folder of one of a suite's runs: in the suite's where it was judged again."""
    inside = suite / name
    return inside if inside.is_dir() else suite.parent / name


def _outcome_at(path: Path) -> Path:
    try:
        if not path.is_dir():
            return path
        names = [name for name in ("verdict.json", "suite.json") if (path / name).is_file()]
    except OSError as error:  # a name too long, a folder that is closed to us
        raise OutcomeError(f"{path} cannot be read ({error.strerror}): check the path") from None
    if not names:
        raise OutcomeError(
            f"{path} holds no verdict.json: give the folder of a run or a suite that has ended"
        )
    return path / names[0]


def read_json(path: Path) -> dict[str, Any]:
    """Return what a verdict.json or suite.json holds. Raises OutcomeError with one line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OutcomeError(f"{path} is too large: that is no verdict.json")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutcomeError(f"{path} does not exist: give the verdict.json of a run") from None
    except OSError as error:
        raise OutcomeError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except (ValueError, RecursionError):
        raise OutcomeError(f"{path} is no JSON: give the verdict.json of a run") from None
    if not isinstance(data, dict) or not isinstance(data.get("scenarios", []), list):
        raise OutcomeError(f"{path} is no outcome of memquake: give the verdict.json of a run")
    return data


def _run(data: Mapping[str, Any], path: Path) -> EarlierRun:
    if data.get("broken_off"):
        raise OutcomeError(f"{path} is of a run that was broken off: give one that has ended")
    figures = data.get("figures")
    scenario, client = data.get("scenario"), data.get("client")
    if not (isinstance(figures, dict) and isinstance(scenario, str) and isinstance(client, str)):
        raise OutcomeError(f"{path} is no verdict.json: give that of a run that has ended")
    return EarlierRun(
        scenario=scenario,
        client=client,
        name=path.parent.name,
        figures={
            name: value for name, raw in figures.items() if (value := _value(raw)) is not None
        },
    )


def _value(raw: Any) -> float | None:
    value = raw.get("value") if isinstance(raw, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None

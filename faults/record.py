"""A finished run, as its folder tells of it: the plan, the options, the verdict. Reads only.

The files' formats are contracts (plan.yaml, verdict.json); whoever wrote them is not known here.
Everything that is wrong with a folder is one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.errors import ScenarioError
from faults.fixed import FixedScenario
from faults.planned import Plan
from faults.scenario import parse_scenario
from faults.yamltext import read_file

PLAN = "plan.yaml"
VERDICT = "verdict.json"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a run was judged to be."""

    ruling: str  # PASS, FAIL, INCONCLUSIVE
    checks: Mapping[str, str]  # name -> verdict
    whys: Mapping[str, str]  # name -> what was seen

    @property
    def failed(self) -> frozenset[str]:
        """Names of the checks that FAIL."""
        return frozenset(name for name, verdict in self.checks.items() if verdict == "FAIL")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run that can be repeated. `plan` is None for one without phases."""

    folder: Path
    scenario: str
    seed: int
    plan: Plan | None
    options: Mapping[str, Any]
    judged: Judged


def read_record(folder: Path) -> Record:
    """Read the folder of a finished run; ScenarioError in one line."""
    if not folder.is_dir():
        raise ScenarioError(f"{folder} is no folder: give the folder of a run, such as runs/latest")
    folder = folder.resolve()  # `latest` is soon another run's
    path = folder / PLAN
    if not path.exists():
        raise ScenarioError(f"{folder} has no {PLAN}: give the folder of a run")
    text = read_file(path, str(path))
    scenario = parse_scenario(text)
    if "options" not in text.data:
        raise text.error((), "the key 'options' is missing: the run says not how it was made")
    return Record(
        folder=folder,
        scenario=scenario.name,
        seed=int(text.data["seed"]),
        plan=scenario.plan if isinstance(scenario, FixedScenario) else None,
        options=text.data["options"],
        judged=read_verdict(folder),
    )


def read_verdict(folder: Path) -> Judged:
    """Read what a run was judged to be; ScenarioError in one line."""
    path = folder / VERDICT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("broken_off"):
            raise ScenarioError(
                f"{folder} is of a run that was broken off: it was not judged, there is nothing to "
                f"compare with; its faults can be run again by --scenario {folder / PLAN}"
            )
        checks = content["checks"]
        return Judged(
            ruling=content["verdict"],
            checks={check["name"]: check["verdict"] for check in checks},
            whys={check["name"]: check["why"] for check in checks},
        )
    except OSError:
        raise ScenarioError(
            f"{folder} has no {VERDICT}: the run was not judged, there is nothing to compare with"
        ) from None
    except (ValueError, KeyError, TypeError) as why:
        raise ScenarioError(f"{path} cannot be read ({why}): give the folder of a run") from None

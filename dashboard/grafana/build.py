"""The files of the dashboards, which `make monitoring` writes.

They are committed, so that Grafana needs no Python; `make check` says when they are out of date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dashboard.grafana.nodes import NODES
from dashboard.grafana.run import RUN

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = (RUN, NODES)


def files() -> Mapping[Path, str]:
    """Return the text of every generated file."""
    return {
        FOLDER / f"{dashboard['uid']}.json": json.dumps(dashboard, indent=2) + "\n"
        for dashboard in DASHBOARDS
    }

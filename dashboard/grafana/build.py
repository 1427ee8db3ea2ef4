"""Write the dashboards: `python -m dashboard.grafana.build`.

The files are committed, so that Grafana needs no Python, and `make check` says when they are not
what this code gives. Standard library and our own list of metrics only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dashboard.grafana.model import Dashboard, to_json
from dashboard.grafana.nodes import NODES
from dashboard.grafana.run import RUN

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS: tuple[Dashboard, ...] = (RUN, NODES)


def files() -> Mapping[Path, str]:
    """Give the text of every generated file."""
    return {
        FOLDER / f"{dashboard.uid}.json": json.dumps(to_json(dashboard), indent=2) + "\n"
        for dashboard in DASHBOARDS
    }


def main() -> None:
    """Write all of them."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

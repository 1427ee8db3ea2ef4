"""Which memquake this is; pyproject.toml is the one place that says it."""

from __future__ import annotations

import tomllib

from memquake.paths import PROJECT

VERSION: str = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
"""Of this checkout; every load process of a run has to have the same."""

"""The cluster kit as a pytest fixture: `pytest_plugins = ["cluster.testing"]` in a conftest.py.

Only tests import this module; the product itself never needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cluster.embedded import MEMORY_MB
from cluster.kit import ClusterKit


@pytest.fixture
def cluster_kit() -> Iterator[Callable[..., ClusterKit]]:
    """Give a function that starts a `ClusterKit(n, memory_mb=...)`; all end with the test."""
    started: list[ClusterKit] = []

    def start(n: int = 3, *, memory_mb: int = MEMORY_MB) -> ClusterKit:
        kit = ClusterKit(n, memory_mb=memory_mb)
        started.append(kit)
        kit.start()
        return kit

    yield start
    for kit in started:
        kit.stop()

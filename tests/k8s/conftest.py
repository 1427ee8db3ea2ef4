"""A cluster that answers, once for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.k8s.cluster import prepare


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """See that there is a cluster and that it has the images."""
    prepare()

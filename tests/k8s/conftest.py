"""A cluster that answers and has the images, once for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.k8s.cluster import IMAGES, prepare
from tests.k8s.images import missing_images

USAGE_ERROR = 2
WAY_OUT = (
    "name in LOAD what brings one onto the nodes, such as make k8s-test LOAD='kind load "
    "docker-image' (docker build -t memquake:dev . makes the first one)"
)


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """See that there is a cluster and that it has the images; else end the session in a line."""
    try:
        prepare()
    except AssertionError as why:
        pytest.exit(" ".join(str(why).split()), returncode=USAGE_ERROR)
    if missing := missing_images(IMAGES):
        pytest.exit(f"{missing}: {WAY_OUT}", returncode=USAGE_ERROR)

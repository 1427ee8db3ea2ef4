"""A cluster without an image is told from one that has it, long before a roll-out gives up."""

from __future__ import annotations

import time

import pytest

from tests.k8s.cluster import IMAGES
from tests.k8s.images import missing_images

pytestmark = pytest.mark.k8s

NOWHERE = "memquake-in-no-registry:test"
WITHIN_S = 60.0


def test_an_image_that_cannot_be_pulled_is_named_within_a_minute() -> None:
    """It alone: the others of the same pod are there."""
    began = time.monotonic()
    line = missing_images((*IMAGES, NOWHERE))
    assert line == f"the cluster can neither find nor pull {NOWHERE}"
    assert time.monotonic() - began < WITHIN_S

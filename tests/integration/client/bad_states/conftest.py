"""One lab for all detectors: starting servers for each would take longer than the detectors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.client.bad_states.lab import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give three nodes behind a Toxiproxy; every detector begins by healing and emptying them."""
    lab = Lab()
    try:
        yield lab
    finally:
        lab.stop()

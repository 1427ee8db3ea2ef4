"""What items take in a memcached; the numbers were read from `stats slabs` of 1.6.18."""

from __future__ import annotations

import pytest

from cluster.slabs import PAGE_BYTES, Items, Slabs

USUAL = Slabs(limit_bytes=64 * PAGE_BYTES)
SETTINGS = {
    "maxbytes": "67108864",
    "item_size_max": "1048576",
    "slab_chunk_max": "524288",
    "chunk_size": "48",
    "growth_factor": "1.25",
    "cas_enabled": "yes",
    "evictions": "on",
}


def test_settings_of_a_server_are_read() -> None:
    """The program's defaults are ours, and what lacks a number is not guessed."""
    assert Slabs.of(SETTINGS) == USUAL
    assert Slabs.of({"maxbytes": "1"}) is None
    assert Slabs.of(SETTINGS | {"evictions": "off"}) == Slabs(
        limit_bytes=64 * PAGE_BYTES, may_evict=False
    )


@pytest.mark.parametrize(
    ("slabs", "value", "a_page"),
    [
        pytest.param(USUAL, 7, 10_922, id="96 bytes, to the last one"),
        pytest.param(USUAL, 8, 8_738, id="120 bytes for one more, and 96 without cas"),
        pytest.param(USUAL, 100, 5461, id="192 bytes"),
        pytest.param(USUAL, 3_000, 288, id="3,632 bytes"),
        pytest.param(USUAL, 100_000, 10, id="103,496 bytes"),
        pytest.param(USUAL, 400_000, 2, id="524,288 bytes"),
        pytest.param(
            Slabs(limit_bytes=1, growth=1.1, least_chunk_bytes=72),
            100_000,
            2,
            id="a growth of 1.1 runs out of classes",
        ),
    ],
)
def test_items_a_page(slabs: Slabs, value: int, a_page: int) -> None:
    """A page is cut into chunks of one size, and one more item takes another page."""
    assert slabs.bytes_for([Items(count=a_page, key=30, value=value)]) == slabs.page_bytes
    assert slabs.bytes_for([Items(count=a_page + 1, key=30, value=value)]) == 2 * slabs.page_bytes


def test_large_items_are_stored_in_pieces() -> None:
    """700,000 bytes take one chunk of 524,288 bytes and one of 202,152."""
    assert USUAL.bytes_for([Items(count=10, key=30, value=700_000)]) == 7 * PAGE_BYTES
    assert USUAL.takes(30, 1_000_000)
    assert not USUAL.takes(30, 1_048_576)

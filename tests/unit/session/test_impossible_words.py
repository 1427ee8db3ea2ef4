"""Snapshots that cannot be true, and some that merely say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from session.words import impossible

NODE = "127.0.0.1:11211"


def said(**pool: Any) -> dict[str, Any]:
    return {NODE: {"breaker": "closed", "pool": pool}}


@pytest.mark.parametrize(
    ("snapshot", "wrong"),
    [
        pytest.param(said(idle=10, in_use=10), "", id="a full pool"),
        pytest.param(said(idle=0, in_use=11), "in_use is 11, of a pool of 10", id="too many"),
        pytest.param(said(idle=11, in_use=0), "idle is 11, of a pool of 10", id="too many idle"),
        pytest.param(said(idle=-1, in_use=0), "idle is -1", id="less than none"),
        pytest.param(said(idle=None, in_use=None), "", id="tells nothing"),
        pytest.param(said(idle="all", in_use=True), "", id="no numbers"),
        pytest.param({NODE: {"breaker": 7, "pool": "full"}}, "", id="junk"),
        pytest.param({NODE: 3}, "", id="no state"),
        pytest.param({}, "", id="empty"),
        pytest.param({"gutter:1": {}}, "", id="a node beside the ring"),
        pytest.param({"node1": {}}, "node1 is no node of this run", id="unknown node"),
    ],
)
def test_only_what_cannot_be_is_found(snapshot: dict[str, Any], wrong: str) -> None:
    """A clear statement that no moment could bear out; anything vaguer is left alone."""
    found = impossible(snapshot, {NODE, "gutter:1"}, 10)
    assert [line.removeprefix(f"{NODE}: ") for line in found] == ([wrong] if wrong else [])

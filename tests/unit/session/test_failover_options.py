"""--failover and --gutter-nodes: what reaches the client, and what is refused in one line."""

from __future__ import annotations

from argparse import Namespace

import pytest

from options.of_client import read_failover
from options.words import ConfigError


def read(failover: str, gutter_nodes: str = "", **more: str) -> tuple[str, object]:
    given = {"client": "memquake", "nodes": "", **more}
    return read_failover(Namespace(failover=failover, gutter_nodes=gutter_nodes, **given))


def test_what_the_client_is_told() -> None:
    """Addresses are read as those of --nodes are."""
    assert read("fail") == ("fail", ())
    assert read("rehash", client="mine:build") == ("rehash", ())
    assert read("gutter", "cache9:11211, [::1]:7") == (
        "gutter",
        (("cache9", 11211), ("::1", 7)),
    )


REFUSED = {
    "unknown": (("nowhere",), {}, "--failover 'nowhere' is unknown: give one of fail, rehash"),
    "no gutter": (("gutter",), {}, "needs --gutter-nodes"),
    "unused": (("rehash", "a:1"), {}, "unused by --failover rehash"),
    "unused by default": (("fail", "a:1"), {}, "unused by --failover fail"),
    "no address": (("gutter", "a:x"), {}, "--gutter-nodes item 'a:x' has no whole number"),
    "twice": (("gutter", "a:1,a:1"), {}, "--gutter-nodes names a:1 twice"),
    "a node itself": (("gutter", "a:1"), {"nodes": "b:1,a:1"}, "which is among --nodes"),
    "client without": (("rehash",), {"client": "pymemcache-hash"}, "does nothing for pymemcache"),
}


@pytest.mark.parametrize(("given", "more", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(given: tuple[str, ...], more: dict[str, str], line: str) -> None:
    """Each in a line that says what to give instead."""
    with pytest.raises(ConfigError, match=line) as refusal:
        read(*given, **more)
    assert "\n" not in str(refusal.value)

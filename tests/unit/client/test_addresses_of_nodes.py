"""Every form of a node's address, its label, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.addresses import NodeAddress, label_of, parse_address

FORMS = {
    "pair": (("cache1", 11211), NodeAddress(host="cache1", port=11211), "cache1:11211"),
    "list": (["cache1", 1], NodeAddress(host="cache1", port=1), "cache1:1"),
    "port as text": (("c", "65535"), NodeAddress(host="c", port=65535), "c:65535"),
    "text": ("10.0.0.1:1", NodeAddress(host="10.0.0.1", port=1), "10.0.0.1:1"),
    "host alone": ("cache", NodeAddress(host="cache", port=11211), "cache:11211"),
    "case is kept": ("Cache.A:7", NodeAddress(host="Cache.A", port=7), "Cache.A:7"),
    "rooted name": ("cache.a.:7", NodeAddress(host="cache.a.", port=7), "cache.a.:7"),
    "container": ("my_cache_1:7", NodeAddress(host="my_cache_1", port=7), "my_cache_1:7"),
    "v6 text": ("[::1]:7", NodeAddress(host="::1", port=7), "[::1]:7"),
    "v6 alone": ("[::1]", NodeAddress(host="::1", port=11211), "[::1]:11211"),
    "v6 pair": (("::1", 7), NodeAddress(host="::1", port=7), "[::1]:7"),
    "v6 in brackets": (("[::1]", 7), NodeAddress(host="::1", port=7), "[::1]:7"),
    "v6 with scope": (("fe80::1%lo", 7), NodeAddress(host="fe80::1%lo", port=7), "[fe80::1%lo]:7"),
    "path": ("/run/m.sock", NodeAddress(path="/run/m.sock"), "unix:/run/m.sock"),
    "unix path": ("unix:/run/m.sock", NodeAddress(path="/run/m.sock"), "unix:/run/m.sock"),
    "already read": (NodeAddress(host="c", port=1), NodeAddress(host="c", port=1), "c:1"),
}


@pytest.mark.parametrize(("form", "address", "label"), FORMS.values(), ids=FORMS.keys())
def test_accepted_forms(form: object, address: NodeAddress, label: str) -> None:
    """Each form gives one address, whose label gives the same address again."""
    assert parse_address(form) == address
    assert label_of(form) == str(address) == label
    assert parse_address(label) == address


REFUSED = {
    "nothing": ("", "names no host"),
    "no host": (":11211", "names no host"),
    "a space": ("a b:1", "names no host"),
    "no port": ("cache:", "whole number"),
    "port is a word": (("cache", "http"), "whole number"),
    "port is a truth": (("cache", True), "whole number"),
    "port 0": ("cache:0", "between 1 and 65535"),
    "port too large": (("cache", 65536), "between 1 and 65535"),
    "bare v6": ("::1", "brackets"),
    "bad v6": ("[::g]:1", "no .v6.:port"),
    "v6 with a tail": ("[::1]x", "no .v6.:port"),
    "open bracket": ("[::1", "no .v6.:port"),
    "relative path": ("unix:m.sock", "absolute path"),
    "line in path": ("/run\n/m.sock", "absolute path"),
    "long path": ("/" + "a" * 107, "at most 107 bytes"),
    "three parts": (("a", 1, 2), "no address"),
    "bytes": (b"a:1", "no address"),
    "none": (None, "no address"),
    "number": ((1, 2), "no address"),
}


@pytest.mark.parametrize(("form", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_forms(form: object, line: str) -> None:
    """What cannot be used is named in one line."""
    with pytest.raises(ValueError, match=line) as refusal:
        parse_address(form)
    assert "\n" not in str(refusal.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """No text ends in anything but an address or a ValueError."""
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(address.label) == address

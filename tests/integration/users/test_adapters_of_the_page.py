"""The adapters of docs/clients.md, as they stand there, keep the contract that the page states."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from typing import Any

import pytest

from memquake.paths import DOCS
from users.clients import ClientOptions, construct
from users.outcomes import of_write, split_batch

PAGE = DOCS / "clients.md"
OPTIONS = ClientOptions(pool_size=5, op_timeout=2.0, connect_timeout=1.0)
ADAPTERS = {"Sharded": True}  # class -> whether it has gets and cas
if importlib.util.find_spec("pylibmc") is not None:  # there are wheels for some machines alone
    ADAPTERS["InThreads"] = False


def source_of(name: str) -> str:
    """Return the block of the page that has this class."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if f"class {name}" in block]
    return str(found)


@pytest.mark.parametrize(("name", "has_cas"), ADAPTERS.items(), ids=list(ADAPTERS))
def test_an_adapter_of_the_page_keeps_the_contract(
    memcached: Callable[..., Any], name: str, has_cas: bool
) -> None:
    source = source_of(name)
    assert len([line for line in source.splitlines() if line]) <= 40
    space: dict[str, Any] = {}
    exec(source, space)
    nodes = [memcached() for _ in range(3)]
    client = construct(space[name], [node.address for node in nodes], OPTIONS)
    for op, arguments, result in (
        ("get", ("absent",), None),
        ("set", ("k", b"1", 60), True),
        ("get", ("k",), b"1"),
        ("add", ("k", b"2", 60), False),
        ("incr", ("k", 2), 3),
        ("decr", ("k", 1), 2),
        ("incr", ("absent", 1), None),
        ("delete", ("k",), True),
        ("delete", ("k",), False),
        ("add", ("k", b"3", 60), True),
    ):
        found = getattr(client, op)(*arguments)
        assert (found, type(found)) == (result, type(result)), (op, arguments)
        assert op == "get" or of_write(op, found).value != "bad_result"
    if has_cas:
        value, token = client.gets("k")
        assert value == b"3"
        assert client.cas("k", b"4", token, 60) is True
        assert client.cas("k", b"5", token, 60) is False
        assert client.gets("absent") == (None, None)
    keys = [f"many:{index}" for index in range(30)]
    for key in keys:
        assert client.set(key, key.encode(), 60) is True
    wanted = {key: key.encode() for key in keys}
    assert split_batch([*keys, "absent"], client.get_many([*keys, "absent"])) == (wanted, [])
    client.close()


def test_the_first_one_gives_what_healthy_nodes_have(memcached: Callable[..., Any]) -> None:
    space: dict[str, Any] = {}
    exec(source_of("Sharded"), space)
    nodes = [memcached() for _ in range(3)]
    client = construct(space["Sharded"], [node.address for node in nodes], OPTIONS)
    keys = [f"many:{index}" for index in range(30)]
    for key in keys:
        client.set(key, b"v", 60)
    nodes[0].stop()
    answer = split_batch(keys, client.get_many(keys))
    assert answer is not None
    values, failed = answer
    assert sorted([*values, *failed]) == sorted(keys)
    assert values
    assert failed
    client.close()

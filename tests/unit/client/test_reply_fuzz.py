"""Whatever bytes a server sends: a value or a typed error, in time, in little memory, in step.

Three ways to bytes: any at all (Hypothesis), right replies spoiled by a seeded mutator, and servers
that never stop. MEMQUAKE_FUZZ_EXAMPLES sets how many examples the first two take.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from client import ClientSettings, MemcacheClient, MemcacheClientError
from tests.unit.client.reply_fuzz import READ_S, VALUE, Clock, Scripted, answer, cut, spoil

EXAMPLES = int(os.environ.get("MEMQUAKE_FUZZ_EXAMPLES", "4000"))
OP_TIMEOUT_S = 0.5
CHUNK = 65_536
KEYS = ["key", "key2", "key3"]

Operation = Callable[[MemcacheClient], Any]
OPERATIONS: dict[str, Operation] = {
    "get": lambda cache: cache.get("key"),
    "gets": lambda cache: cache.gets("key"),
    "gat": lambda cache: cache.gat("key", 10),
    "set": lambda cache: cache.set("key", b"value"),
    "cas": lambda cache: cache.cas("key", b"value", b"7"),
    "delete": lambda cache: cache.delete("key"),
    "incr": lambda cache: cache.incr("key", 1),
    "touch": lambda cache: cache.touch("key", 10),
    "get_many": lambda cache: cache.get_many(KEYS),
    "gets_many": lambda cache: cache.gets_many(KEYS),
    "set_many": lambda cache: cache.set_many(dict.fromkeys(KEYS, b"value")),
    "delete_many": lambda cache: cache.delete_many(KEYS),
}
META_ONLY: dict[str, Operation] = {
    "get_or_lease": lambda cache: cache.get_or_lease("key", 10),
    "incr from": lambda cache: cache.incr("key", 1, initial=3),
}
CASES = [
    (name, call, protocol) for name, call in OPERATIONS.items() for protocol in ("text", "meta")
]
CASES += [(name, call, "meta") for name, call in META_ONLY.items()]
IDS = [f"{name} {protocol}" for name, _, protocol in CASES]


class Bench:
    """A client of one node, whose connections are scripted, and what became of them."""

    def __init__(
        self,
        protocol: str,
        script: Callable[[bytes], Iterable[bytes]],
        *,
        hangs_up: bool = False,
    ) -> None:
        self.clock = Clock()
        self.made: list[Scripted] = []
        settings = ClientSettings(protocol=protocol, op_timeout=OP_TIMEOUT_S, pool_size=2)
        self.cache = MemcacheClient([("127.0.0.1", 1)], settings, clock=self.clock)
        (self.node,) = self.cache._nodes.values()
        self.node.pool.on_open = None  # no background care: it would look at scripts
        self.script = script
        self.hangs_up = hangs_up
        self.node.pool._connect = self._connect

    def _connect(self, _: float) -> Scripted:
        self.made.append(
            Scripted(self.script, self.clock, op_timeout=OP_TIMEOUT_S, hangs_up=self.hangs_up)
        )
        return self.made[-1]

    def judge(self, call: Operation) -> Any:
        """Make the call and check every promise; give its result, or its error."""
        started = self.clock.now
        try:
            result = call(self.cache)
        except MemcacheClientError as error:
            result = error
        assert self.clock.now <= started + OP_TIMEOUT_S + 3 * READ_S, "past the deadline"
        pool = self.node.pool.snapshot()
        alive = [one for one in self.made if not one.is_closed]
        assert (pool["in_use"], pool["waiting"]) == (0, 0)
        assert pool["total"] == pool["idle"] == len(alive)
        if isinstance(result, MemcacheClientError):
            errors = [result]
        else:  # a batch tells of its failures by key
            errors = list(getattr(result, "failed", {}).values())
        if not all(error.in_step for error in errors):
            assert not alive, f"kept after {errors!r}"
        # What was kept is at a boundary: the next call gets its own reply.
        self.script = lambda request: [answer(request)]
        self.hangs_up = False
        for one in alive:
            one._script = self.script
        assert self.cache.get("key") == VALUE
        return result


@pytest.mark.parametrize(("name", "call", "protocol"), CASES, ids=IDS)
def test_right_replies_are_right(name: str, call: Operation, protocol: str) -> None:
    """Unspoiled, every operation has its result: the miniature server speaks the protocol."""
    result = Bench(protocol, lambda request: [answer(request)]).judge(call)
    assert not isinstance(result, MemcacheClientError), result
    assert not getattr(result, "failed", None)


@pytest.mark.parametrize(("name", "call", "protocol"), CASES, ids=IDS)
@hypothesis_settings(max_examples=max(EXAMPLES // 300, 1), deadline=None)
@given(pieces=st.lists(st.binary(min_size=1, max_size=60), max_size=8), hangs_up=st.booleans())
def test_any_bytes_keep_every_promise(
    name: str, call: Operation, protocol: str, pieces: list[bytes], hangs_up: bool
) -> None:
    """No bytes lead to anything but a result or an error of ours."""
    Bench(protocol, lambda _: list(pieces), hangs_up=hangs_up).judge(call)


@pytest.mark.parametrize(("name", "call", "protocol"), CASES, ids=IDS)
def test_spoiled_replies_keep_every_promise(name: str, call: Operation, protocol: str) -> None:
    """A right reply with something wrong in it is taken for what it is, or refused."""
    for number in range(max(EXAMPLES // len(CASES), 1)):
        rng = random.Random(f"{name} {protocol} {number}")
        sent: list[tuple[bytes, bytes]] = []

        def script(request: bytes) -> list[bytes]:
            sent.append((request, spoil(answer(request), rng)))  # noqa: B023 - used up below
            return cut(sent[-1][1], rng)  # noqa: B023

        bench = Bench(protocol, script, hangs_up=rng.random() < 0.5)
        try:
            result = bench.judge(call)
            if name == "get" and not isinstance(result, MemcacheClientError):
                assert says(*sent[0], result), (sent[0], result)
        except Exception as error:
            error.add_note(f"example {number} of {name} over {protocol}")
            raise


def says(request: bytes, reply: bytes, value: bytes | None) -> bool:
    """Say by another way of reading whether this reply to a get gives this value."""
    opaque = re.search(rb" O[0-9]+", request)
    if opaque is None:
        item = b"" if value is None else b"VALUE key [0-9]+ 0*%d\r\n" % len(value)
        rest = b"END\r\n" if value is None else re.escape(value) + b"\r\nEND\r\n"
    else:
        marks = b"(%b [WXZ ]*|%b)" % (opaque[0], opaque[0])
        item = b"(EN|VA 0+)" if value is None else b"VA 0*%d" % len(value)
        item += marks + b"\r\n"
        rest = b"" if value is None else re.escape(value) + b"\r\n"
    return re.match(item + rest, reply) is not None


ENDLESS_CASES = {
    f"{name} {protocol}": (call, protocol)
    for name, call, protocol in CASES
    if name in ("get", "gets", "set", "incr", "get_many", "set_many", "get_or_lease")
}
ENDLESS: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "a line without end": lambda _: itertools.repeat(b"x" * CHUNK),
    "digits without end": lambda _: itertools.repeat(b"9" * CHUNK),
    "a value of 10 GB": lambda _: itertools.chain(
        [b"VALUE key 0 10000000000\r\n"], itertools.repeat(b"x" * CHUNK)
    ),
    "a meta value of 10 GB": lambda request: itertools.chain(
        [answer(request).replace(b"VA 1 ", b"VA 10000000000 ")], itertools.repeat(b"x" * CHUNK)
    ),
    "empty lines": lambda _: itertools.repeat(b"\r\n" * 1_000),
    "the right reply again and again": lambda request: itertools.repeat(answer(request)),
    "one value again and again": lambda _: itertools.repeat(b"VALUE key 0 1\r\nx\r\n"),
    "a thousand values of one key": lambda _: itertools.repeat(b"VALUE key 0 1\r\nx\r\n" * 1_000),
    "a byte at a time": lambda request: (b"%c" % byte for byte in itertools.cycle(answer(request))),
}


@pytest.mark.parametrize("script", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize(("call", "protocol"), ENDLESS_CASES.values(), ids=ENDLESS_CASES.keys())
def test_endless_replies_end(
    call: Operation, protocol: str, script: Callable[[bytes], Iterable[bytes]]
) -> None:
    """A server that never stops is left at the deadline at the latest, with little in memory."""
    bench = Bench(protocol, script)
    started = bench.clock.now
    tracemalloc.start()
    try:
        call(bench.cache)
    except MemcacheClientError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert bench.clock.now <= started + OP_TIMEOUT_S + 3 * READ_S
    assert peak < 16 * CHUNK
    assert bench.node.pool.snapshot()["in_use"] == 0

"""A server whose replies are spoiled, cut up, late or missing, over real sockets.

The unit tests judge single replies on a clock of their own; here many callers share the pool, the
event loop waits, and connections are found stale or not. MEMQUAKE_FUZZ_EXAMPLES sets the calls.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import time
from collections import Counter
from typing import Any

import gevent
import pytest

from client import BreakerSettings, ClientSettings, MemcacheClient, MemcacheClientError
from tests.integration.client.bad_states.findings import attempt, crowd
from tests.integration.client.byte_server import ByteServer
from tests.unit.client.reply_fuzz import VALUE, answer, cut, spoil

CALLS = int(os.environ.get("MEMQUAKE_FUZZ_EXAMPLES", "4000")) // 8
CALLERS = 20
OP_TIMEOUT_S = 0.1
SLACK_S = 1.0  # of a busy machine
MEMORY_KB = 64_000
KEYS = [f"key{index}" for index in range(8)]
NEVER_OPENS = BreakerSettings(consecutive_failures=10**9, minimum_calls=10**9)


class Liar:
    """Answers every request wrongly in some way, until told to be honest."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.is_honest = False
        self.lies = 0

    def __call__(self, connection: socket.socket) -> None:
        while request := connection.recv(65_536):
            right = answer(request)
            if self.is_honest or request == b"mn\r\n":
                connection.sendall(right)
                continue
            self.lies += 1
            for piece in cut(spoil(right, self._rng), self._rng):
                connection.sendall(piece)
                if self._rng.random() < 0.2:
                    gevent.sleep(0.001)
            if self._rng.random() < 0.2:
                return


def call(cache: MemcacheClient, rng: random.Random) -> Any:
    """Make one call of any kind."""
    key = rng.choice(KEYS)
    return rng.choice(
        (
            lambda: cache.get(key),
            lambda: cache.gets(key),
            lambda: cache.set(key, b"value"),
            lambda: cache.incr(key, 1),
            lambda: cache.delete(key),
            lambda: cache.get_many(KEYS),
            lambda: cache.set_many(dict.fromkeys(KEYS, b"value")),
        )
    )()


@pytest.mark.parametrize("protocol", ["text", "meta", "auto"])
def test_a_lying_server_costs_errors_and_nothing_else(protocol: str) -> None:
    """Typed errors within the deadline, no slot or memory lost, and right again afterwards."""
    liar = Liar(seed=7)
    server = ByteServer(liar)
    settings = ClientSettings(
        protocol=protocol,
        pool_size=CALLERS // 2,
        op_timeout=OP_TIMEOUT_S,
        breaker=NEVER_OPENS,
    )
    cache = MemcacheClient([server.address], settings)
    errors: Counter[str] = Counter()
    longest = 0.0
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def caller(me: int) -> None:
        nonlocal longest
        rng = random.Random(me)
        for _ in range(max(CALLS // CALLERS, 1)):
            started = time.monotonic()
            try:
                call(cache, rng)
            except MemcacheClientError as error:
                errors[type(error).__name__] += 1
            longest = max(longest, time.monotonic() - started)

    try:
        crowd(caller, CALLERS, within_s=120.0)
        liar.is_honest = True
        (node,) = cache.snapshot().values()
        assert (node["pool"]["in_use"], node["pool"]["waiting"]) == (0, 0)
        time.sleep(0.05)  # the last lies arrive, and connections that hold them are stale
        after = [attempt(cache.get, key) for key in KEYS]
    finally:
        cache.close()
        server.stop()
    assert liar.lies > 100
    assert errors["ProtocolError"] > 10
    assert longest < OP_TIMEOUT_S + SLACK_S
    assert [one.result for one in after] == [VALUE] * len(KEYS), after
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < MEMORY_KB

"""The breaker between the client and real servers: what nodes and callers see of it."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from client import BreakerOpen, BreakerSettings, MemcacheClient, MemcacheClientError, build
from client.breaker import Breaker
from tests.integration.client.bad_states.lab import Lab
from tests.integration.client.twins import swapped

MakeClient = Callable[..., MemcacheClient]
Start = Callable[..., Any]

PROBES = 2
OP_TIMEOUT_S = 0.4
HASTY = BreakerSettings(
    consecutive_failures=5, open_s=0.1, open_jitter=0.25, open_max_s=0.2, half_open_probes=PROBES
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give three nodes behind a Toxiproxy."""
    lab = Lab()
    try:
        yield lab
    finally:
        lab.stop()


class Silence:
    """A server that answers until it is told to fall silent, and counts who waits for it."""

    def __init__(self) -> None:
        self.is_silent = False
        self.waiting = 0
        self.most_waiting = 0

    def __call__(self, connection: socket.socket) -> None:
        while connection.recv(4096):
            if not self.is_silent:
                connection.sendall(b"END\r\n")
                continue
            gevent.sleep(0.01)  # a caller that hung up before this one came is seen to have gone
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
            try:
                connection.recv(4096)  # the client hangs up when it has waited long enough
            finally:
                self.waiting -= 1
            return


class Callers:
    """Greenlets that call without a pause worth mentioning, and can be killed at random."""

    def __init__(self, cache: MemcacheClient, count: int = 20) -> None:
        self.outcomes: dict[str, int] = {}
        self.killed = 0
        self._cache = cache
        self._all = [gevent.spawn(self._call) for _ in range(count)]

    def _call(self) -> None:
        while True:
            try:
                self._cache.get("k")
                outcome = "well"
            except MemcacheClientError as error:
                outcome = error.outcome.value
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
            gevent.sleep(0.002)

    def kill_one(self, rng: random.Random) -> None:
        index = rng.randrange(len(self._all))
        self._all[index].kill()
        self.killed += 1
        self._all[index] = gevent.spawn(self._call)

    def stop(self) -> None:
        gevent.killall(self._all)


def is_back(cache: MemcacheClient, *keys: str) -> bool:
    """Call once and say whether every breaker is closed."""
    for key in keys or ("k",):
        with contextlib.suppress(MemcacheClientError):
            cache.get(key)
    return {node["breaker"] for node in cache.snapshot().values()} == {"closed"}


def state(cache: MemcacheClient) -> dict[str, Any]:
    (node,) = cache.snapshot().values()
    return node


def count_probes(byte_server: Start, client: MakeClient, bounded: Any) -> int:
    """Give the most requests that a silent server had to answer at once while half-open."""
    silence = Silence()
    cache = client(
        byte_server(silence).address, op_timeout=OP_TIMEOUT_S, breaker=HASTY, protocol="text"
    )
    callers = Callers(cache)
    try:
        bounded(lambda: callers.outcomes.get("well", 0) > 20, within_s=10)
        silence.is_silent = True
        bounded(lambda: state(cache)["breaker"] != "closed", within_s=10)
        # Those that were under way when it opened; a twin that never lets go stays as it is.
        patience = time.monotonic() + 3 * OP_TIMEOUT_S
        while silence.waiting > PROBES and time.monotonic() < patience:
            gevent.sleep(0.01)
        silence.most_waiting = 0
        admitted = state(cache)["probes"]
        bounded(lambda: state(cache)["probes"] >= admitted + 6 * PROBES, within_s=30)
        gevent.sleep(OP_TIMEOUT_S)  # the last of them has arrived by then
        return silence.most_waiting
    finally:
        callers.stop()


def test_never_more_probes_than_allowed_at_a_silent_server(
    byte_server: Start, client: MakeClient, bounded: Any
) -> None:
    """20 callers, a node that accepts and says nothing: it has at most N requests at a time."""
    assert 1 <= count_probes(byte_server, client, bounded) <= PROBES


class AdmitsEverybody(Breaker):
    """As pybreaker's `calling`: half-open, everybody may try."""

    def _acquire_probe(self) -> int:
        try:
            return super()._acquire_probe()
        except BreakerOpen:
            if self.status != "half_open":
                raise
            self._serial += 1
            self.probes_admitted += 1
            self._probes[self._serial] = self._time() + self._lease_s
            return self._serial


def test_the_silent_server_sees_a_stampede_of_a_twin(
    byte_server: Start, client: MakeClient, bounded: Any
) -> None:
    """The same count, of a breaker that does not limit its probes, is too high."""
    with swapped(Breaker, AdmitsEverybody):
        assert count_probes(byte_server, client, bounded) > PROBES


def test_killed_probes_wedge_nothing(byte_server: Start, client: MakeClient, bounded: Any) -> None:
    """Callers are killed all the while, probes among them; the node answers and is back."""
    silence, rng = Silence(), random.Random(4)
    cache = client(
        byte_server(silence).address, op_timeout=OP_TIMEOUT_S, breaker=HASTY, protocol="text"
    )
    callers = Callers(cache)
    try:
        silence.is_silent = True
        bounded(lambda: state(cache)["opened"] >= 1, within_s=10)
        for _ in range(200):
            callers.kill_one(rng)
            gevent.sleep(0.01)
        silence.is_silent = False
        well = callers.outcomes.get("well", 0)
        bounded(lambda: state(cache)["breaker"] == "closed", within_s=10)
        bounded(lambda: callers.outcomes.get("well", 0) > well + 50, within_s=10)
        assert callers.killed == 200
    finally:
        callers.stop()
    bounded(lambda: state(cache)["pool"]["in_use"] == 0, within_s=5)


def test_a_slow_node_opens_it_only_when_asked_to(lab: Lab, bounded: Any) -> None:
    """Answers that come late are answers by default; with `slow_call_s` they open the breaker."""
    lab.fresh()
    node = lab.nodes[0]
    minds = {"slow_call_s": 0.1, "slow_call_rate": 0.5, "minimum_calls": 5, "open_s": 0.3}
    for breaker, opens in (({"minimum_calls": 5}, False), (minds, True)):
        with lab.client(build, [node], breaker=breaker) as cache:
            cache.set("k", b"v")
            lab.slow(node, 200)
            try:
                for _ in range(12):
                    try:
                        assert cache.get("k") == b"v"
                    except BreakerOpen:
                        break
                moves = dict(state(cache)["transitions"])
            finally:
                lab.slow(node, 2)
            assert bool(moves.get("closed>open")) == opens
            assert not state(cache)["failures"].get("timeout")
            bounded(lambda cache=cache: is_back(cache), within_s=10)


def test_what_a_node_answers_is_no_failure_unless_counted(lab: Lab) -> None:
    """`incr` of a text is answered CLIENT_ERROR; only who counts it as a failure opens on it."""
    lab.fresh()
    node = lab.nodes[0]
    for counted, opens in (([], False), (["client_error"], True)):
        breaker = {"consecutive_failures": 3, "counted": counted}
        with lab.client(build, [node], breaker=breaker) as cache:
            cache.set("k", b"no number")
            for _ in range(10):
                with pytest.raises(MemcacheClientError):
                    cache.incr("k", 1)
            assert (state(cache)["breaker"] == "open") == opens
            assert state(cache)["failures"].get("client_error") == (3 if opens else 10)


def test_the_guard_keeps_calls_going_when_all_nodes_are_out(lab: Lab, bounded: Any) -> None:
    """All three refuse: two open, the third goes on being tried; healed, all are back."""
    lab.fresh()
    breaker = {"consecutive_failures": 3, "open_s": 0.3, "open_max_s": 0.5}
    with lab.client(build, breaker=breaker, guard_share=0.4) as cache:
        keys = {cache.node_for(f"key{index}"): f"key{index}" for index in range(200)}
        assert len(keys) == 3
        try:
            for node in lab.nodes:
                lab.down(node)
            for _ in range(10):
                for key in keys.values():
                    with pytest.raises(MemcacheClientError):
                        cache.get(key)
            said = cache.snapshot().values()
            refused = [node["opens_refused"] for node in said]
            assert sorted(bool(node["opened"]) for node in said) == [False, True, True]
            (guarded,) = (node for node in said if not node["opened"])
            assert guarded["breaker"] == "closed"
            assert guarded["requests"] == sum(guarded["failures"].values()) >= 10
            assert not guarded["failures"].get("breaker_open")
            assert sum(refused) == guarded["opens_refused"] > 0
        finally:
            for node in lab.nodes:
                lab.up(node)
        bounded(lambda: is_back(cache, *keys.values()), within_s=10)


def test_back_in_service_soon_after_the_node_is(lab: Lab, bounded: Any) -> None:
    """Default profile: a black hole opens it, and heal to closed takes one open time at most."""
    lab.fresh()
    node = lab.nodes[0]
    with lab.client(build, [node], op_timeout=0.5) as cache:
        cache.set("k", b"v")
        callers = Callers(cache)
        try:
            lab.harm(node, "timeout", timeout=0)
            bounded(lambda: state(cache)["breaker"] == "open", within_s=10)
            bounded(lambda: state(cache)["probes"] >= 2, within_s=20)
            lab.heal(node)
            bounded(lambda: state(cache)["breaker"] == "closed", within_s=10)
        finally:
            callers.stop()
            lab.heal(node)
        assert set(state(cache)["transitions"]) <= {
            *("closed>open", "open>half_open", "half_open>open", "half_open>closed")
        }
        assert "breaker_open" in callers.outcomes

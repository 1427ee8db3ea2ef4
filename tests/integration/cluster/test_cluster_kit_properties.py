"""Whatever sequence of faults a cluster goes through: no wrong value, no untyped error, all back.

Hypothesis draws cluster sizes of 3 to 6, sequences of faults and payloads of 1 to 1,023 bytes or
over 1 MB; a failure is shrunk, and printed with what repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from client import BreakerSettings, ClientSettings, MemcacheClient, MemcacheClientError
from cluster.kit import ClusterKit

EXAMPLES = 100 * int(os.environ.get("ROUNDS", "1"))
TOO_LARGE = 1_048_576  # a memcached item of this size does not fit into its page
SETTINGS = ClientSettings(
    op_timeout=0.15, connect_timeout=0.15, breaker=BreakerSettings(open_s=0.1)
)
FAULTS: dict[str, Callable[[ClusterKit, str], None]] = {
    "kill": lambda kit, name: kit.kill(name),
    "pause": lambda kit, name: kit.pause(name),
    "partition": lambda kit, name: kit.partition(name),
    "partition to": lambda kit, name: kit.partition(name, direction="to"),
    "partition from": lambda kit, name: kit.partition(name, direction="from"),
    "slow": lambda kit, name: kit.add_latency(name, seconds=0.03),
    "heal": lambda kit, name: kit.heal(name),
}

steps = st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, 5)), max_size=6)
payloads = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=1023),
        st.integers(0, 3).map(lambda more: b"x" * (TOO_LARGE + more)),
    ),
    min_size=1,
    max_size=4,
)


def check_sequence(size: int, sequence: list[tuple[str, int]], values: list[bytes]) -> None:
    """Write and read through every step, then mend and see that all is as it was."""
    with ClusterKit(size) as kit:
        client = MemcacheClient(kit.addresses, SETTINGS)
        possible: dict[str, set[bytes]] = {}
        try:
            write_and_read(client, values, possible)
            for what, index in sequence:
                name = kit.names[index % size]
                note(f"{what} {name}")
                FAULTS[what](kit, name)
                write_and_read(client, values, possible)
            kit.heal()
            kit.wait_until_alive()
            kit.wait_for_consensus([lambda: served(client, kit)], kit.names, within_s=10)
            write_and_read(client, values, possible)
        finally:
            client.close()


def write_and_read(
    client: MemcacheClient, values: list[bytes], possible: dict[str, set[bytes]]
) -> None:
    for index in range(12):
        key, value = f"key{index}", b"%d:" % index + values[index % len(values)]
        possible.setdefault(key, set()).add(value)
        try:
            client.set(key, value)
        except MemcacheClientError as why:
            note(f"set {key}: {why}")
        try:
            found = client.get(key)
        except MemcacheClientError as why:
            note(f"get {key}: {why}")
            continue
        assert found is None or found in possible[key], f"{key} has a value of another key"


def served(client: MemcacheClient, kit: ClusterKit) -> set[str]:
    """Give the nodes on which a fresh write is read back."""
    live = set()
    for index in range(200):
        key = f"probe{index}"
        name = kit.name_of(client.node_for(key))
        if name in live:
            continue
        try:
            if client.set(key, b"1") is True and client.get(key) == b"1":
                live.add(name)
        except MemcacheClientError:
            continue
    return live


@given(size=st.integers(3, 6), sequence=steps, values=payloads)
@settings(
    max_examples=3, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
def test_a_few_sequences(size: int, sequence: list[tuple[str, int]], values: list[bytes]) -> None:
    """A handful in every test run."""
    check_sequence(size, sequence, values)


@pytest.mark.prove
@pytest.mark.light
@given(size=st.integers(3, 6), sequence=steps, values=payloads)
@settings(
    max_examples=EXAMPLES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
def test_many_sequences(size: int, sequence: list[tuple[str, int]], values: list[bytes]) -> None:
    """A hundred, times ROUNDS."""
    check_sequence(size, sequence, values)

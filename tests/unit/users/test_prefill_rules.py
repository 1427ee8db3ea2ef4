"""Prefilling insists a little, then says in one line why the run cannot start."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gevent
import pytest

from users.prefill import ATTEMPTS, BATCH, Item, Prefill, PrefillError


def items(count: int, ttl_s: int = 60) -> list[Item]:
    return [Item(f"k{i}", b"v", ttl_s) for i in range(count)]


@pytest.fixture
def prefill(stage: Any) -> Prefill:
    """Give a prefill of a run without nodes, which sleeps in no time."""
    return Prefill(stage.load, sleep=lambda _: None)


def test_keys_go_in_batches_of_one_ttl(stage: Any, prefill: Prefill) -> None:
    calls: list[tuple[int, int]] = []
    stage.client.override(set_many=lambda batch, ttl: calls.append((len(batch), ttl)))
    prefill.store([*items(70), *items(70, 30)])
    assert all(size <= BATCH for size, _ in calls)
    assert {ttl: sum(size for size, of in calls if of == ttl) for ttl in (30, 60)} == {
        30: 70,
        60: 70,
    }
    assert [ttl for _, ttl in calls] == sorted(ttl for _, ttl in calls)


@pytest.mark.parametrize("broken", [None, RuntimeError(), SystemExit()], ids=repr)
def test_without_a_working_set_many_keys_are_set_one_by_one(
    stage: Any, prefill: Prefill, broken: BaseException | None
) -> None:
    if broken is not None:

        def raise_it(*_: Any) -> Any:
            raise broken

        stage.client.override(set_many=raise_it)
    prefill.store(items(3))
    assert set(stage.client.data) == {"k0", "k1", "k2"}


def test_only_what_failed_is_tried_again(stage: Any, prefill: Prefill) -> None:
    tries: list[list[str]] = []

    def set_many(batch: dict[str, bytes], _: int) -> list[str]:
        tries.append(list(batch))
        return ["k1"] if len(tries) < 3 else []

    stage.client.override(set_many=set_many)
    prefill.store(items(3))
    assert tries == [["k0", "k1", "k2"], ["k1"], ["k1"]]


def test_a_client_that_never_stores_ends_in_one_line(stage: Any, prefill: Prefill) -> None:
    tries = []

    def fail(*_: Any) -> Any:
        tries.append(1)
        raise TimeoutError("slow\nnode")

    stage.client.override(set=fail)
    with pytest.raises(PrefillError, match="TimeoutError"):
        prefill.store(items(1))
    assert len(tries) == ATTEMPTS


def test_a_kill_passes_through(stage: Any, prefill: Prefill) -> None:
    def kill(*_: Any) -> Any:
        raise gevent.GreenletExit

    stage.client.override(set_many=kill)
    with pytest.raises(gevent.GreenletExit):
        prefill.store(items(1))


def test_when_the_first_user_fails_the_next_one_stores_the_shared_keys(
    stage: Any, prefill: Prefill
) -> None:
    def fail() -> list[Item]:
        raise PrefillError

    with suppress(PrefillError):
        prefill.store_shared("hot", fail)
    prefill.store_shared("hot", lambda: items(2))
    prefill.store_shared("hot", lambda: pytest.fail("stored twice"))
    assert set(stage.client.data) == {"k0", "k1"}


def test_a_fault_that_is_in_the_way_is_waited_for(stage: Any, prefill: Prefill) -> None:
    """A worker that joins while a node is dead prepares its users once the node is back."""
    faults = stage.load.faults
    faults.note(on=True)
    tries = []

    def set_many(batch: dict[str, bytes], _: int) -> list[str]:
        tries.append(1)
        return list(batch) if faults.is_on else []

    def fail(*_: Any) -> Any:
        raise TimeoutError

    stage.client.override(set_many=set_many, set=fail)
    storing = gevent.spawn(prefill.store, items(1))
    gevent.sleep(0)
    assert len(tries) == 1, "not tried again and again while the node cannot take it"
    assert not storing.ready()
    faults.note(on=False)
    storing.get(timeout=5)
    assert len(tries) == 2


def test_a_fault_meanwhile_is_no_failure_of_the_client(stage: Any, prefill: Prefill) -> None:
    """One that begins and ends while keys are stored counts as well."""
    faults, tries = stage.load.faults, []

    def set_once(*_: Any) -> Any:
        if not tries:
            faults.note(on=True)
            faults.note(on=False)
        tries.append(1)
        return len(tries) > 1

    stage.client.override(set_many=lambda *_: pytest.fail("no such method"), set=set_once)
    prefill.store(items(1))
    assert len(tries) == 2


def test_with_every_node_up_it_is_the_client(stage: Any, prefill: Prefill) -> None:
    """Faults of earlier excuse nothing."""
    stage.load.faults.note(on=True)
    stage.load.faults.note(on=False)
    stage.client.override(set_many=lambda batch, _: list(batch))
    with pytest.raises(PrefillError, match="although every node is up"):
        prefill.store(items(1))

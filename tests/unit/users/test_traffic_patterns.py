"""Each kind of user does what its name says, at the starts that its schedule gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import gevent
import pytest
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING

from client.items import Item
from users import lifecycle
from users.base import FAILED, MemcacheUser
from users.hot_key import HotKeyUser
from users.mixed import MixedUser
from users.multi_get import MultiGetUser
from users.pacing import Schedule
from users.prefill import Prefill
from users.stampede import StampedeUser
from users.steady import LONG_TTL_S

KINDS = [MixedUser, HotKeyUser, MultiGetUser, StampedeUser]


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the items of a prefill instead of storing them."""
    items: list[Any] = []
    monkeypatch.setattr(Prefill, "store", lambda _, more: items.extend(more))
    return items


@pytest.mark.parametrize("kind", [MemcacheUser, lifecycle.PacedUser])
def test_bases_are_abstract_so_that_locust_spawns_none(kind: Any) -> None:
    assert kind.abstract is True
    assert all(user.abstract is False for user in KINDS)


def test_kinds_and_weights() -> None:
    assert [(user.kind, user.weight) for user in KINDS] == [
        ("mixed", 6),
        ("hot_key", 2),
        ("multi_get", 1),
        ("stampede", 1),
    ]


def counted(stage: Any, kind: Any, stored: list[Any], times: int) -> Counter[str]:
    user = stage.user(kind)
    user.prepare()
    stage.client.data.update({item.key: item.value for item in stored if item.stay})
    for _ in range(times):
        user.iterate()
    return Counter(operation.op for operation in stage.recorder.operations)


def test_mixed_user_does_its_mix_on_hot_and_own_keys(stage: Any, stored: list[Any]) -> None:
    stage.load.expected_rate = 40.0
    ops = counted(stage, MixedUser, stored, 4000)
    assert {op: round(count / 400) for op, count in ops.items()} == pytest.approx(
        {"get": 6, "set": 3, "delete": 0.5, "incr": 0.5}, abs=0.6
    )
    assert len(stored) == 10 + 10 + 1000
    assert 100 < sum(not item.stay for item in stored) < 900
    assert not stage.recorder.wrong
    assert not stage.recorder.findings


def test_mixed_user_that_only_reads_has_all_keys_for_the_whole_run(
    stage: Any, stored: list[Any]
) -> None:
    stage.load.settings = type(stage.load.settings)(mix={"get": 100})
    assert set(counted(stage, MixedUser, stored, 500)) == {"get"}
    assert all(item.stay and item.ttl_s == LONG_TTL_S for item in stored)
    assert all(operation.outcome == "hit" for operation in stage.recorder.operations)


def test_a_counter_that_is_gone_begins_again(stage: Any, stored: list[Any]) -> None:
    stage.load.settings = type(stage.load.settings)(mix={"incr": 1})
    user = stage.user(MixedUser)
    user.prepare()
    user.iterate()
    assert [operation.op for operation in stage.recorder.operations] == ["incr", "add"]


def test_hot_key_user_reads_one_key_far_more_than_the_next(stage: Any, stored: list[Any]) -> None:
    ops = counted(stage, HotKeyUser, stored, 2000)
    assert ops["get"] / 2000 == pytest.approx(0.95, abs=0.02)
    assert len(stored) == 1000


def test_multi_get_user_reads_batches(stage: Any, stored: list[Any]) -> None:
    ops = counted(stage, MultiGetUser, stored, 500)
    assert ops["get_many"] / 500 == pytest.approx(0.95, abs=0.03)
    assert len(stored) == 2000


def test_shared_keys_are_stored_once_in_a_process(stage: Any, stored: list[Any]) -> None:
    for _ in range(3):
        stage.user(HotKeyUser).prepare()
    assert len(stored) == 1000


def test_stampede_user_asks_the_origin_only_on_a_miss(stage: Any, stored: list[Any]) -> None:
    user = stage.user(StampedeUser)
    user.prepare()
    user.iterate()
    user.iterate()
    assert stage.load.origin.take() == (1, 1)
    assert [operation.op for operation in stage.recorder.operations] == ["get", "set", "get"]


def test_where_the_cache_fails_the_origin_answers_and_every_call_is_recorded(
    stage: Any, stored: list[Any]
) -> None:
    def fail(*_: Any) -> Any:
        raise TimeoutError

    stage.client.override(get=fail, set=fail)
    user = stage.user(StampedeUser)
    user.prepare()
    user.iterate()
    assert stage.load.origin.take() == (1, 1)
    assert {operation.outcome for operation in stage.recorder.operations} == {"timeout"}


def test_a_protection_under_way_when_the_run_stops_calls_the_client_no_more(
    stage: Any, stored: list[Any]
) -> None:
    user = stage.user(StampedeUser)
    user.prepare()
    stage.load.origin._sleep = lambda _: stage.load.stop()
    with pytest.raises(StopUser):
        user.iterate()
    assert [operation.op for operation in stage.recorder.operations] == ["get"]


def test_under_the_lock_one_of_many_asks_the_origin(stage: Any, stored: list[Any]) -> None:
    stage.load.settings = type(stage.load.settings)(protection="lock")
    user = stage.user(StampedeUser)
    user.prepare()
    user.iterate()
    ops = [operation.op for operation in stage.recorder.operations]
    assert ops == ["get", "add", "get", "set", "delete"]


def test_under_a_lease_every_call_is_recorded_and_every_hit_verified(
    stage: Any, stored: list[Any]
) -> None:
    """The winner stores by its token; a value that is not right is found out here too."""
    items = iter([Item(value=None, flags=0, cas=b"7", won=True)])
    tokens: list[bytes] = []

    def cas(key: str, value: bytes, cas: bytes, expire: int) -> bool:
        tokens.append(cas)
        stored_value.append(value)
        return True

    stored_value: list[bytes] = []
    stage.load.settings = type(stage.load.settings)(protection="lease")
    stage.client.override(get_or_lease=lambda *_: next(items), cas=cas)
    user = stage.user(StampedeUser)
    user.prepare()
    user.iterate()
    assert tokens == [b"7"]
    items = iter([Item(value=value, flags=0, cas=b"8") for value in (*stored_value, b"wrong")])
    user.iterate()
    user.iterate()
    told = [(operation.op, operation.outcome) for operation in stage.recorder.operations]
    assert told == [
        ("get_or_lease", "miss"),
        ("cas", "stored"),
        ("get_or_lease", "hit"),
        ("get_or_lease", "wrong_value"),
    ]


def test_a_client_without_leases_locks(stage: Any, stored: list[Any]) -> None:
    """A run with --protection lease measures any client by the protection it can have."""
    stage.load.settings = type(stage.load.settings)(protection="lease")
    user = stage.user(StampedeUser)
    user.prepare()
    user.iterate()
    ops = [operation.op for operation in stage.recorder.operations]
    assert ops == ["get", "add", "get", "set", "delete"]


# Pacing ----------------------------------------------------------------------------------------


class Ticking(MemcacheUser):
    kind = "ticking"

    def iterate(self) -> None:
        self.get("k")


@pytest.fixture
def ticking(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a running user whose sleeps move the clock."""
    user = stage.user(Ticking)
    user._state = LOCUST_STATE_RUNNING
    stage.slept = []

    def sleep(seconds: float) -> None:
        stage.slept.append(seconds)
        stage.clock.now += seconds

    monkeypatch.setattr(gevent, "sleep", sleep)
    return user


def schedule_for(stage: Any, rate: float) -> Schedule:
    schedule = Schedule(rate, clock=stage.clock)
    schedule.start(stage.clock.now)
    stage.load.schedules["Ticking"] = schedule
    stage.recorder.paced = True
    return schedule


def test_a_paced_user_starts_each_iteration_at_its_slot(stage: Any, ticking: Any) -> None:
    schedule_for(stage, 10.0)
    ticking.traffic()
    starts = [operation.started - 1000.0 for operation in stage.recorder.operations]
    assert starts == pytest.approx([i / 10 for i in range(50)])
    assert stage.recorder.sent == [operation.started for operation in stage.recorder.operations]


def test_an_overdue_slot_is_sent_at_once_and_measured_from_its_intended_start(
    stage: Any, ticking: Any
) -> None:
    schedule_for(stage, 10.0)
    stage.clock.now += 3.0
    ticking.traffic()
    assert stage.recorder.operations[0].response_s == pytest.approx(3.0)
    assert stage.recorder.operations[0].service_s == 0.0


def test_a_closed_loop_user_never_sleeps(stage: Any, ticking: Any) -> None:
    ticking.traffic()
    assert len(stage.recorder.operations) == 50
    assert stage.slept == []


def test_a_paced_user_without_a_schedule_waits_for_one(stage: Any, ticking: Any) -> None:
    stage.recorder.paced = True
    ticking.traffic()
    assert stage.recorder.operations == []


def test_a_user_that_is_asleep_when_the_run_stops_sends_nothing_more(
    stage: Any, ticking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule_for(stage, 1.0)
    ticking.traffic()
    before = len(stage.recorder.operations)

    def stop(seconds: float) -> None:
        stage.clock.now += seconds
        stage.load.stop()

    monkeypatch.setattr(gevent, "sleep", stop)
    ticking.traffic()
    assert len(stage.recorder.operations) == before


def test_a_user_killed_in_its_sleep_gives_its_slot_back(
    stage: Any, ticking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = schedule_for(stage, 4.0)
    schedule.take(stage.clock.now)

    def kill(_: float) -> None:
        raise gevent.GreenletExit

    monkeypatch.setattr(gevent, "sleep", kill)
    with pytest.raises(gevent.GreenletExit):
        ticking.traffic()
    assert schedule.take(stage.clock.now) == 1000.25


def test_a_user_that_leaves_is_out_of_all_counts(stage: Any, ticking: Any) -> None:
    stage.load.ready()
    assert stage.load.users["Ticking"] == 1
    ticking.on_stop()
    assert (stage.load.users["Ticking"], stage.load.ready_count) == (0, 0)


def test_the_first_problem_is_kept_in_one_line(stage: Any) -> None:
    stage.load.fail("first\nof two lines")
    stage.load.fail("second")
    assert stage.load.problem == "first of two lines"


def test_failed_is_false_and_says_so() -> None:
    assert not FAILED
    assert repr(FAILED) == "FAILED"

"""The ledger's own traffic: it rides along, remembers what was acknowledged, and finds who lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from memquake.limits import LIMITS
from session.riders import RIDERS_A_PROCESS
from users import ledger
from users.base import FAILED
from users.ledger import CHAINS, COUNTERS, MIX, SETS, SHORT_LIVED, LedgerUser
from users.mixed import MixedUser
from users.prefill import Prefill
from users.short_lived import AGAIN_AFTER_S, GONE_AFTER_S
from users.values import make

ITERATIONS = 600


@pytest.fixture
def stage(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a user's surroundings whose client has all operations and whose prefill is a dict."""
    client = stage.client
    versions: Counter[str] = Counter()
    plain = client.set

    def set_(key: str, value: bytes, expire: int = 0) -> bool:
        versions[key] += 1
        return bool(plain(key, value, expire))

    def gets(key: str) -> Any:
        return client.data.get(key), versions[key]

    def cas(key: str, value: bytes, token: Any, expire: int = 0) -> Any:
        if key not in client.data:
            return None
        return versions[key] == token and set_(key, value)

    client.override(set=set_, gets=gets, cas=cas, decr=lambda key, by: client.incr(key, -by))
    monkeypatch.setattr(
        Prefill, "store", lambda _, items: [set_(i.key, i.value) for i in items if i.stay]
    )
    stage.recorder.paced = True
    return stage


def ride(stage: Any, times: int = ITERATIONS) -> LedgerUser:
    """Let a ledger user make some iterations, each a moment after the other."""
    user = stage.user(LedgerUser)
    user.prepare()
    for _ in range(times):
        stage.clock.now += 0.02
        user.iterate()
    return user


def report(stage: Any) -> dict[str, Any]:
    found: dict[str, Any] = stage.load.accounts.finish(0.0)
    return found


def test_a_good_client_leaves_nothing_to_find(stage: Any) -> None:
    """Every kind of operation is made and measured, and all of them agree."""
    ride(stage)
    told = report(stage)
    assert (told["stale"], told["wrong_updates"], told["evidence"]) == (0, 0, [])
    assert told["reads"] > 1_000
    assert told["writes"] > 100
    assert told["updates"] > 100
    ops = Counter(operation.op for operation in stage.recorder.operations)
    assert set(ops) == {"get", "gets", "get_many", "set", "cas", "add", "incr", "decr"}
    assert not stage.recorder.wrong
    assert not stage.recorder.findings
    assert {event["request_type"] for event in stage.events} == {"ledger"}


def test_a_short_run_at_a_low_rate_has_enough_of_everything(stage: Any) -> None:
    """8 s at 40 iterations a second give what the checks need at least."""
    ride(stage, 320)
    told = report(stage)
    assert told["reads"] >= 1_000
    assert told["writes"] >= 100
    assert told["updates"] >= 100
    assert sum(MIX.values()) == 100


def test_a_short_run_at_a_low_rate_looks_for_enough_keys_that_must_be_gone(stage: Any) -> None:
    """Eight users with 40 iterations a second together, for 8 s."""
    users = [stage.user(LedgerUser) for _ in range(RIDERS_A_PROCESS)]
    for user in users:
        user.prepare()
    for _ in range(320 // RIDERS_A_PROCESS):
        for user in users:
            stage.clock.now += 0.025
            user.iterate()
    told = report(stage)
    assert told["outlived"] == 0
    assert told["expired"] >= LIMITS["ttl_kept"].needed


def test_it_rides_along_without_being_counted(stage: Any) -> None:
    """Neither Locust nor the number of users knows of it; its calls count like all others."""
    stage.user(MixedUser)
    stage.user(LedgerUser)
    assert LedgerUser.abstract
    assert stage.load.user_count == 1
    assert dict(stage.load.users) == {"MixedUser": 1, "LedgerUser": 1}


def test_a_client_without_cas_and_decr_is_spared_them(stage: Any) -> None:
    """What a stranger's client may lack is done without."""
    for name in ("gets", "cas", "decr"):
        delattr(stage.client, name)
    user = ride(stage)
    assert (len(user._sets), user._chains, len(user._up), user._down) == (SETS, [], COUNTERS, [])
    ops = Counter(operation.op for operation in stage.recorder.operations)
    assert set(ops) == {"get", "get_many", "set", "add", "incr"}
    assert report(stage)["updates"] > 100


def spoil(stage: Any, name: str, wrap: Callable[[Any, list[Any]], Any], one_in: int = 10) -> None:
    """Let every tenth call of a method go another way."""
    good, count = getattr(stage.client, name), Counter[str]()

    def spoiled(*args: Any) -> Any:
        count["calls"] += 1
        return wrap(good, list(args)) if count["calls"] % one_in == 0 else good(*args)

    stage.client.override(**{name: spoiled})


def raising(_: Any, __: Any) -> Any:
    raise TimeoutError


def raising_after(good: Any, args: list[Any]) -> Any:
    good(*args)
    raise TimeoutError


@pytest.mark.parametrize("name", ["set", "cas", "incr", "decr", "add", "gets", "get", "get_many"])
@pytest.mark.parametrize("fate", [raising, raising_after], ids=["not done", "done"])
def test_calls_of_unknown_end_are_no_findings(stage: Any, name: str, fate: Any) -> None:
    """A call that failed may have happened or not: neither convicts anybody."""
    spoil(stage, name, fate, 3)
    ride(stage)
    told = report(stage)
    assert (told["stale"], told["wrong_updates"], told["lost"]) == (0, 0, [])


def twice(good: Any, args: list[Any]) -> Any:
    good(*args)
    return good(*args)


@pytest.mark.parametrize("name", ["incr", "decr"])
def test_a_step_made_twice_is_found(stage: Any, name: str) -> None:
    """A retry of what had happened shows in the answer."""
    spoil(stage, name, twice)
    ride(stage)
    assert report(stage)["wrong_updates"] >= 5


def test_a_step_that_was_not_made_is_found(stage: Any) -> None:
    """An answer that was made up is contradicted by the next one."""
    spoil(stage, "incr", lambda _, args: int(stage.client.data[args[0]]) + 1)
    ride(stage)
    assert report(stage)["wrong_updates"] >= 5


def test_a_cas_that_ignores_its_token_is_found(stage: Any) -> None:
    """A token that is used up must not store anything."""
    stage.client.override(cas=lambda key, value, token, ttl_s: stage.client.set(key, value))
    ride(stage)
    told = report(stage)
    assert told["wrong_updates"] >= 5
    assert "with a token that was used up" in told["evidence"][0]["what"]


def never(*_: Any) -> bool:
    return False


def test_a_cas_that_never_stores_is_found(stage: Any) -> None:
    """Its token was just read and nobody else writes: a client that always says no has no cas."""
    stage.client.override(cas=never)
    user = ride(stage)
    stage.load.locations.update(dict.fromkeys(user._chains, "node2"))
    told = report(stage)
    assert told["wrong_updates"] >= 1
    first = told["evidence"][0]
    assert (first["kind"], first["node"]) == ("lost_update", "node2")
    assert first["key"] in user._chains
    assert "links refused" in first["what"]


def test_a_cas_that_stores_every_second_time_is_found(stage: Any) -> None:
    """Half of the updates are lost to whoever believes it."""
    good, calls = stage.client.cas, Counter[str]()

    def halved(*args: Any) -> Any:
        calls["all"] += 1
        return bool(calls["all"] % 2) and good(*args)

    stage.client.override(cas=halved)
    ride(stage)
    assert report(stage)["wrong_updates"] >= 1


def test_a_counter_that_is_not_there_and_is_there_is_found(stage: Any) -> None:
    """Every step finds nothing to move, and nothing can be added: the steps are lost."""
    stage.client.override(incr=lambda *_: None, add=never)
    user = ride(stage)
    told = report(stage)
    assert sum(count for *_, count in told["denied"]) >= 20
    assert told["evidence"][0]["key"] in {*user._up, *user._down}


def test_an_add_over_what_is_there_is_found(stage: Any) -> None:
    """A lock that anybody can take is none."""
    stage.client.override(add=stage.client.set)
    user = ride(stage, 0)
    for _ in range(40):
        user._add_one()
        user.accounts.held.clear()
    told = report(stage)
    assert told["wrong_updates"] >= 1
    assert "stored over what was there" in told["evidence"][0]["what"]


def test_adds_after_a_node_came_back_empty_convict_nobody(stage: Any) -> None:
    """What it lost may be added rightly, until it is known to be gone."""
    user = ride(stage, 0)
    for _ in range(60):
        user._add_one()
    stage.client.data.clear()
    for _ in range(40):
        user._add_one()
    assert report(stage)["wrong_updates"] == 0


@pytest.mark.parametrize("is_kept", [True, False], ids=["dropped TTL", "late clock"])
def test_a_short_life_is_looked_after(stage: Any, is_kept: bool) -> None:
    """Read twice long after its second, it convicts; gone at the second look, it does not."""
    good = stage.client.set
    stage.client.override(set=lambda key, value, _: good(key, value))
    user = ride(stage, 0)
    for wait_s in (GONE_AFTER_S, AGAIN_AFTER_S):
        turn_all(user)
        stage.clock.now += wait_s
    if not is_kept:
        stage.client.data.clear()
    turn_all(user)
    told = report(stage)
    assert (told["outlived"], told["expired"]) == ((10, 0) if is_kept else (0, 10))


@pytest.mark.parametrize("is_kept", [True, False], ids=["dropped TTL", "late clock"])
def test_a_batch_looks_for_what_must_be_gone(stage: Any, is_kept: bool) -> None:
    """Half of a batch at the most, and again later for what is still there."""
    good = stage.client.set
    stage.client.override(set=lambda key, value, _: good(key, value))
    user = ride(stage, 0)
    for wait_s in (GONE_AFTER_S, AGAIN_AFTER_S):
        user._read_many()
        stage.clock.now += wait_s
    if not is_kept:
        for key in user._brief:
            del stage.client.data[key]
    user._read_many()
    told = report(stage)
    assert (told["outlived"], told["expired"]) == ((10, 0) if is_kept else (0, 10))
    assert told["stale"] == told["wrong_updates"] == 0


def test_a_batch_that_fails_looks_for_nothing(stage: Any) -> None:
    """What was to be looked for is so later."""
    user = ride(stage, 0)
    stage.clock.now += GONE_AFTER_S
    good = stage.client.get_many
    stage.client.override(get_many=lambda keys: 1 / 0)
    user._read_many()
    stage.client.override(get_many=good)
    user._read_many()
    assert report(stage)["expired"] == SHORT_LIVED


def turn_all(user: LedgerUser) -> None:
    for _ in range(SHORT_LIVED):
        user._short_lived.turn()


def stored_and_denied(stage: Any) -> None:
    good = stage.client.cas
    stage.client.override(cas=lambda *args: good(*args) and False)


def refused_now_and_then(stage: Any) -> None:
    good, calls = stage.client.cas, Counter[str]()

    def moody(*args: Any) -> Any:
        calls["all"] += 1
        return bool(calls["all"] % 30) and good(*args)

    stage.client.override(cas=moody)


def each_key_failed_before(stage: Any) -> None:
    seen: set[str] = set()

    def failing(key: str, *_: Any) -> Any:
        if key in seen:
            return False
        seen.add(key)
        raise TimeoutError

    stage.client.override(cas=failing)


def emptied_again_and_again(stage: Any) -> None:
    def emptied(key: str, *_: Any) -> Any:
        del stage.client.data[key]
        stage.load.accounts.gone.add(key)
        return False

    stage.client.override(cas=emptied)


@pytest.mark.parametrize(
    "spoil_it",
    [
        stored_and_denied,
        refused_now_and_then,
        each_key_failed_before,
        emptied_again_and_again,
    ],
)
def test_refusals_that_may_be_right_convict_nobody(
    stage: Any, spoil_it: Callable[[Any], None]
) -> None:
    """A retry that met itself, an earlier write of unknown end, a node that lost the key."""
    spoil_it(stage)
    ride(stage)
    assert report(stage)["wrong_updates"] == 0


def test_a_few_refusals_convict_nobody(stage: Any) -> None:
    """Twenty links in vain are needed."""
    stage.client.override(cas=never)
    user = ride(stage, 0)
    for _ in range(20):  # the last one is not confirmed by another read
        user._link(user._chains[0])
    assert report(stage)["wrong_updates"] == 0
    user._link(user._chains[0])
    assert report(stage)["wrong_updates"] == 1


def test_a_counter_that_is_gone_begins_again(stage: Any) -> None:
    """A node may come back empty: chains and counters begin anew, and nothing is a finding."""
    user = ride(stage, 100)
    stage.client.data.clear()
    for _ in range(ITERATIONS):
        stage.clock.now += 0.02
        user.iterate()
    told = report(stage)
    assert (told["stale"], told["wrong_updates"]) == (0, 0)
    assert len(stage.client.data) > COUNTERS


def test_keys_that_are_gone_are_filled_in_again(stage: Any) -> None:
    """What the servers say is gone is written at the next miss, sets and chains alike."""
    user = ride(stage, 0)
    stage.client.data.clear()
    stage.load.accounts.gone.update(stage.load.accounts.keys)
    for key in [*user._sets, *user._chains]:
        user._read(key)
    assert len(stage.client.data) == SETS + CHAINS
    assert not stage.load.accounts.gone


def test_a_key_that_is_asked_about_is_not_written_over(stage: Any) -> None:
    """Else a loss could never be told from a later write."""
    user = ride(stage, 0)
    stage.load.accounts.held.update(dict.fromkeys(stage.load.accounts.keys, 1))
    before = dict(stage.client.data)
    for _ in range(50):
        user._set_one()
        user._reread_one()
        user._link(user._chains[0])
    assert stage.client.data == before


def test_what_a_batch_names_as_failed_is_no_miss(stage: Any, monkeypatch: Any) -> None:
    """Of a key whose node failed nobody said anything."""

    class Partial(dict[str, bytes]):
        failed: tuple[str, ...] = ()

    def half(keys: list[str]) -> Partial:
        found = Partial({key: stage.client.data[key] for key in keys[:16]})
        found.failed = tuple(keys[16:])
        return found

    looked: list[Any] = []
    user = ride(stage, 0)
    monkeypatch.setattr(stage.load.accounts, "look", lambda *args: looked.append(args))
    stage.client.override(get_many=half)
    user._read_many()
    assert looked == []
    assert user.book.agreed == 16
    stage.client.override(get_many=lambda keys: {})
    user._read_many()
    assert [value for *_, value in looked] == [None] * ledger.BATCH


def test_a_strange_answer_to_gets_is_a_bad_result(stage: Any) -> None:
    """The contract is a value and its token."""
    user = ride(stage, 0)
    stage.client.override(gets=lambda key: [b"x"])
    assert user.gets(user._chains[0]) is FAILED
    assert stage.recorder.findings[0][0] == "bad_result"
    stage.client.override(gets=lambda key: (make("other", "w", 1, 100), 1))
    assert user.gets(user._chains[0]) is FAILED
    assert len(stage.recorder.wrong) == 1


def test_mixed_users_know_their_own_keys(stage: Any) -> None:
    """Reads of keys that one user alone writes are checked in everyday traffic as well."""
    stage.load.expected_rate = 40.0
    user = stage.user(MixedUser)
    user.prepare()
    for _ in range(3_000):
        stage.clock.now += 0.02
        user.iterate()
    told = report(stage)
    assert told["reads"] > 500
    assert told["writes"] > 300
    assert told["updates"] > 50
    assert (told["stale"], told["wrong_updates"], told["lost"]) == (0, 0, [])


def test_values_without_room_for_a_version_are_not_followed(stage: Any) -> None:
    """A short value proves its key and no more."""
    stage.load.settings = type(stage.load.settings)(value_size=20)
    stage.load.expected_rate = 40.0
    user = stage.user(MixedUser)
    user.prepare()
    for _ in range(300):
        user.iterate()
    assert user._pages == {}
    assert report(stage)["reads"] == 0

"""A cut-off call is nobody's error; users call what their group is given, nothing in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from client.operation import Outcome
from users.base import FAILED, MemcacheUser
from users.context import LoadContext, LoadSettings
from users.cutting import CutOffError, CuttingClient, Knife
from users.origin import Origin
from users.outcomes import classify


class PlainUser(MemcacheUser):
    kind = "plain"


class OtherUser(PlainUser):
    pass


class Named:
    """A client that is only told apart."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self, key: str) -> Any:
        return None


class Dice(random.Random):
    """Throws what it was told to, over and over."""

    def __init__(self, *throws: float) -> None:
        super().__init__()
        self._throws = throws
        self._turn = 0

    def random(self) -> float:
        self._turn += 1
        return self._throws[(self._turn - 1) % len(self._throws)]


def raising(error: BaseException) -> Any:
    def method(*_: Any) -> Any:
        raise error

    return method


CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda user: user.get("k"),
    "set": lambda user: user.set("k", b"v", 1),
    "incr": lambda user: user.incr("k"),
    "get_many": lambda user: user.get_many(["k", "l"]),
}


@pytest.mark.parametrize("op", CALLS)
def test_a_cut_off_call_is_aborted_and_the_user_goes_on(stage: Any, op: str) -> None:
    """It is written down as aborted, told to nobody as a request, and blamed on nobody."""
    stage.client.override(**{op: raising(CutOffError())})
    user = stage.user(PlainUser)
    user._intended = 990.0
    assert CALLS[op](user) is FAILED
    (operation,) = stage.recorder.operations
    assert (operation.op, operation.outcome) == (op, Outcome.ABORTED)
    assert operation.intended == 990.0
    assert user._intended is None
    assert not operation.is_failure
    assert stage.events == []
    assert stage.recorder.findings == []
    assert stage.load.inside["PlainUser"] == 0


def test_only_the_harness_can_cut_a_call_off() -> None:
    """A stranger's exception of the same name, or one that claims the outcome, is its own."""
    mimic = type("CutOffError", (Exception,), {"outcome": "aborted"})
    assert classify(CutOffError()) is Outcome.ABORTED
    assert classify(mimic()) is Outcome.OTHER_ERROR


def load_of(*clients: Any) -> LoadContext:
    return LoadContext(
        client=clients[0],
        clients=clients,
        recorder=None,  # type: ignore[arg-type]  # nothing is recorded here
        nodes=[],
        settings=LoadSettings(),
        origin=Origin(0.0),
    )


def test_every_group_has_users_of_every_class() -> None:
    """Users are dealt in turn within their class, however the classes are mixed."""
    load = load_of(Named("a"), Named("b"))
    dealt = [(kind, load.deal(kind)) for kind in ("M", "H", "M", "H", "M", "H", "M")]
    assert [group for kind, group in dealt if kind == "M"] == [0, 1, 0, 1]
    assert [group for kind, group in dealt if kind == "H"] == [0, 1, 0]


class Caller:
    """Remembers what it was given to call."""

    client: Any = None

    def take_client(self, client: Any) -> None:
        self.client = client


def test_what_stands_before_the_clients_reaches_all_users_and_leaves_no_trace() -> None:
    """Users that are there and users that come later call it; then all call the clients again."""
    clients = [Named("a"), Named("b")]
    load = load_of(*clients)
    early, late, gone = Caller(), Caller(), Caller()
    load.enrol(early, 1)
    load.enrol(gone, 0)
    load.dismiss(gone)
    load.stand_before(lambda client: ("before", client))
    load.enrol(late, 0)
    assert (early.client, late.client) == (("before", clients[1]), ("before", clients[0]))
    assert gone.client is clients[0]
    load.stand_before(None)
    assert (early.client, late.client) == (clients[1], clients[0])


def test_users_call_their_own_groups_client(stage: Any) -> None:
    """What a user reads comes from the client of its side."""
    other = type(stage.client)()
    load = stage.load
    load.clients.append(other)
    load._called.append(other)
    # Each joins in a greenlet of its own, which then belongs to its group.
    kinds = (PlainUser, OtherUser, PlainUser)
    users = [gevent.spawn(stage.user, kind).get(timeout=10) for kind in kinds]
    assert [user._client for user in users] == [stage.client, stage.client, other]


def test_a_call_that_is_not_chosen_is_the_clients_own() -> None:
    """Its result, its error and everything that is no operation pass through untouched."""
    error = KeyError("x")
    inner = Named("a")
    inner.set = raising(error)  # type: ignore[attr-defined]  # a method of its own
    client = CuttingClient(inner, knife := Knife(0.1, Dice(0.99)))
    assert client.get("k") is None
    with pytest.raises(KeyError) as caught:
        client.set("k", b"v")
    assert caught.value is error
    assert client.name == "a"
    assert not hasattr(client, "node_for")
    assert (knife.cuts.calls, knife.cuts.cut) == (2, 0)


BY_TIMEOUT, BY_KILL = 0.0, 0.5


def swallowing(answer: Any) -> Callable[[], Any]:
    """Give a call that waits for ever, swallows whatever ends it, and answers."""

    def method() -> Any:
        try:
            gevent.sleep(60)
        except BaseException:
            return answer

    return method


def translating() -> Any:
    """Make a client's own error of whatever ends the call."""
    try:
        gevent.sleep(60)
    except BaseException as cut:
        raise OSError("connection lost") from cut


@pytest.mark.parametrize("how", [BY_TIMEOUT, BY_KILL], ids=["timeout", "kill"])
@pytest.mark.parametrize(
    ("method", "came"),
    [
        pytest.param(lambda: gevent.sleep(60), CutOffError, id="lets itself be cut off"),
        pytest.param(translating, CutOffError, id="makes an error of its own of it"),
        pytest.param(swallowing(None), CutOffError, id="swallows it and finds nothing"),
        pytest.param(swallowing(False), CutOffError, id="swallows it and says it failed"),
        pytest.param(swallowing(b"v"), b"v", id="swallows it and has a value: judged"),
    ],
)
def test_what_a_cut_off_call_comes_to(how: float, method: Any, came: Any) -> None:
    """Whatever the client makes of it is the harness's doing; only an answer is judged."""
    knife = Knife(1.0, Dice(0.0, 0.0, how))
    with gevent.Timeout(10):
        if came is CutOffError:
            with pytest.raises(CutOffError):
                knife.call(method)
        else:
            assert knife.call(method) == came
    assert knife.cuts.cut == (came is CutOffError)
    assert knife.cuts.answered == (came is not CutOffError)


@pytest.mark.parametrize("how", [BY_TIMEOUT, BY_KILL], ids=["timeout", "kill"])
def test_the_end_of_the_run_is_not_taken_for_a_cut(how: float) -> None:
    """A user that is killed while its call waits for a cut ends as a killed user does."""
    knife = Knife(1.0, Dice(0.0, 1.0, how))
    knife._usual_s = 60.0
    ended: list[BaseException] = []

    def user() -> None:
        try:
            knife.call(gevent.sleep, 60)
        except BaseException as error:
            ended.append(error)
            raise

    with gevent.Timeout(10):
        job = gevent.spawn(user)
        gevent.sleep(0)
        gevent.sleep(0)
        job.kill()
    assert [type(error) for error in ended] == [gevent.GreenletExit]
    assert knife.cuts.cut == 0

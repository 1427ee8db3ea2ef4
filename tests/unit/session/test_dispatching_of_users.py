"""Workers that come and go one after the other are all given, and all relieved of, their users."""

from __future__ import annotations

from locust import User
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

from session.dispatching import install


class First(User):
    weight = 1


class Second(User):
    weight = 2


def users(dispatcher: UsersDispatcher) -> dict[str, int]:
    """Share out what there is to share; give worker -> how many users it ends with."""
    dispatcher.new_dispatch(target_user_count=12, spawn_rate=100)
    ended = list(dispatcher)[-1]
    return {worker: sum(count.values()) for worker, count in ended.items()}


def test_a_dispatcher_says_when_it_is_done() -> None:
    """After each change of the workers the users are shared anew, and the next change may come."""
    install()
    install()
    nodes = {name: WorkerNode(name) for name in ("a", "b", "c", "d")}
    dispatcher = UsersDispatcher([nodes["a"], nodes["b"]], [First, Second])
    assert users(dispatcher) == {"a": 6, "b": 6}
    assert not dispatcher.dispatch_in_progress
    for name, shares in (
        ("c", {"a": 4, "b": 4, "c": 4}),
        ("d", {"a": 3, "b": 3, "c": 3, "d": 3}),
    ):
        dispatcher.add_worker(nodes[name])
        assert users(dispatcher) == shares
        assert not dispatcher.dispatch_in_progress, f"busy for ever after {name} came"
    for name, shares in (("a", {"b": 4, "c": 4, "d": 4}), ("c", {"b": 6, "d": 6})):
        dispatcher.remove_worker(nodes[name])
        assert users(dispatcher) == shares
        assert not dispatcher.dispatch_in_progress, f"busy for ever after {name} went"

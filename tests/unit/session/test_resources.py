"""What a process holds: the timeline's share of it is told apart from a leak."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import gevent

from memquake.paths import CHECKOUT
from session.resources import foreign_greenlets, held, running


def test_a_greenlet_left_behind_is_counted() -> None:
    """One more greenlet of somebody else's is held; when it has ended it is not.

    By identity, not by number: what other tests left in this process may end at any time.
    """
    left = gevent.spawn(gevent.sleep, 60)
    gevent.sleep(0)
    assert any(thing is left for thing in foreign_greenlets())
    assert held()["greenlets"] >= 1
    left.kill()
    assert not any(thing is left for thing in foreign_greenlets())


def test_what_a_run_has_frozen_is_counted_all_the_same() -> None:
    """Else every greenlet from before the start would hide one that was left behind since."""
    early = gevent.spawn(gevent.sleep, 60)
    gevent.sleep(0)
    before = held()["greenlets"]
    gc.freeze()
    assert not any(thing is early for thing in foreign_greenlets()), "freezing hides nothing"
    assert held()["greenlets"] >= before
    assert any(thing is early for thing in foreign_greenlets())
    early.kill()


def test_the_threads_of_the_hub_are_nobodys_leak() -> None:
    """Ten names looked up at once leave gevent's own threads behind, whoever asked."""
    hub = gevent.get_hub()
    known = {id(thing) for thing in foreign_greenlets()}
    look_ups = [gevent.spawn(hub.threadpool.apply, time.sleep, (0.05,)) for _ in range(8)]
    gevent.joinall(look_ups, timeout=10)
    assert len(hub.threadpool._worker_greenlets) >= 8
    new = [thing for thing in foreign_greenlets() if id(thing) not in known]
    assert new == [], running()


def test_what_was_left_running_is_named() -> None:
    """A reader of the verdict learns which function did not end."""

    def poll_for_ever() -> None:
        gevent.sleep(60)

    left = gevent.spawn(poll_for_ever)
    gevent.sleep(0)
    (name,) = [what for what in running() if "poll_for_ever" in what]
    assert name.startswith(__name__)
    left.kill()


def test_a_greenlet_of_the_client_s_is_counted_whatever_its_module_is_called() -> None:
    """A service has a `session` or `users` as well: files tell, names do not."""
    space: dict[str, Any] = {"__name__": "session.keepers", "__file__": "/srv/session/keepers.py"}
    exec("def wait(sleep):\n    sleep(60)\n", space)
    theirs, ours = gevent.spawn(space["wait"], gevent.sleep), gevent.spawn(held_by_the_harness())
    gevent.sleep(0)
    seen = foreign_greenlets()
    assert any(thing is theirs for thing in seen)
    assert not any(thing is ours for thing in seen)
    gevent.killall([theirs, ours])


def held_by_the_harness() -> Callable[[], None]:
    """Give a function as if a module of session/ had it."""
    space: dict[str, Any] = {
        "__name__": "anything",
        "__file__": str(CHECKOUT / "session" / "sampling.py"),
        "sleep": gevent.sleep,
    }
    exec("def wait():\n    sleep(60)\n", space)
    found: Callable[[], None] = space["wait"]
    return found

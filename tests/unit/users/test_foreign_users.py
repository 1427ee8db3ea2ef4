"""User classes of the user's own are told apart from memquake's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import gevent
import pytest
from locust import FastHttpUser, HttpUser, User, task

from users.foreign import classes_of, count_ours, end_all, estimate_ours, is_foreign, lacks_host
from users.hot_key import HotKeyUser
from users.ledger import LedgerUser
from users.mixed import MixedUser


class Shop(HttpUser):
    @task
    def visit(self) -> None: ...


class Quick(FastHttpUser):
    host = "http://quick"

    @task
    def visit(self) -> None: ...


class Alone(User):
    fixed_count = 1

    @task
    def visit(self) -> None: ...


def test_classes_are_those_of_the_locustfiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name a file gives them, from that file alone; the ledger is nobody's choice."""
    for name, content in {
        "mine": {"Mine": MixedUser, "Shop": Shop, "HttpUser": HttpUser, "L": LedgerUser, "n": 1},
        "other": {"Quick": Quick},
    }.items():
        module = ModuleType(name)
        vars(module).update(content, __file__=f"/x/{name}.py")
        monkeypatch.setitem(sys.modules, f"test_foreign_{name}", module)
    assert classes_of("/x/mine.py") == {"Mine": MixedUser, "Shop": Shop}
    assert classes_of("/x/mine.py, /x/other.py").keys() == {"Mine", "Shop", "Quick"}
    assert classes_of("/x").keys() == {"Mine", "Shop", "Quick"}


def test_what_is_foreign() -> None:
    """Everything that Locust can run and memquake cannot."""
    assert [kind for kind in (Shop, MixedUser, Alone, HotKeyUser) if is_foreign(kind)] == [
        Shop,
        Alone,
    ]


@pytest.mark.parametrize(
    ("kind", "host", "lacks"),
    [
        pytest.param(Shop, None, True, id="http"),
        pytest.param(Shop, "http://x", False, id="http with --host"),
        pytest.param(Quick, None, False, id="its own host"),
        pytest.param(Alone, None, False, id="no http"),
    ],
)
def test_who_needs_a_base_url(kind: type[User], host: str | None, *, lacks: bool) -> None:
    """Such a user cannot even be made, and Locust would start none of the others."""
    assert lacks_host(kind, host) is lacks


def test_only_memquakes_users_are_waited_for() -> None:
    """What Locust has started, by class, without the others."""
    kinds: list[type[User]] = [MixedUser, HotKeyUser, Shop]
    assert count_ours({"MixedUser": 5, "HotKeyUser": 2, "Shop": 9}, kinds) == 7
    assert count_ours({"Shop": 9}, kinds) == 0


@pytest.mark.parametrize(
    ("total", "kinds", "expected"),
    [
        pytest.param(40, [MixedUser, HotKeyUser], 40, id="none is foreign"),
        pytest.param(10, [MixedUser, Alone], 9, id="a fixed count"),
        pytest.param(1, [MixedUser, Alone], 0, id="nothing left"),
        pytest.param(8, [MixedUser, Shop], 6, id="by weight"),
    ],
)
def test_the_share_of_memquakes_users(
    monkeypatch: pytest.MonkeyPatch, total: int, kinds: list[Any], expected: int
) -> None:
    """As Locust's dispatcher shares them out: fixed counts first, then by weight."""
    monkeypatch.setattr(MixedUser, "weight", 3)
    assert estimate_ours(total, kinds) == expected


class Runner:
    """Locust's runner as far as ending users goes."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.user_classes = [MixedUser, Shop, Alone]
        self.user_classes_count = {"MixedUser": 3, "Shop": 2, "Alone": 0}
        self.environment = type("Environment", (), {"stop_timeout": 0.0})
        self.hangs = hangs
        self.stopped: list[dict[str, int]] = []

    def stop_users(self, counts: dict[str, int]) -> None:
        self.stopped.append(counts)
        while self.hangs:
            gevent.sleep(60)


@pytest.mark.parametrize("hangs", [False, True])
def test_they_end_before_anything_is_counted(
    monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """Only they, only once, and one that swallows its end is not waited for."""
    monkeypatch.setattr("users.foreign.END_S", 0.01)
    runner = Runner(hangs=hangs)
    end_all(runner)
    assert runner.stopped == [{"Shop": 2}]

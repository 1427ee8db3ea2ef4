"""Orders reach every worker that lives, end by themselves, and are never taken up twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from session import clientside, messages
from session.clientside import SILENCE_S, OrderBook
from session.orders import Orders


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeDeed:
    """Notes its beginning and its end."""

    log: list[str]

    def __init__(self, load: Any, order: Mapping[str, Any]) -> None:
        self.name = order["id"]
        self.log.append(f"begin {self.name}")

    def words(self) -> Mapping[str, Any]:
        return {"calls": 7}

    def end(self) -> None:
        self.log.append(f"end {self.name}")


def order(name: str, left_s: float = 10.0) -> dict[str, Any]:
    return {"id": name, "kind": "abort", "attributes": {}, "left_s": left_s}


class Worker:
    """One worker's side with a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.log: list[str] = []
        self.looks: list[Callable[[], None]] = []
        kind = type("Deed", (FakeDeed,), {"log": self.log})
        monkeypatch.setattr(clientside, "DEEDS", {"abort": kind})
        self.book = OrderBook(
            SimpleNamespace(),  # type: ignore[arg-type]  # the deeds here do not look at it
            clock=self.clock,
            spawn=self.looks.append,
            sleep=self._sleep,
        )
        self.passing_s = 0.0

    def _sleep(self, seconds: float) -> None:
        self.clock.now += max(seconds, self.passing_s)

    def take(self, *orders: dict[str, Any], number: int = 1) -> dict[str, Any]:
        return self.book.take({"number": number, "orders": list(orders)})


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(monkeypatch)


def test_an_order_told_twice_is_carried_out_once(worker: Worker) -> None:
    """Each message holds all that stands; what is no longer in it ends."""
    assert worker.take(order("a")) == {"number": 1, "said": {"a": {"calls": 7}}}
    worker.take(order("a"), order("b"), number=2)
    assert worker.take(order("b"), number=3)["said"] == {"b": {"calls": 7}}
    worker.take(number=4)
    assert worker.log == ["begin a", "begin b", "end a", "end b"]


def test_an_order_ends_when_its_time_is_over_and_is_not_taken_up_again(worker: Worker) -> None:
    """A master that never takes it back does not keep it alive."""
    worker.take(order("a", left_s=2.0))
    worker.passing_s = 1.0
    worker.looks[0]()
    assert worker.log == ["begin a", "end a"]
    assert worker.take(order("a"))["said"] == {}
    assert worker.log == ["begin a", "end a"]


def test_without_a_word_of_the_master_everything_ends(worker: Worker) -> None:
    """A master that is gone or stands still leaves nothing broken here."""
    worker.take(order("a", left_s=1000.0), order("b", left_s=1000.0))
    worker.clock.now += SILENCE_S - 0.5
    assert worker.book.overdue() == []
    worker.take(order("a"), order("b"))
    worker.clock.now += SILENCE_S + 0.1
    assert worker.book.overdue() == ["a", "b"]
    worker.looks[0]()
    assert worker.log == ["begin a", "begin b", "end a", "end b"]


def test_a_closed_book_takes_no_more(worker: Worker) -> None:
    """The end of a run ends its orders, whatever still comes."""
    worker.take(order("a"))
    worker.book.close()
    worker.book.close()
    assert worker.take(order("b"))["said"] == {}
    assert worker.log == ["begin a", "end a"]


class Bench:
    """The master's side with a runner that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str], int]] = []
        self.alive = ["w1", "w2"]
        self.beats: list[Callable[[], None]] = []
        self.asleep: Callable[[], None] = lambda: None
        self.clock = Clock()
        self.orders = Orders(self, clock=self.clock, spawn=self._spawn, sleep=self._sleep)
        self.orders.begin("run", lambda: self.alive)

    def _spawn(self, beat: Callable[[], None]) -> Any:
        self.beats.append(beat)
        return SimpleNamespace(ready=lambda: False)

    def _sleep(self, seconds: float) -> None:
        self.clock.now += seconds
        self.asleep()

    def send_message(self, name: str, data: Mapping[str, Any], client_id: str) -> None:
        assert name == messages.ORDERS
        self.sent.append((client_id, [item["id"] for item in data["orders"]], data["number"]))

    def answer(self, worker: str, **said: Any) -> None:
        number = max(number for _, _, number in self.sent)
        self.orders.answered(worker, {"run": "run", "number": number, "said": said})

    def give(self, name: str) -> None:
        self.orders.order({"id": name, "kind": "abort", "attributes": {}, "for_s": 25.0})


def test_a_worker_counts_as_silent_until_it_answers_to_the_newest_orders() -> None:
    """An answer to older orders says nothing of a new one."""
    bench = Bench()
    bench.give("a")
    assert [(worker, ids) for worker, ids, _ in bench.sent] == [("w1", ["a"]), ("w2", ["a"])]
    bench.answer("w1", a={"calls": 3})
    assert bench.orders.heard("a") == {"w1": {"calls": 3}, "w2": {"silent": True}}
    bench.orders.withdraw("a")
    assert bench.orders.heard("a") == {"w1": {"silent": True}, "w2": {"silent": True}}
    bench.answer("w1")
    assert bench.orders.heard("a")["w1"] is None


def test_late_workers_are_told_and_dead_ones_are_left_out() -> None:
    """Every beat goes to whoever lives then, with what is left of the time."""
    bench = Bench()
    bench.give("a")
    bench.sent.clear()

    def change() -> None:
        bench.alive = ["w2", "w3"]
        bench.asleep = lambda: bench.orders.withdraw("a")

    bench.asleep = change
    bench.beats[0]()
    assert {worker for worker, ids, _ in bench.sent if ids} == {"w2", "w3"}
    assert set(bench.orders.heard("a")) == {"w2", "w3"}


def test_the_beat_ends_although_a_worker_never_answers_again() -> None:
    """Whoever is dead and not yet known to be is repeated to for a while, not for ever."""
    bench = Bench()
    bench.give("a")
    bench.orders.withdraw("a")
    bench.beats[0]()
    assert bench.orders.orders(("abort",)) == []
    assert 5 < bench.clock.now - 100.0 < 30


def test_words_of_another_run_are_not_heard() -> None:
    """A worker that still speaks of the run before says nothing of this one."""
    bench = Bench()
    bench.give("a")
    bench.orders.answered("w1", {"run": "old", "number": 2, "said": {"a": {}}})
    assert bench.orders.heard("a")["w1"] == {"silent": True}


def test_a_worker_that_comes_late_is_told_which_names_have_changed() -> None:
    """Only those that have: the order that only asks what a name leads to changes none."""
    orders = Orders(SimpleNamespace(), spawn=lambda _: None)
    orders.begin("r", list)
    asked = {"nodes": ["node1", "node2"], "to": "old"}
    orders.order({"id": "a:old", "kind": "dns_change", "attributes": asked, "for_s": 9.0})
    assert orders.moved() == []
    moved = {"nodes": ["node2"], "to": "new"}
    orders.order({"id": "a:new", "kind": "dns_change", "attributes": moved, "for_s": 9.0})
    assert orders.moved() == ["node2"]
    assert orders.orders(("abort",)) == []
    orders.begin("s", list)
    assert orders.moved() == []

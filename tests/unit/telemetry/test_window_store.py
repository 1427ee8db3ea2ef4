"""Windows of long runs: few, in order, complete in sum, and single wherever it matters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.operation import Outcome
from telemetry import window_store
from telemetry.histogram import bucket_of
from telemetry.window import Cell, MachineLoad, NodeState, Pacing, Slice, Window
from telemetry.window_store import FEWEST_FOLDS, FOLD_S, MOST_FOLDS, RECENT_S, WindowStore

Trouble = Callable[[Window], object]
LONG = RECENT_S + 25 * FOLD_S
FAILED = "get", "node1", Outcome.TIMEOUT


def quiet(window: Window) -> None:
    """Make a second like any other."""
    second = window.second
    service = {bucket_of(200 + second % 7): 8, bucket_of(900): 2}
    window.cells["get", "node1", Outcome.HIT] = Cell(10, 10, 10, service, {bucket_of(400): 10})
    window.slices[3, "node1"] = Slice(calls=10)
    window.pacing = Pacing(planned=10, sent=10)
    window.lag = {100: 20}
    window.cpu["a"] = 0.4
    window.workers["a"] = 10
    window.users = 4
    window.nodes["node1"] = NodeState(breaker={"closed": 1}, idle=3, created_total=4)
    window.server["node1"] = {"pid": 1, "uptime": second, "cmd_get": 10 * second, "evictions": 0}


def fail(window: Window) -> None:
    """Let one call of the second fail."""
    window.cells[FAILED] = Cell(1)


def run(seconds: int, troubles: dict[int, Trouble] | None = None) -> WindowStore:
    store = WindowStore()
    for second in range(seconds):
        window = store.at(second)
        quiet(window)
        trouble = (troubles or {}).get(second)
        if trouble is not None:
            trouble(window)
        store.settle(second)
    return store


def folded(store: WindowStore, seconds: Iterable[int]) -> list[int]:
    return [second for second in seconds if store.is_folded(second)]


def test_windows_adjoin_and_add_up() -> None:
    """Each begins where the one before it ends; nothing is counted twice or left out."""
    windows = list(run(LONG).windows(LONG - 1))
    assert windows[0].second == 0
    assert all(a.end == b.second for a, b in itertools.pairwise(windows))
    assert windows[-1].end == LONG
    assert sum(w.cells["get", "node1", Outcome.HIT].count for w in windows) == 10 * LONG
    assert sum(p.calls for w in windows for p in w.slices.values()) == 10 * LONG
    assert sum(sum(w.lag.values()) for w in windows) == 20 * LONG
    assert sum(w.workers["a"] for w in windows) == 10 * LONG


def test_old_seconds_are_folds_and_samples_in_turn() -> None:
    """Sums of nine, then a second that stands for them; the newest and the first stay single."""
    store = run(LONG)
    old = [w for w in store.windows(LONG - 1) if 60 <= w.second < LONG - RECENT_S - 2 * FOLD_S]
    folds, samples = old[::2], old[1::2]
    assert {(w.length_s, w.is_sample) for w in folds} == {(FOLD_S - 1, False)}
    assert {(w.length_s, w.is_sample) for w in samples} == {(1, True)}
    assert not folded(store, [*range(60), *range(LONG - RECENT_S, LONG)])


def test_a_sample_is_one_whatever_happened_in_it() -> None:
    """One second in so many, so a median over samples is one of the whole run."""
    store = run(LONG, {209: fail, 205: fail})
    assert store.window(209).is_sample
    assert not store.window(205).is_sample


def test_what_servers_count_is_that_of_the_first_second_of_a_fold() -> None:
    """They are asked when a second begins, so a fold ends where the next window's count begins."""
    for window in run(LONG).windows(LONG - 1):
        assert window.server["node1"]["uptime"] == window.second


def test_windows_stay_few_however_long_the_run() -> None:
    """A day costs no more than an hour, and samples stay spread over all of it."""
    store = run(6_000)
    windows = list(store.windows(5_999))
    assert len(windows) <= RECENT_S + 60 + 2 * MOST_FOLDS + 4 * FOLD_S
    samples = [w.second for w in windows if w.is_sample and 60 <= w.second < 5_500]
    assert len(samples) >= MOST_FOLDS // 2 - 1
    assert max(b - a for a, b in itertools.pairwise(samples)) <= 4 * 6_000 / MOST_FOLDS
    assert sum(w.length_s for w in windows) == 6_000


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(lambda w: w.cells.clear(), id="nothing was sent"),
        pytest.param(
            lambda w: w.cells.update({("get", "node1", Outcome.TIMEOUT): Cell(1)}), id="a failure"
        ),
        pytest.param(
            lambda w: w.cells["get", "node1", Outcome.HIT].service.update({bucket_of(70_000): 1}),
            id="a call of 70 ms",
        ),
        pytest.param(lambda w: w.lag.update({bucket_of(30_000): 2}), id="a late hub"),
        pytest.param(lambda w: w.lag.clear(), id="a hub that did not tick"),
        pytest.param(lambda w: w.cpu.update(a=0.95), id="a busy process"),
        pytest.param(lambda w: setattr(w.pacing, "sent", 8), id="starts that were not sent"),
        pytest.param(lambda w: w.batch_failed.update(node1=1), id="a key named in .failed"),
        pytest.param(lambda w: w.nodes["node1"].breaker.update(open=1), id="a breaker open"),
        pytest.param(lambda w: setattr(w.nodes["node1"], "opened_total", 1), id="it opened"),
        pytest.param(lambda w: w.server["node1"].update(evictions=3), id="evictions"),
        pytest.param(lambda w: w.server["node1"].update(pid=2), id="another process"),
        pytest.param(lambda w: w.server["node1"].update(uptime=0), id="a restart"),
        pytest.param(lambda w: w.server.clear(), id="a server that does not answer"),
        pytest.param(lambda w: setattr(w, "users", 3), id="a user less"),
        pytest.param(lambda w: w.workers.update(b=1), id="a process more"),
    ],
)
def test_a_second_in_which_something_happened_stays_single(trouble: Trouble) -> None:
    """With those beside it, and apart from the samples that medians are taken from."""
    at = 205
    store = run(LONG, {at: trouble})
    assert not folded(store, range(at - 3, at + 4))
    assert store.window(at).is_sample is False
    assert folded(store, [at - 30, at + 30])
    expected = Window(at, is_sample=False)
    quiet(expected)
    trouble(expected)
    assert store.window(at) == expected


def test_protected_seconds_stay_single_and_are_samples() -> None:
    """Around a fault the checks compare second by second."""
    store = WindowStore()
    store.protect(150.5, 210)
    for second in range(LONG):
        quiet(store.at(second))
        store.settle(second)
    assert not folded(store, range(150, 210))
    assert all(store.window(second).is_sample for second in range(150, 210))
    assert folded(store, [140, 222]) == [140, 222]


@pytest.mark.parametrize(
    "apart_s", [pytest.param(1, id="all along"), pytest.param(20, id="now and then")]
)
def test_trouble_does_not_fill_the_memory(apart_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the oldest troubled seconds become sums like others, and nothing is lost."""
    seconds, most, one = 3_000, 20_000, 400  # bytes: one window has fewer, a fold too
    monkeypatch.setattr(window_store, "MOST_BYTES", most)
    store = run(seconds, dict.fromkeys(range(0, seconds, apart_s), fail))
    windows = list(store.windows(seconds - 1))
    assert store.bytes_held() <= (RECENT_S + 60 + FOLD_S) * one + 2 * (most + 4 * FOLD_S * one)
    assert all(a.end == b.second for a, b in itertools.pairwise(windows))
    failures = sum(w.cells.get(FAILED, Cell()).count for w in windows)
    assert failures == len(range(0, seconds, apart_s))
    old = [w for w in windows if 60 <= w.second < 2_500]
    assert sum(w.is_sample for w in old) >= FEWEST_FOLDS // 2 - 1


def test_large_folds_become_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many nodes a fold is large: ten take their place, however long the run."""
    monkeypatch.setattr(window_store, "MOST_BYTES", 1_000)
    store = run(LONG)
    assert sum(w.length_s > 1 for w in store.windows(LONG - 1)) >= FEWEST_FOLDS // 2
    assert sum(w.length_s > 1 for w in store.windows(LONG - 1)) <= FEWEST_FOLDS + 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 900), max_size=40), st.integers(0, 900))
def test_what_comes_late_is_added_where_it_belongs(late: list[int], end: int) -> None:
    """To an open, a packed or a folded window alike."""
    store = run(end + 1)
    for second in late:
        window = store.at(min(second, end))
        cell = window.cells.setdefault(("set", "node1", Outcome.STORED), Cell())
        cell.count += 1
        store.settle(end)
    windows = list(store.windows(end))
    found = [w.cells.get(("set", "node1", Outcome.STORED), Cell()).count for w in windows]
    assert sum(found) == len(late)
    for window, count in zip(windows, found, strict=True):
        assert count == sum(window.second <= min(second, end) < window.end for second in late)


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(0, 1_500), st.integers(1, 2_000), max_size=80),
    st.dictionaries(st.integers(0, 1_500), st.integers(1, 300), max_size=80),
)
def test_packing_loses_nothing(service: dict[int, int], response: dict[int, int]) -> None:
    """Whatever the numbers of a histogram are."""
    window = Window(
        7,
        cells={("get", "n", Outcome.HIT): Cell(1, 2, 3, service, response)},
        slices={(3, "n"): Slice(5, 4, 3, {9: 1}, {9: 2})},
        batch_failed={"n": 2},
        batch_nothing={("raised", ("n", "")): 3},
        pacing=Pacing(9, 8, 7, 6, 5),
        lag={5: 1},
        nodes={"n": NodeState({"closed": 2}, 1, 2, 3, 4, 5)},
        server={"n": {"pid": 2**40}},
        machine=MachineLoad(own=1.5, others=0.5, waited=0.25, stolen=0.125),
        users=4,
        length_s=3,
        is_sample=False,
    )
    assert window_store._unpacked(window_store._packed(window)) == window


def test_a_field_of_a_window_that_cannot_be_packed_is_noticed() -> None:
    """All fields are plain values, so that no class is looked up by the name of its module."""
    full = Window(1)
    assert {type(getattr(full, name)) for name in window_store._AS_IS} <= {int, bool, dict}

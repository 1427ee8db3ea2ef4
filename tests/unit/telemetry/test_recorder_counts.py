"""The recorder loses nothing and files everything under the second of its actual send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locust.rpc.protocol import Message

from client.operation import FAILURES, UNATTEMPTED, Outcome
from telemetry.histogram import bucket_of
from telemetry.recorder import Recorder
from telemetry.timeline import Timeline
from telemetry.window import SLICE_BUCKET_SHIFT, NodeState, Slice, Window

EPOCH = 1_000.0


class FakeClock:
    def __init__(self, now: float = EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def started(paced: bool = False) -> Recorder:
    recorder = Recorder(FakeClock())
    recorder.paced = paced
    recorder.start(EPOCH)
    return recorder


def window_of(recorder: Recorder, second: int = 0) -> Window:
    timeline = Timeline(FakeClock())
    timeline.merge("w", recorder.take())
    return timeline.window(second)


def record(recorder: Recorder, at: float, took: float, outcome: str = Outcome.HIT) -> None:
    recorder.record("get", "node1", outcome, EPOCH + at, EPOCH + at, EPOCH + at + took)


OPERATION = st.tuples(
    st.sampled_from(["get", "set", "get_many"]),
    st.sampled_from(["", "node1", "node2"]),
    st.sampled_from(list(Outcome)),
    st.floats(min_value=-2, max_value=20, allow_nan=False),
    st.floats(min_value=0, max_value=3, allow_nan=False),
    st.integers(min_value=1, max_value=30),
)
TAKE = st.none()


@settings(deadline=None)
@given(st.lists(st.one_of(OPERATION, TAKE), max_size=60))
def test_totals_equal_the_sum_of_the_increments(steps: list[Any]) -> None:
    """However recording and taking interleave, the increments add up to the running totals."""
    recorder, timeline, counted, early = started(), Timeline(FakeClock()), 0, 0
    summed = 0
    for step in [*steps, None]:
        if step is None:
            increment = recorder.take()
            summed += increment["operations"]
            timeline.merge("w", increment)
            continue
        op, node, outcome, at, took, keys = step
        begin = EPOCH + at
        recorder.record(op, node, outcome, begin, begin, begin + took, keys, keys // 2)
        if begin < EPOCH:
            early += 1
        else:
            counted += 1
    assert summed == counted == recorder.totals()["operations"] == timeline.operations["w"]
    assert timeline.totals() == recorder.totals()
    assert recorder.ignored == timeline.ignored["w"] == early


@settings(deadline=None)
@given(st.lists(OPERATION, max_size=60))
def test_slices_follow_from_the_operations(steps: list[Any]) -> None:
    """A slice holds the single-key calls of its node and tenth, by what came of them."""
    recorder = started()
    wanted: dict[tuple[int, int, str], list[int]] = {}
    for op, node, outcome, at, took, keys in steps:
        begin, end = EPOCH + abs(at), EPOCH + abs(at) + took
        recorder.record(op, node, outcome, begin, begin, end, keys)
        waited = int((end - begin) * 1e6) >= 5_000
        if node and keys == 1 and (outcome != Outcome.ABORTED or waited):
            offset = begin - EPOCH
            key = (int(offset), min(9, int((offset - int(offset)) * 10)), node)
            counts = wanted.setdefault(key, [0, 0, 0, 0, 0])
            counts[0] += 1
            counts[1] += outcome in FAILURES
            counts[2] += outcome in UNATTEMPTED
            counts[3] += waited
            counts[4] += waited and outcome in FAILURES
    timeline = Timeline(FakeClock())
    timeline.merge("w", recorder.take())
    found = {
        (window.second, tenth, node): [
            part.calls,
            part.failed,
            part.unattempted,
            sum(part.waiting.values()),
            sum(part.waiting_failed.values()),
        ]
        for window in timeline.windows()
        for (tenth, node), part in window.slices.items()
    }
    assert {key: counts for key, counts in found.items() if any(counts)} == wanted


@pytest.mark.parametrize(
    ("at", "second", "tenth"),
    [
        pytest.param(0.0, 0, 0, id="the very start"),
        pytest.param(0.999, 0, 9, id="the end of a second"),
        pytest.param(1.0, 1, 0, id="the first moment of the next"),
        pytest.param(7.25, 7, 2, id="in the middle"),
    ],
)
def test_an_operation_belongs_to_the_second_of_its_send(at: float, second: int, tenth: int) -> None:
    """Not the end, not the intended start: the actual send decides."""
    recorder = started(paced=True)
    begin = EPOCH + at
    recorder.record("get", "node1", Outcome.TIMEOUT, begin - 5, begin, begin + 3)
    window = window_of(recorder, second)
    assert window.cells["get", "node1", "timeout"].count == 1
    assert (tenth, "node1") in window.slices


def test_a_late_operation_joins_its_own_second() -> None:
    """A call that ends after its second was taken is still counted there."""
    recorder, timeline = started(), Timeline(FakeClock())
    record(recorder, 0.5, 0.001)
    timeline.merge("w", recorder.take())
    record(recorder, 3.0, 0.001)
    record(recorder, 0.9, 2.5)
    timeline.merge("w", recorder.take())
    assert [sum(c.count for c in w.cells.values()) for w in timeline.windows()] == [2, 0, 0, 1]


def test_nothing_counts_before_the_start() -> None:
    """Prefill and warm-up belong to no run, and are counted apart."""
    recorder = Recorder(FakeClock())
    record(recorder, 0.0, 0.001)
    recorder.lag(EPOCH, 0.1)
    recorder.finding("early", {})
    assert recorder.ignored == 1
    assert recorder.take()["seconds"] == []
    assert recorder.totals()["operations"] == 0


def test_rebasing_moves_later_operations_only() -> None:
    """A better clock comparison places what comes, and leaves what was recorded."""
    recorder = started()
    record(recorder, 0.95, 0.001)
    recorder.rebase(EPOCH - 0.1)
    record(recorder, 0.95, 0.001)
    timeline = Timeline(FakeClock())
    timeline.merge("w", recorder.take())
    assert [sum(c.count for c in w.cells.values()) for w in timeline.windows()] == [1, 1]


@pytest.mark.parametrize(
    ("paced", "response"),
    [
        pytest.param(True, {bucket_of(1_500_000): 1}, id="paced runs know an intended start"),
        pytest.param(False, {}, id="closed loop has none"),
    ],
)
def test_response_times_are_kept_in_paced_runs(paced: bool, response: dict[int, int]) -> None:
    """Response time counts from the intended start, service time from the send."""
    recorder = started(paced)
    recorder.record("get", "node1", Outcome.HIT, EPOCH, EPOCH + 1, EPOCH + 1.5)
    cell = window_of(recorder, 1).cells["get", "node1", "hit"]
    assert cell.service == {bucket_of(500_000): 1}
    assert cell.response == response


COARSE_10_MS = bucket_of(10_000) >> SLICE_BUCKET_SHIFT


@pytest.mark.parametrize(
    ("outcome", "took", "wanted"),
    [
        pytest.param(Outcome.HIT, 0.001, Slice(calls=1), id="quick success"),
        pytest.param(
            Outcome.HIT, 0.01, Slice(calls=1, waiting={COARSE_10_MS: 1}), id="slow success waits"
        ),
        pytest.param(Outcome.REFUSED, 0.001, Slice(calls=1, failed=1), id="quick failure"),
        pytest.param(
            Outcome.TIMEOUT,
            0.01,
            Slice(calls=1, failed=1, waiting={COARSE_10_MS: 1}, waiting_failed={COARSE_10_MS: 1}),
            id="slow failure",
        ),
        pytest.param(
            Outcome.BREAKER_OPEN,
            0.0,
            Slice(calls=1, failed=1, unattempted=1),
            id="a breaker's refusal was never sent",
        ),
        pytest.param(
            Outcome.ABORTED,
            0.01,
            Slice(calls=1, waiting={COARSE_10_MS: 1}),
            id="cut off while waiting",
        ),
    ],
)
def test_a_slice_says_what_waited_and_what_failed(
    outcome: Outcome, took: float, wanted: Slice
) -> None:
    """Calls of 5 ms and longer keep a coarse duration; failures are counted apart."""
    recorder = started()
    begin = EPOCH + 0.25
    recorder.record("get", "node1", outcome, begin, begin, begin + took)
    assert window_of(recorder).slices == {(2, "node1"): wanted}


def test_a_call_cut_off_at_once_is_in_its_cell_only() -> None:
    """The harness's own abort is neither a call nor a failure of the node."""
    recorder = started()
    record(recorder, 0.0, 0.001, Outcome.ABORTED)
    window = window_of(recorder)
    assert window.cells["get", "node1", "aborted"].count == 1
    assert not window.slices
    assert recorder.totals()["errors"] == 0


@pytest.mark.parametrize(
    ("node", "keys"),
    [
        pytest.param("", 24, id="a batch over several nodes"),
        pytest.param("node1", 24, id="a batch on one node"),
        pytest.param("", 1, id="a batch of one key"),
    ],
)
def test_batches_are_in_no_slice(node: str, keys: int) -> None:
    """Slices judge nodes, and a batch blames none."""
    recorder = started()
    recorder.record("get_many", node, Outcome.PARTIAL, EPOCH, EPOCH, EPOCH + 0.01, keys, keys // 2)
    window = window_of(recorder)
    assert not window.slices
    cell = window.cells["get_many", node, "partial"]
    assert (cell.count, cell.keys, cell.hits) == (1, keys, keys // 2)


def test_everything_else_reaches_its_window() -> None:
    """Pacing, lag, CPU, node states, users, origin and failed keys go to their second."""
    recorder = started()
    state = NodeState(breaker={"open": 1}, idle=2, in_use=3, opened_total=4, created_total=5)
    recorder.pacing(EPOCH + 2.1, planned=10, sent=9, dropped=1)
    recorder.pacing(EPOCH + 2.9, busy=2, late=3)
    recorder.lag(EPOCH + 2.5, 0.003)
    recorder.cpu(EPOCH + 2.5, 0.5)
    recorder.node_states(EPOCH + 2.5, {"node1": state})
    recorder.users(EPOCH + 2.5, 20)
    recorder.origin(EPOCH + 2.5, calls=3, peak=2)
    recorder.origin(EPOCH + 2.6, calls=1, peak=1)
    recorder.batch_failed("node2", EPOCH + 2.5, keys=7)
    window = window_of(recorder, 2)
    assert (window.pacing.planned, window.pacing.sent, window.pacing.dropped) == (10, 9, 1)
    assert (window.pacing.busy_samples, window.pacing.late_samples) == (2, 3)
    assert window.lag == {bucket_of(3_000): 1}
    assert window.cpu == {"w": 0.5}
    assert window.nodes == {"node1": state}
    assert (window.users, window.origin_calls, window.origin_peak) == (20, 4, 2)
    assert window.batch_failed == {"node2": 7}


def test_an_increment_survives_the_wire() -> None:
    """An increment is plain types: packing and unpacking it changes nothing."""
    recorder = started(paced=True)
    record(recorder, 0.5, 0.3, Outcome.TIMEOUT)
    recorder.node_states(EPOCH, {"node1": NodeState(breaker={"closed": 1})})
    recorder.wrong_value({"kind": "torn", "value": b"\x00raw", "where": object})
    recorder.finding("bug", {"error": ValueError("no"), "list": (1, 2)})
    increment = recorder.take()
    sent = Message("report", increment, "w").serialize()
    assert Message.unserialize(sent).data == increment


def test_evidence_is_bounded_and_counted_in_full() -> None:
    """A client wrong at every hit fills neither memory nor messages, and every one counts."""
    recorder, timeline = started(), Timeline(FakeClock())
    for _ in range(3):
        for number in range(100):
            recorder.wrong_value({"kind": "torn", "number": number})
            recorder.finding("raised", {"number": number})
            recorder.finding("other", {})
        increment = recorder.take()
        timeline.merge("w", increment)
    assert "evidence" not in increment
    assert timeline.wrong.counts == {"torn": 300}
    assert timeline.totals()["wrong_values"] == recorder.totals()["wrong_values"] == 300
    assert timeline.findings.counts == {"raised": 300, "other": 300}
    assert [e["number"] for e in timeline.wrong_values] == list(range(22))
    assert len(timeline.findings.kept) == 44
    assert timeline.wrong_values[0]["worker"] == "w"


def test_kinds_of_findings_are_bounded() -> None:
    """Kinds built from data end up together instead of growing without end."""
    recorder = started()
    for number in range(1_000):
        recorder.finding(f"kind {number}", {"text": "x" * 10_000})
    assert len(recorder.findings.counts) <= 51
    assert recorder.findings.total == 1_000
    assert len(recorder.findings.kept) <= 51 * 22
    assert len(recorder.take()["evidence"]) <= 51 * 22
    assert max(len(detail["text"]) for detail in recorder.findings.kept) <= 500


def test_batches_are_counted_by_the_nodes_of_their_keys() -> None:
    """A batch is one call to each of its nodes, and says which nodes had keys when it was void."""
    recorder = started()
    recorder.batch_asked(["node1", "node2", "node1"], EPOCH + 0.1)
    recorder.batch_asked(["node2", "node2"], EPOCH + 0.2)
    recorder.batch_gave_nothing("raised", ["node2", "node1", "node1"], EPOCH + 0.1)
    recorder.batch_gave_nothing("empty", ["node2"], EPOCH + 0.2)
    recorder.batch_gave_nothing("empty", ["node2"], EPOCH + 0.3)
    window = window_of(recorder)
    assert window.batch_keys == {"node1": 2, "node2": 3}
    assert window.batch_calls == {"node1": 1, "node2": 2}
    assert window.batch_alone == {"node2": 1}
    assert window.batch_nothing == {("raised", ("node1", "node2")): 1, ("empty", ("node2",)): 2}


def test_sets_of_nodes_are_bounded() -> None:
    """However many nodes there are: the rest of a second's sets count together."""
    recorder = started()
    for number in range(100):
        recorder.batch_gave_nothing("raised", [f"node{number}"], EPOCH)
    found = window_of(recorder).batch_nothing
    assert len(found) == 65
    assert found["raised", ()] == 36
    assert sum(found.values()) == 100


def test_classes_of_errors_are_bounded_in_every_process_and_in_all() -> None:
    """A client that makes classes as it runs fills no table."""
    timeline = Timeline(FakeClock())
    for worker in ("w1", "w2"):
        recorder = started()
        for number in range(30):
            kind = f"{worker}Error{number}"
            told = recorder.raised("get", "node1", Outcome.OTHER_ERROR, kind, EPOCH)
            assert told == (kind if number < 20 else "other")
        timeline.merge(worker, recorder.take())
    found = timeline.window(0).raised
    assert found["get", "node1", "other_error", "other"] == 10 + 30
    assert len(found) == 21
    assert sum(found.values()) == 60

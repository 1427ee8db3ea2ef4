"""Samples of a run: the longest of each kind, from everywhere in it, and never too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from client.operation import Outcome
from telemetry.evidence import Evidence
from telemetry.recorder import Recorder
from telemetry.samples import KEPT_A_STRETCH, MAX_KINDS, Samples
from telemetry.timeline import Timeline

GET = ("get", "node1", "timeout")


def filled(at_s: list[float], most: int = 1_000) -> Samples:
    samples = Samples(most=most)
    for at in at_s:
        samples.add(GET, at, {"at_s": at})
    return samples


def test_the_longest_of_a_stretch_stay() -> None:
    """Of many calls of one kind in some seconds the longest are kept."""
    samples = Samples()
    for number, took in enumerate((3.0, 9.0, 1.0, 7.0)):
        samples.add(GET, 10.0 + number / 10, {"took": took}, took)
    assert sorted(each["took"] for each in samples.kept) == [7.0, 9.0]
    assert not samples.wants(GET, 10.5, 7.0)
    assert samples.wants(GET, 10.5, 7.1)
    assert samples.wants(GET, 15.5, 0.1)
    assert samples.wants(("set", "node1", "timeout"), 10.5, 0.1)


def test_every_stretch_of_a_run_has_its_own() -> None:
    """A check about second 40 finds a sample from there, whatever happened before."""
    samples = filled([second / 10 for second in range(600)])
    assert {int(each["at_s"] // 5) for each in samples.kept} == set(range(12))


@given(st.lists(st.floats(min_value=0, max_value=100_000), max_size=300))
def test_a_run_of_any_length_has_few(at_s: list[float]) -> None:
    """There are never more than allowed, and first and last third of a long run are both there."""
    samples = filled(at_s, most=40)
    kept = [each["at_s"] for each in samples.kept]
    assert len(kept) <= 40
    assert kept == sorted(kept)
    assert set(kept) <= set(at_s)


def test_a_day_keeps_its_last_hour() -> None:
    """Stretches grow with the run instead of the beginning crowding out the end."""
    samples = filled([float(second) for second in range(0, 86_400, 7)], most=100)
    kept = [each["at_s"] for each in samples.kept]
    assert 30 <= len(kept) <= 100
    assert kept[-1] > 86_400 - 3_600
    assert kept[0] < 3_600


def test_kinds_are_bounded() -> None:
    """Kinds made while a client runs share what is kept of one."""
    samples = Samples()
    for number in range(MAX_KINDS + 50):
        samples.add((str(number),), 1.0, {"number": number})
    assert len(samples.kept) == MAX_KINDS + KEPT_A_STRETCH


def test_each_is_taken_once() -> None:
    """A report brings what is new, and what was pushed out meanwhile never travels."""
    samples = filled([1.0, 2.0])
    samples.add(GET, 3.0, {"at_s": 3.0}, 5.0)
    assert sorted(detail["at_s"] for _, _, detail in samples.take()) == [1.0, 3.0]
    assert samples.take() == []
    assert samples.kept == []  # whoever took them has the details: they are not held twice
    assert not samples.wants(GET, 3.5, 0.0)
    assert samples.wants(GET, 3.5, 0.1)


def test_they_reach_the_timeline() -> None:
    """What a load process kept is in the master's timeline, with the process's name."""
    clock = lambda: 130.0  # noqa: E731
    recorder, timeline = Recorder(clock), Timeline(clock)
    recorder.start(100.0)
    assert recorder.record("get", "node1", Outcome.TIMEOUT, 112.0, 112.0, 112.5)
    assert recorder.wants_sample(GET, 112.0, 0.5)
    recorder.sample(GET, 112.0, 0.5, {"key": "k:1", "odd": b"x"})
    timeline.merge("w7", recorder.take())
    assert timeline.samples.kept == [
        {"at_s": 12.0, "took_ms": 500.0, "key": "k:1", "odd": "b'x'", "worker": "w7"}
    ]


def test_only_what_is_worth_a_sample_says_so() -> None:
    """A plain success is none, however it is called; a slow or failed one is, batches too."""
    recorder = Recorder(lambda: 130.0)
    recorder.start(100.0)

    def is_notable(node: str, outcome: str, took_s: float, keys: int = 1) -> bool:
        return recorder.record("get", node, outcome, 110.0, 110.0, 110.0 + took_s, keys)

    assert not is_notable("node1", Outcome.HIT, 0.001)
    assert is_notable("node1", Outcome.HIT, 0.008)
    assert is_notable("node1", Outcome.BREAKER_OPEN, 0.0)
    assert not is_notable("", Outcome.HIT, 0.001, 24)
    assert is_notable("", Outcome.HIT, 0.008, 24)
    assert is_notable("", Outcome.TIMEOUT, 0.001, 24)
    assert not recorder.record("get", "node1", Outcome.TIMEOUT, 90.0, 90.0, 90.5)  # before second 0
    assert not recorder.wants_sample(GET, 90.0, 0.5)


def test_late_findings_are_not_crowded_out_by_early_ones() -> None:
    """The first of a kind are kept, and some of every later stretch."""
    evidence = Evidence()
    for second in range(200):
        at_s = second / 4
        if evidence.has_room("torn", at_s):
            evidence.add("torn", {"at_s": at_s})
        else:
            evidence.add("torn", None)
    kept = [detail["at_s"] for detail in evidence.kept]
    assert kept[:20] == [second / 4 for second in range(20)]
    assert {int(at // 5) for at in kept} == set(range(10))
    assert evidence.counts == {"torn": 200}


def test_errors_are_kept_one_of_each_text_and_counted_in_full() -> None:
    """A detail is asked for only where it is kept."""
    clock = lambda: 130.0  # noqa: E731
    recorder, timeline = Recorder(clock), Timeline(clock)
    recorder.start(100.0)
    asked = []

    def detail() -> dict[str, str]:
        asked.append(1)
        return {"key": "k"}

    for _ in range(50):
        recorder.error("OSError: closed", detail)
    recorder.error("OSError: refused", detail)
    timeline.merge("w7", recorder.take())
    assert timeline.errors.counts == {"OSError: closed": 50, "OSError: refused": 1}
    assert {each["kind"] for each in timeline.errors.kept} == set(timeline.errors.counts)
    assert len(asked) == len(timeline.errors.kept) <= 4


def test_errors_before_second_0_belong_to_no_run() -> None:
    """As the calls they come from."""
    recorder = Recorder(lambda: 90.0)
    recorder.start(100.0)
    recorder.error("OSError: closed", dict)
    assert recorder.errors.total == 0

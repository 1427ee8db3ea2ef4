"""facts.json.gz holds all that a verdict is made from, and gives back just that."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from report.facts_file import FACTS, FORMAT, VERSION, read_facts, write_facts
from report.reading import OutcomeError
from report.typed_json import as_data, codec_of
from telemetry.window import Window
from tests.unit.telemetry.test_window_store import LONG, run
from tests.unit.verdict.made_up_runs import MadeUpRun, run_with_outage
from tests.unit.verdict.test_check_tables import CASES
from verdict.checks import CHECKS
from verdict.model import Ruling, RunFacts
from verdict.view import View

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False).map(lambda value: value + 0.0),  # no check knows a -0.0
    str: st.text(max_size=5),
}
JSON = st.recursive(
    st.none() | st.one_of(*SCALARS.values()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SCALARS[str], inner, max_size=2),
    max_leaves=3,
)


def values_of(form: Any) -> st.SearchStrategy[Any]:
    """Return values of a type, every field of a class among them."""
    origin, parts = get_origin(form), get_args(form)
    if dataclasses.is_dataclass(form):
        hints = get_type_hints(form)
        fields = {field.name: values_of(hints[field.name]) for field in dataclasses.fields(form)}
        found: st.SearchStrategy[Any] = st.builds(form, **fields)
    elif isinstance(form, type) and issubclass(form, Enum):
        found = st.sampled_from(form)
    elif origin in (dict, Mapping):
        found = st.dictionaries(*map(values_of, parts), max_size=2)
    elif origin is tuple and parts[-1] is not Ellipsis:
        found = st.tuples(*map(values_of, parts))
    elif origin in (tuple, list, frozenset, Sequence):
        kind = tuple if origin is Sequence else origin
        found = st.lists(values_of(parts[0]), max_size=2).map(kind)
    elif parts:
        found = st.one_of(*(st.none() if part is NoneType else values_of(part) for part in parts))
    else:
        found = JSON if form is Any else SCALARS[form]
    return found


def written(facts: RunFacts, folder: Path) -> Path:
    path = folder / FACTS
    write_facts(facts, path)
    return path


def again(facts: RunFacts, folder: Path) -> RunFacts:
    return read_facts(written(facts, folder))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(facts=values_of(RunFacts))
def test_what_is_read_is_what_was_written(tmp_path: Path, facts: RunFacts) -> None:
    """Whatever the fields hold, down to the types of numbers."""
    path = written(facts, tmp_path)
    before, found = path.read_bytes(), read_facts(path)
    assert found == facts
    assert written(found, tmp_path).read_bytes() == before


FOUND = {name: make for name, _, make, ruling in reversed(CASES) if ruling == "FAIL"}


@pytest.mark.parametrize(("name", "make"), FOUND.items(), ids=FOUND)
def test_every_check_that_fails_says_the_same_of_it(
    tmp_path: Path, name: str, make: Callable[[], MadeUpRun]
) -> None:
    """Ruling, numbers, words and evidence."""
    facts = make().facts()
    assert CHECKS[name](View(again(facts, tmp_path))) == CHECKS[name](View(facts))


def test_windows_that_were_packed_and_folded_come_back(tmp_path: Path) -> None:
    """A window of ten seconds and one of a single second are as the store gave them."""
    windows = list(run(LONG).windows(LONG - 1))
    assert {window.length_s for window in windows} > {1}
    facts = dataclasses.replace(MadeUpRun(1).facts(), windows=windows)
    assert list(again(facts, tmp_path).windows) == windows


def test_the_same_facts_are_the_same_bytes(tmp_path: Path) -> None:
    """No time and no name of a file is in it; each window has a line, and the whole is JSON."""
    facts = run_with_outage().facts()
    first = written(facts, tmp_path).read_bytes()
    again(facts, tmp_path)
    assert written(facts, tmp_path).read_bytes() == first
    text = gzip.decompress(first).decode()
    assert len(text.splitlines()) == len(facts.windows) + 2
    data = json.loads(text)
    assert (data["format"], data["version"]) == (FORMAT, VERSION)


def test_a_copy_that_a_browser_unpacked_is_read_too(tmp_path: Path) -> None:
    """It says JSON to the browser, which keeps what is in the archive."""
    path = written(MadeUpRun(3).facts(), tmp_path)
    plain = tmp_path / "facts.json"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    assert read_facts(plain) == read_facts(path) == read_facts(tmp_path)


def test_a_fact_that_an_earlier_version_did_not_know_has_its_default(tmp_path: Path) -> None:
    """Files live longer than the code that wrote them."""
    path = written(MadeUpRun(3).facts(), tmp_path)
    data = json.loads(gzip.decompress(path.read_bytes()))
    del data["run"]["half_open_probes"]
    path.write_text(json.dumps(data))
    assert read_facts(path).half_open_probes == 3


@pytest.mark.parametrize(
    ("words", "ruling"),
    [("Toxiproxy: toxic timeout", Ruling.INCONCLUSIVE), ("nftables: packets dropped", Ruling.PASS)],
)
def test_facts_that_name_no_backend_are_judged_as_they_were(
    tmp_path: Path, words: str, ruling: Ruling
) -> None:
    """Before version 3 only the words for the reader told what had made a fault."""
    run = run_with_outage()
    run.but(workers=[run.worker(24_000, past_proxies={"node2": 3})])
    run.faults[0].emulated_by = words
    path = written(run.facts(), tmp_path)
    data = json.loads(gzip.decompress(path.read_bytes()))
    del data["run"]["faults"][0]["backend"]
    path.write_text(json.dumps(data | {"version": 2}))
    assert CHECKS["fault_confirmed"](View(read_facts(path))).verdict is ruling


FIELDS = {
    "RunFacts": (
        "scenario seed client nodes users target_rate op_timeout_s pool_size started "
        "duration_s phases faults windows workers budgets half_open_probes wrong_values "
        "findings samples errors found leftovers server_connections uncounted node_events "
        "timeline_growth connections_are_ours stopped_early is_void broken_off totals "
        "earlier foreign_users groups client_under_test versions"
    ),
    "PhaseRecord": "name start_s end_s",
    "FaultRecord": (
        "id kind effects nodes emulated_by planned_at_s planned_end_s backend adds_s begun_at_s "
        "injected_at_s confirmed_at_s heal_started_s unseen_at_s healed_at_s why_not "
        "evidence"
    ),
    "Window": (
        "second cells slices batch_failed batch_keys batch_calls batch_alone "
        "batch_nothing raised own_connections own_commands own_misses pacing lag workers "
        "cpu nodes server machine users origin_calls origin_peak length_s is_sample"
    ),
    "Cell": "count keys hits service response",
    "Slice": "calls failed unattempted waiting waiting_failed",
    "Pacing": "planned sent dropped busy_samples late_samples",
    "NodeState": "breaker idle in_use opened_total probes_total created_total",
    "MachineLoad": "own others waited stolen",
    "WorkerFacts": (
        "id operations joined_at_s lost_at_s away unaccounted clock_error_s before after "
        "left_running rss_baseline rss_end slots_in_use stalls ended silenced hung_calls "
        "strays ledger keys_placed peak_calls open_at_quiesce past_proxies connections_held"
    ),
    "LedgerFacts": (
        "writes updates steps reads stale wrong_updates unasked expired outlived "
        "hides_keys lost masked unproven moved left_over stale_unsure older_counters "
        "denied declares_moves places evidence"
    ),
    "NodeEvent": "node change from_s until_s count limit",
    "EarlierRun": "scenario client name figures",
}
"""Of version 1."""


def test_a_changed_fact_has_a_new_version() -> None:
    """An older memquake would judge without it: give VERSION the next number, and note it here."""
    found: dict[str, str] = {}

    def visit(form: Any) -> None:
        if dataclasses.is_dataclass(form) and isinstance(form, type):
            hints = get_type_hints(form)
            names = [field.name for field in dataclasses.fields(form)]
            found[form.__name__] = " ".join(names)
            for name in names:
                visit(hints[name])
        for part in get_args(form):
            visit(part)

    visit(RunFacts)
    assert (VERSION, found) == (3, FIELDS)


def spoilt(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = written(run_with_outage().facts(), folder)
        data = json.loads(gzip.decompress(path.read_bytes()))
        change(data)
        path.write_text(json.dumps(data))
        return path

    return make


def holding(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / FACTS).write_bytes(content)
        return folder

    return make


def cut_off(folder: Path) -> Path:
    path = written(run_with_outage().facts(), folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda at: at / "gone", "does not exist", id="no such folder"),
        pytest.param(lambda at: at, "holds no facts.json.gz", id="no facts in the folder"),
        pytest.param(holding(b"\x1f\x8b not packed"), "is not the facts", id="no archive"),
        pytest.param(holding(b"PK\3\4"), "is not the facts", id="another archive"),
        pytest.param(holding(b"[" * 100_000), "is not the facts", id="JSON without end"),
        pytest.param(holding(b"[]"), "is not the facts", id="another document"),
        pytest.param(holding(b'{"version": 1}'), "is not the facts", id="a verdict.json"),
        pytest.param(cut_off, "is not the facts", id="cut off"),
        pytest.param(spoilt(lambda data: data.pop("windows")), "windows", id="without windows"),
        pytest.param(spoilt(lambda data: data["run"].pop("seed")), "seed", id="without a fact"),
        pytest.param(
            spoilt(lambda data: data["run"].update(mood="fine")), "no mood", id="a fact too many"
        ),
        pytest.param(
            spoilt(lambda data: data["run"].update(nodes="node1")), "expected a list", id="a word"
        ),
        pytest.param(spoilt(lambda data: data["run"].update(seed=[7])), "plain value", id="a list"),
        pytest.param(
            spoilt(lambda data: data.update(version=VERSION + 1)),
            f"has version {VERSION + 1} of the facts",
            id="a newer version",
        ),
        pytest.param(spoilt(lambda data: data.update(version="x")), "version x", id="no version"),
    ],
)
def test_what_is_no_facts_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], why: str
) -> None:
    """The line names the path, what is wrong with it, and what to give instead."""
    with pytest.raises(OutcomeError, match=why) as error:
        read_facts(make(tmp_path))
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """What cannot be written leaves nothing behind."""
    path = written(MadeUpRun(3).facts(), tmp_path)
    before = path.read_bytes()
    impossible: Any = dataclasses.replace(MadeUpRun(3).facts(), seed=object())
    with pytest.raises(TypeError):
        write_facts(impossible, path)
    assert [each.name for each in tmp_path.iterdir()] == [FACTS]
    assert path.read_bytes() == before


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        pytest.param({1: (2, b"x")}, {"1": [2, "b'x'"]}, id="names are text, rows are lists"),
        pytest.param([None, True, 1.5, "a"], [None, True, 1.5, "a"], id="plain values stay"),
        pytest.param(Odd(), "odd", id="anything else as its text"),
    ],
)
def test_cases_hold_what_json_holds(value: object, data: object) -> None:
    """What a client or a load process has brought along may be anything."""
    assert as_data(value) == data


@pytest.mark.parametrize("form", [set[int], int | str, object, Callable[[], int]])
def test_a_fact_of_a_type_that_json_cannot_tell_is_refused(form: Any) -> None:
    """At import, by whoever adds it."""
    with pytest.raises(TypeError, match="JSON"):
        codec_of(form)


def test_the_windows_of_a_codec_are_whole() -> None:
    """A window without anything is a second and its length."""
    codec = codec_of(Window)
    assert codec.encode(Window(3)) == {
        **{"second": 3, "pacing": {}, "length_s": 1, "is_sample": True},
    }

"""Numbers and sentences as people read them, shared by every report.

Text that came from a client or a scenario passes through `plain` first: it may hold anything, and
ends up in a terminal, in XML and in HTML. This module knows no format of its own.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from memquake.limits import LIMITS, Kind
from verdict.model import CheckResult, Contributor, Ruling, RunFacts, Verdict

READING_ORDER = (Ruling.FAIL, Ruling.INCONCLUSIVE, Ruling.PASS, Ruling.NOT_APPLICABLE)
FLOORS = frozenset({"enough_requests", "load_kept", "load_spread"})
"""Checks whose limit is a least: told apart from the others when observed and limit are equal."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Replace what must not reach a terminal or XML: control characters, lone surrogates."""
    return _UNPRINTABLE.sub("?", text)


def quantity(value: float | None, unit: str) -> str:
    """Write a number with its unit; shares as percentages, short times in ms."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return f"{value} {unit}"
    if unit == "share":
        return f"{_digits(value * 100)} %"
    if unit == "s" and 0 < abs(value) < 0.1:
        return f"{_digits(value * 1000)} ms"
    if unit == "count":
        return _digits(value) if value != int(value) else f"{int(value):,}"
    return f"{_digits(value)} {unit}".strip()


def _digits(value: float) -> str:
    size = abs(value)
    if value == int(value):
        return f"{int(value):,}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}".rstrip("0").rstrip(".") if size >= 0.01 else f"{value:.2g}"


def limit_text(check: CheckResult) -> str:
    """Write the limit with its direction: `<= 1 %` or `>= 95 %`."""
    if check.limit is None:
        return "-"
    sign = ">=" if _is_floor(check) else "<="
    return f"{sign} {quantity(check.limit, check.unit)}"


def _is_floor(check: CheckResult) -> bool:
    if check.name in FLOORS:
        return True
    own = LIMITS.get(check.name)
    if check.unit == "share" and own is not None and own.kind is Kind.SHARE:
        return False  # the limit of the check itself, whatever the ruling was mended by
    if check.observed is None or check.limit is None or check.observed == check.limit:
        return False
    is_over = check.observed > check.limit
    if check.verdict is Ruling.INCONCLUSIVE:
        return check.unit == "share" and not is_over  # a throughput that convicts nobody
    return is_over is (check.verdict is Ruling.PASS)


def reading_order(checks: Sequence[CheckResult]) -> list[CheckResult]:
    """Sort checks for reading: what failed first, otherwise in their fixed order."""
    return sorted(checks, key=lambda check: READING_ORDER.index(check.verdict))


def tally(checks: Sequence[CheckResult]) -> str:
    """Count the rulings: `1 failed, 17 passed, 8 not applicable`."""
    counts = Counter(check.verdict for check in checks)
    words = {
        Ruling.FAIL: "failed",
        Ruling.INCONCLUSIVE: "inconclusive",
        Ruling.PASS: "passed",
        Ruling.NOT_APPLICABLE: "not applicable",
    }
    return ", ".join(f"{counts[r]} {words[r]}" for r in READING_ORDER if counts[r])


def headline(verdict: Verdict) -> str:
    """Say in one sentence why the verdict is what it is."""
    deciding = [check for check in verdict.checks if check.verdict is verdict.ruling]
    if verdict.ruling is Ruling.PASS:
        return f"Every check that applies was held: {tally(verdict.checks)}."
    if not deciding:
        return "No check applied to this run, so it proves nothing."
    first = deciding[0]
    sentence = f"{first.name}: {plain(first.why)}"
    others = len(deciding) - 1
    if others:
        sentence += f" (and {others} more)"
    return sentence


def contributor_text(each: Contributor) -> str:
    """Write a contributor on one line: `get on node1: timeout, 12-15 s, 231 (80 %)`."""
    parts = [plain(each.outcome)]
    if when := span_text(each.from_s, each.to_s):
        parts.append(when)
    if each.count is not None:
        parts.append(quantity(each.count, "count"))
    text = ", ".join(parts)
    if each.share is not None:
        text += f" ({quantity(each.share, 'share')})"
    where = f"{plain(each.operation)} on {plain(each.node)}" if each.operation and each.node else ""
    where = where or plain(each.operation or each.node)
    return f"{where}: {text}" if where else text


def evidence_lines(evidence: Sequence[Contributor]) -> list[str]:
    """Write contributors with their examples, for a text of several lines."""
    lines = []
    for each in evidence:
        lines.append(f"- {contributor_text(each)}")
        if each.example:
            lines.append(f"  example: {example_text(each)}")
    return lines


def span_text(begin: float | None, end: float | None) -> str:
    """Write from when to when something happened, in seconds of the run."""
    if begin is None:
        return ""
    if begin < 0:
        return "before the run"
    if end is None or end == begin:
        return f"at {begin:g} s"
    return f"{round(begin, 1):g}-{round(end, 1):g} s"


def example_text(each: Contributor) -> str:
    """Write one real case on one line: its time first, then whatever is known of it."""
    parts = [
        f"at {value}" if name == "at" else f"{name}={value}" for name, value in example_fields(each)
    ]
    return " ".join(", ".join(parts).split())


def example_fields(each: Contributor) -> list[tuple[str, str]]:
    """Give name and value of what is known of a case, its time first.

    What its contributor says already is left out.
    """
    said = {"op": each.operation, "node": each.node, "outcome": each.outcome}
    known = {
        name: value
        for name, value in each.example.items()
        if value not in (None, "", [], {}) and value != said.get(name)
    }
    ordered = sorted(known.items(), key=lambda item: item[0] != "at_s")
    return [
        ("at" if name == "at_s" else plain(name), plain(_value_text(name, value)))
        for name, value in ordered
    ]


def _value_text(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, float):
        value = f"{value:.6g}"
    return f"{value} s" if name == "at_s" else str(value)


def load_text(facts: RunFacts) -> str:
    """Say what load was planned."""
    rate = f"{facts.target_rate:,.0f} iterations/s" if facts.target_rate else "closed loop"
    return f"{facts.users} users, {rate}"


def client_rows(facts: RunFacts) -> list[tuple[str, str]]:
    """Give who the client under test was and what ran it, as (name, text), without what is unknown.

    `facts.client` is only what was asked for; this is what came of it.
    """
    told = facts.client_under_test
    package = " ".join(str(told[name]) for name in ("package", "version") if told.get(name))
    rows = [
        ("client class", told.get("class")),
        ("client file", told.get("file")),
        ("client built in", told.get("factory_file")),
        ("client version", package),
        ("client libraries", _versions_text(told.get("libraries") or {})),
        ("versions", _versions_text(facts.versions)),
    ]
    return [(name, plain(str(value))) for name, value in rows if value]


def client_text(facts: RunFacts) -> str:
    """Write the client under test on one line, "" where nothing is known of it."""
    rows = dict(client_rows(facts))
    built = rows.get("client built in", "")
    parts = [
        rows.get("client class", ""),
        rows.get("client version", ""),
        f"with {rows['client libraries']}" if "client libraries" in rows else "",
        f"from {built or rows.get('client file', '')}" if "client class" in rows else "",
    ]
    return ", ".join(part for part in parts if part)


def _versions_text(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)

"""The end of a run on a terminal: what failed and why, then the figures, then where to read on.

Plain ASCII but for what a client or a scenario brought along; colour only where asked for. Fits
the given width, 80 columns and up.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from report.words import (
    client_text,
    contributor_text,
    example_text,
    limit_text,
    plain,
    quantity,
    reading_order,
    tally,
)
from verdict.model import CheckResult, Contributor, Figure, Ruling, RunFacts, Verdict

NARROWEST = 40
EXAMPLE_MAX = 300
"""Characters of an example; verdict.json and the report have it whole."""

_COLOURS = {Ruling.PASS: "32", Ruling.FAIL: "31", Ruling.INCONCLUSIVE: "33"}
_LABEL_WIDTH = len("INCONCLUSIVE") + 2
_GAP = "   "
_ROWS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("load", (("", "throughput"), ("", "keys_per_second"), ("of target", "target_rate_kept"))),
    # Both of the calls that were sent: what a breaker refuses is in the errors alone.
    ("service", (("p50", "service_p50"), ("p95", "service_p95"), ("p99", "service_p99"))),
    ("response", (("p50", "response_p50"), ("p95", "response_p95"), ("p99", "response_p99"))),
    (
        "errors",
        (
            ("baseline", "error_rate_baseline"),
            ("during", "error_rate_during"),
            ("after", "error_rate_after"),
        ),
    ),
    (
        "hit ratio",
        (
            ("baseline", "hit_ratio_baseline"),
            ("during", "hit_ratio_during"),
            ("after", "hit_ratio_after"),
        ),
    ),
)
_PREFIXES = (
    ("detection_time_", "fault to first failure"),
    ("time_to_fail_fast_", "fault to failing fast"),
    ("recovery_time_", "heal to recovered"),
    ("refill_time_", "heal to full cache"),
)


_TOLD_WITHOUT = frozenset({"recovery_time_"})
"""A node that did not recover is no less worth a word than one that did."""


def summary(
    verdict: Verdict,
    facts: RunFacts,
    run_dir: Path | str,
    color: bool = False,
    width: int = 100,
    *,
    has_report: bool = True,
) -> str:
    """Give the summary of a run as text, without a final newline; it ends with where to read on."""
    width = max(NARROWEST, width)
    lines = [_paint(verdict.ruling.value, verdict.ruling, color) + "  " + _title(verdict, facts)]
    if client := client_text(facts):
        lines += _wrapped(client, "client    ", width, break_on_hyphens=False)  # a path stays whole
    for check in reading_order(verdict.checks):
        if check.verdict in (Ruling.FAIL, Ruling.INCONCLUSIVE):
            lines += ["", *_check_lines(check, color, width)]
    for note in verdict.notes:
        lines += ["", *_wrapped(plain(note), "note".ljust(_LABEL_WIDTH), width)]
    lines += ["", tally([c for c in verdict.checks if c.verdict not in _DECIDING]) or "no check"]
    if found := _figure_lines(verdict.figures, width):
        lines += ["", *found]
    place = plain(str(run_dir))
    lines += ["", f"report  {place}/report.html" if has_report else f"folder  {place}"]
    return "\n".join(line.rstrip() for line in lines)


_DECIDING = (Ruling.FAIL, Ruling.INCONCLUSIVE)


def _title(verdict: Verdict, facts: RunFacts) -> str:
    operations = verdict.totals["operations"]
    return (
        f"{plain(facts.scenario)}, client {plain(facts.client)}, seed {facts.seed}: "
        f"{operations:,} operations in {facts.duration_s:.1f} s"
    )


def _check_lines(check: CheckResult, color: bool, width: int) -> list[str]:
    label = _paint(check.verdict.value.ljust(_LABEL_WIDTH), check.verdict, color)
    first = f"{label}{check.name}"
    if check.observed is not None:
        first += f": {quantity(check.observed, check.unit)}, limit {limit_text(check)}"
    lead = " " * _LABEL_WIDTH
    return [
        first,
        *_wrapped(plain(check.why), lead, width),
        *(line for each in check.evidence for line in _evidence_lines(each, lead, width)),
    ]


def _evidence_lines(each: Contributor, lead: str, width: int) -> Iterable[str]:
    yield from textwrap.wrap(
        contributor_text(each),
        width=width,
        initial_indent=f"{lead}- ",
        subsequent_indent=f"{lead}  ",
    )
    if each.example:
        shown = f"e.g. {example_text(each)}"
        if len(shown) > EXAMPLE_MAX:
            shown = shown[: EXAMPLE_MAX - 3] + "..."
        yield from _wrapped(shown, f"{lead}  ", width)


def _figure_lines(figures: Mapping[str, Figure], width: int) -> list[str]:
    lines: list[str] = []
    for title, columns in _ROWS:
        cells = [
            f"{label} {quantity(figures[name].value, figures[name].unit)}".strip()
            for label, name in columns
            if name in figures and figures[name].value is not None
        ]
        if cells:
            lines += _wrapped(_GAP.join(cells), f"{title:<10}", width)
    for prefix, meaning in _PREFIXES:
        cells = [
            f"{name.removeprefix(prefix)} {quantity(figure.value, figure.unit)}"
            for name, figure in figures.items()
            if name.startswith(prefix) and (figure.value is not None or prefix in _TOLD_WITHOUT)
        ]
        if cells:
            lines += _wrapped(f"{meaning}: {', '.join(cells)}", "", width)
    return lines


def _wrapped(text: str, lead: str, width: int, *, break_on_hyphens: bool = True) -> Iterable[str]:
    return textwrap.wrap(
        text,
        width=width,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_on_hyphens=break_on_hyphens,
    )


def _paint(text: str, ruling: Ruling, color: bool) -> str:
    code = _COLOURS.get(ruling)
    return f"\x1b[1;{code}m{text}\x1b[0m" if color and code else text

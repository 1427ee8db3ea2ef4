"""report.html: one file that opens anywhere, without a network, on a phone and on paper.

Lays out what the verdict says and draws what the windows hold. Everything that came from outside
is escaped by the template; nothing is loaded from anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from memquake.limits import LIMITS
from report.atomic import write_text
from report.charts import timeline_of
from report.words import (
    client_rows,
    contributor_text,
    example_fields,
    headline,
    limit_text,
    load_text,
    plain,
    quantity,
    reading_order,
    tally,
)
from verdict.model import Figure, Ruling, RunFacts, Verdict

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_WORDS = {
    Ruling.PASS: "pass",
    Ruling.FAIL: "fail",
    Ruling.INCONCLUSIVE: "inconclusive",
    Ruling.NOT_APPLICABLE: "absent",
}


def html_text(verdict: Verdict, facts: RunFacts) -> str:
    """Give the content of report.html."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = plain
    environment.globals.update(
        quantity=quantity,
        limit_text=limit_text,
        contributor_text=contributor_text,
        example_fields=example_fields,
    )
    template = environment.get_template("report.html.j2")
    return template.render(**_content(verdict, facts))


def write_html(verdict: Verdict, facts: RunFacts, path: Path) -> None:
    """Write report.html."""
    write_text(Path(path), html_text(verdict, facts))


def _content(verdict: Verdict, facts: RunFacts) -> dict[str, Any]:
    checks = reading_order(verdict.checks)
    return {
        "verdict": verdict,
        "facts": facts,
        "headline": headline(verdict),
        "tally": tally(verdict.checks),
        "css": _WORDS,
        "judged": [c for c in checks if c.verdict is not Ruling.NOT_APPLICABLE],
        "absent": [c for c in checks if c.verdict is Ruling.NOT_APPLICABLE],
        "timeline": timeline_of(facts, checks),
        "figures": _readable(verdict),
        "parameters": _parameters(facts),
        "load": load_text(facts),
    }


def _readable(verdict: Verdict) -> list[tuple[str, Figure]]:
    return [(name.replace("_", " "), figure) for name, figure in verdict.figures.items()]


def _parameters(facts: RunFacts) -> list[tuple[str, str]]:
    budgets = ", ".join(
        f"{name} = {quantity(limit, LIMITS[name].kind)}"
        for name, limit in sorted(facts.budgets.items())
    )
    rows = [
        ("scenario", facts.scenario),
        ("client", facts.client),
        *client_rows(facts),
        ("seed", str(facts.seed)),
        ("nodes", ", ".join(facts.nodes)),
        ("load", load_text(facts)),
        ("op timeout", quantity(facts.op_timeout_s, "s")),
        ("pool size", str(facts.pool_size)),
        ("started", facts.started),
        ("duration", quantity(facts.duration_s, "s")),
        ("budgets", budgets or "the defaults"),
    ]
    if facts.stopped_early:
        rows.append(("stopped early", facts.stopped_early))
    return [(name, plain(value)) for name, value in rows]

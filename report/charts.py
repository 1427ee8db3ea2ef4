"""Charts over time as inline SVG, with their axes and legends as data for the template.

A plot is stretched to the width it gets, so it holds no text: labels are HTML beside it and stay
readable on a phone. Every number written into markup is formatted here; every word is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from client.operation import Outcome
from report import series
from report.bands import Band, fault_bands, mark_bands, phase_bands
from report.scales import Scale, Tick, linear_scale, log_scale, time_scale, time_ticks
from report.series import Bin, Values, bins_of
from report.words import plain, quantity
from verdict.model import CheckResult, RunFacts

WIDTH = 1000  # units of the stretched viewBox; the height is 100
_ERROR_CLASSES: Mapping[str, str] = {
    "breaker_open": "kind-open",
    "timeout": "kind-timeout",
    "refused": "kind-refused",
    "closed": "kind-closed",
    "wrong_value": "kind-wrong",
    "bug": "kind-wrong",
    "bad_result": "kind-wrong",
}
_STATE_HEIGHTS: Mapping[str, int] = {"closed": 25, "half_open": 60, "open": 100}
"""States differ in height as well, for those who cannot tell the colours apart."""


@dataclass(frozen=True, kw_only=True)
class Legend:
    """One series: its name, its style, its largest value as text."""

    label: str
    css: str
    most: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart, ready to be laid out. `data` is what the pointer reads out."""

    id: str
    title: str
    unit: str  # of the numbers on the axis; "" where they say it themselves
    description: str
    svg: Markup
    y_ticks: Sequence[Tick]
    legend: Sequence[Legend]
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The breaker of one node over time."""

    node: str
    svg: Markup
    is_told: bool
    summary: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Everything drawn over time, on one axis."""

    charts: Sequence[Chart]
    strips: Sequence[Strip]
    x_ticks: Sequence[Tick]
    phases: Sequence[Band]
    faults: Mapping[str, Sequence[Band]]  # node -> its faults
    marks: Mapping[str, Sequence[Band]]  # check that was not held -> the seconds it speaks of


def timeline_of(facts: RunFacts, checks: Sequence[CheckResult] = ()) -> Timeline:
    """Draw a run, with what the checks found marked."""
    bins = bins_of(facts)
    begin = float(bins[0].begin) if bins else 0.0
    end = float(bins[-1].begin + bins[-1].seconds) if bins else facts.duration_s
    x = time_scale(begin, max(end, facts.duration_s if not bins else end))
    draw = _Drawing(facts, bins, x)
    return Timeline(
        charts=draw.charts(),
        strips=[draw.strip(node) for node in facts.nodes],
        x_ticks=time_ticks(x),
        phases=phase_bands(facts, x),
        marks=mark_bands(checks, x),
        faults={node: fault_bands(facts, node, x) for node in facts.nodes},
    )


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What a chart shows, apart from its numbers. `styles` maps a series to its class."""

    id: str
    title: str
    description: str
    unit: str
    styles: Mapping[str, str]


_THROUGHPUT = Plot(
    id="throughput",
    title="Throughput",
    description="Operations a second: all that were sent, and those that did what was asked.",
    unit="ops/s",
    styles={"completed": "line-main", "sent": "line-faint"},
)
_LATENCY = Plot(
    id="latency",
    title="Latency",
    description=(
        "Per second, on a logarithmic scale. Service time judges nodes, from the actual send;"
        " response time is what a caller felt, from the intended start. Both of the same calls:"
        " those that were never sent, or that the harness cut off, are left out."
    ),
    unit="ms",
    styles={
        "service p50": "line-faint",
        "service p99": "line-main",
        "response p99": "line-accent",
    },
)
_ERRORS = Plot(
    id="errors",
    title="Errors by kind",
    description=(
        "Failed operations a second, stacked. breaker_open was refused at once, without asking"
        " the node."
    ),
    unit="errors/s",
    styles={kind: _ERROR_CLASSES.get(kind, "kind-other") for kind in Outcome},
)
_HITS = Plot(
    id="hits",
    title="Hit ratio",
    description="Share of the keys read that were found.",
    unit="share",
    styles={"hit ratio": "line-main"},
)


class _Drawing:
    """The charts of one run on one time axis."""

    def __init__(self, facts: RunFacts, bins: Sequence[Bin], x: Scale) -> None:
        self.facts = facts
        self.bins = bins
        self.x = x
        self.backdrop = self._backdrop()

    def charts(self) -> list[Chart]:
        """Draw every chart, in the order of the report."""
        return [
            self._lines(_THROUGHPUT, series.throughput(self.bins)),
            self._lines(_LATENCY, series.latency(self.bins)),
            self._stack(_ERRORS, series.errors(self.bins)),
            self._lines(_HITS, series.hit_ratio(self.bins)),
        ]

    def strip(self, node: str) -> Strip:
        """Draw the breaker of one node."""
        states = series.breaker_states(self.bins, node)
        parts = []
        for begin, end, state in _runs(states):
            if not state:
                continue
            left = self._left(self.bins[begin])
            right = self._left(self.bins[end - 1], at_end=True)
            height = _STATE_HEIGHTS.get(state, 100)
            parts.append(
                Markup('<rect class="state-{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                    state, _n(left), 100 - height, _n(right - left), height
                )
            )
        opened = sum(
            each.seconds for each, state in zip(self.bins, states, strict=True) if state == "open"
        )
        summary = f"open for {opened} s" if any(states) else "nothing told"
        svg = self._svg(f"strip-{node}", f"Breaker of {node}", summary, Markup("").join(parts))
        return Strip(node=node, svg=svg, is_told=any(states), summary=summary)

    def _left(self, each: Bin, *, at_end: bool = False) -> float:
        moment = each.begin + (each.seconds if at_end else 0)
        return self.x.place(moment) * WIDTH / 100

    def _middle(self, each: Bin) -> float:
        return self.x.place(each.begin + each.seconds / 2) * WIDTH / 100

    def _backdrop(self) -> Markup:
        """Shade the faults and mark where phases end."""
        parts = []
        spans = {
            (band.left, band.width)
            for node in self.facts.nodes
            for band in fault_bands(self.facts, node, self.x)
        }
        for left, width in sorted(spans):
            parts.append(
                Markup('<rect class="fault-shade" x="{}" y="0" width="{}" height="100"/>').format(
                    _n(left * WIDTH / 100), _n(max(width * WIDTH / 100, 1))
                )
            )
        for band in phase_bands(self.facts, self.x)[1:]:
            at = _n(band.left * WIDTH / 100)
            parts.append(
                Markup('<line class="phase-mark" x1="{}" x2="{}" y1="0" y2="100"/>').format(at, at)
            )
        return Markup("").join(parts)

    def _svg(self, name: str, title: str, description: str, body: Markup) -> Markup:
        return Markup(
            '<svg viewBox="0 0 {} 100" preserveAspectRatio="none" role="img"'
            ' aria-labelledby="{}-t {}-d"><title id="{}-t">{}</title>'
            '<desc id="{}-d">{}</desc>{}{}</svg>'
        ).format(WIDTH, *[name] * 3, plain(title), name, plain(description), self.backdrop, body)

    def _grid(self, y: Scale) -> Markup:
        return Markup("").join(
            Markup('<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
                WIDTH, _n(100 - tick.at), _n(100 - tick.at)
            )
            for tick in y.ticks()
        )

    def _lines(self, plot: Plot, columns: Mapping[str, Values]) -> Chart:
        seen = [value for column in columns.values() for value in column if value is not None]
        if plot.unit == "ms":
            y = log_scale(min(seen, default=0.1), max(seen, default=1.0), plot.unit)
        else:
            y = linear_scale(max(seen, default=0.0), plot.unit)
        # Drawn last is drawn on top, so the faint ones come first.
        drawn = sorted(columns, key=lambda label: plot.styles[label] != "line-faint")
        body = Markup("").join(
            Markup('<path class="line {}" d="{}"/>').format(
                plot.styles[label], self._path(columns[label], y)
            )
            for label in drawn
        )
        return self._chart(plot, columns, y, body)

    def _path(self, column: Values, y: Scale) -> str:
        parts = []
        is_down = False
        for each, value in zip(self.bins, column, strict=True):
            if value is None:
                is_down = False
                continue
            command = "L" if is_down else "M"
            parts.append(f"{command}{_n(self._middle(each))} {_n(100 - y.place(value))}")
            if not is_down:
                parts.append("h0.01")  # a point without neighbours is seen as a dot
            is_down = True
        return "".join(parts)

    def _stack(self, plot: Plot, columns: Mapping[str, Values]) -> Chart:
        sums = [0.0] * len(self.bins)
        layers = []
        for label, column in columns.items():
            below = sums
            sums = [low + (value or 0.0) for low, value in zip(sums, column, strict=True)]
            layers.append((label, below, sums))
        y = linear_scale(max(sums, default=0.0), plot.unit)
        body = Markup("").join(
            Markup('<path class="area {}" d="{}"/>').format(
                plot.styles.get(label, "kind-other"), self._area(below, above, y)
            )
            for label, below, above in layers
        )
        return self._chart(plot, columns, y, body)

    def _area(self, below: Sequence[float], above: Sequence[float], y: Scale) -> str:
        parts = []
        for each, low, high in zip(self.bins, below, above, strict=True):
            if high > low:
                left, right = self._left(each), self._left(each, at_end=True)
                bottom, top = _n(100 - y.place(low)), _n(100 - y.place(high))
                parts.append(f"M{_n(left)} {bottom}V{top}H{_n(right)}V{bottom}Z")
        return "".join(parts)

    def _chart(self, plot: Plot, columns: Mapping[str, Values], y: Scale, body: Markup) -> Chart:
        legend = [
            Legend(
                label=label, css=plot.styles.get(label, "kind-other"), most=_most(column, plot.unit)
            )
            for label, column in columns.items()
        ]
        said = ", ".join(f"{item.label} at most {item.most}" for item in legend)
        description = f"{plot.description} {said}".strip()
        return Chart(
            id=plot.id,
            title=plot.title,
            unit="" if plot.unit == "share" else plot.unit,
            description=plot.description,
            svg=self._svg(plot.id, plot.title, description, self._grid(y) + body),
            y_ticks=y.ticks(),
            legend=legend,
            data={
                "unit": plot.unit,
                "at": [each.begin for each in self.bins],
                "left": [round(self._middle(each) * 100 / WIDTH, 2) for each in self.bins],
                "values": [[_short(value) for value in column] for column in columns.values()],
            },
        )


def _most(column: Values, unit: str) -> str:
    seen = [value for value in column if value is not None]
    return quantity(max(seen), unit) if seen else "no data"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _runs(states: Sequence[str]) -> list[tuple[int, int, str]]:
    """Give (first, past the last, state) of each stretch of equal states."""
    found: list[tuple[int, int, str]] = []
    for index, state in enumerate(states):
        if found and found[-1][2] == state:
            found[-1] = (found[-1][0], index + 1, state)
        else:
            found.append((index, index + 1, state))
    return found


def _n(value: float) -> str:
    """Write a coordinate: two digits are a fraction of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")

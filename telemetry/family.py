"""What is known of a metric before any is collected: type, unit, labels and their possible values.

Its rule: a label says what it can be and how many values that makes, because every combination is
a series that Prometheus keeps. Here is the form of the list in telemetry.families. It reads no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

HISTOGRAM_SERIES = ("_bucket", "_count", "_sum")


class Kind(StrEnum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True)
class Values:
    """What a label can be: `words` if they are known, else what `many` counts."""

    meaning: str
    words: frozenset[str] | None = None
    many: str = "1"

    @property
    def bound(self) -> str:
        """Say how many values there can be: a number, or what it is the number of."""
        return self.many if self.words is None else str(len(self.words))


def words_of(meaning: str, *words: str) -> Values:
    """Give a label that has one of these words, which mean so much together."""
    return Values(meaning=meaning, words=frozenset(words))


def spelled(*words: str) -> Values:
    """Give a label whose words speak for themselves."""
    return words_of(", ".join(f"`{word}`" for word in words), *words)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One metric. `name` is as it is queried, for a histogram without its endings.

    `unit` is that of its values. A metric with `needs` is missing for clients without that.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: Mapping[str, Values] = field(default_factory=dict)
    needs: str = ""

    @property
    def series(self) -> tuple[str, ...]:
        """Give the names a query can use."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(self.name + ending for ending in HISTOGRAM_SERIES)
        return (self.name,)

    @property
    def queried_labels(self) -> frozenset[str]:
        """Give the labels a query can use."""
        more = {"le"} if self.kind is Kind.HISTOGRAM else set()
        return frozenset(self.labels) | more

    def counter(self) -> CounterMetricFamily:
        """Give an empty counter of this name."""
        return CounterMetricFamily(self.name.removesuffix("_total"), self.help, labels=self._names)

    def gauge(self) -> GaugeMetricFamily:
        """Give an empty gauge of this name."""
        return GaugeMetricFamily(self.name, self.help, labels=self._names)

    def histogram(self) -> HistogramMetricFamily:
        """Give an empty histogram of this name."""
        return HistogramMetricFamily(self.name, self.help, labels=self._names)

    def of(self, value: float) -> Metric:
        """Give the metric with its one value, for a metric without labels."""
        family = self.counter() if self.kind is Kind.COUNTER else self.gauge()
        family.add_metric((), value)
        return family

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.labels)

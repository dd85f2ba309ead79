"""What every series had at one moment in, the metrics of a page out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from evalspan.metrics._declared import DECLARED, Declared
from evalspan.metrics._labels import LONGEST
from evalspan.metrics._series import CounterNow, HistogramNow, Labels, has_sum


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value read at the time of a scrape; `name` is one of the declared ones."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """The numbers of all metrics by name, copied: they are written out without a lock."""

    gauges: Mapping[str, Sequence[Gauge]]
    counters: Mapping[str, Sequence[tuple[Labels, CounterNow]]]
    histograms: Mapping[str, Sequence[tuple[Labels, HistogramNow]]]

    def families(
        self, labels: Mapping[str, Labels], bounds: Callable[[str, str], tuple[float, ...]]
    ) -> Iterator[Metric]:
        """Yield every metric; `bounds` are those of a name and the first label."""
        for declared in DECLARED:
            names = labels[declared.name]
            if declared.kind == "histogram":
                yield self._histogram(declared, names, bounds)
            elif declared.kind == "counter":
                yield self._counter(declared, names)
            else:
                yield self._gauge(declared, names)

    def _shown(self, declared: Declared, names: Labels) -> Iterable[tuple[list[str], float]]:
        for gauge in self.gauges.get(declared.name, ()):
            yield [gauge.labels.get(name, "")[:LONGEST] for name in names], gauge.value

    def _gauge(self, declared: Declared, names: Labels) -> Metric:
        if declared.kind == "info":
            info = InfoMetricFamily(declared.family, declared.help, labels=names)
            for labels, _ in self._shown(declared, names):
                info.add_metric(labels, {})
            return info
        gauge = GaugeMetricFamily(declared.name, declared.help, labels=names, unit=declared.unit)
        for labels, value in self._shown(declared, names):
            gauge.add_metric(labels, value)
        return gauge

    def _counter(self, declared: Declared, names: Labels) -> Metric:
        unit = declared.unit
        family = CounterMetricFamily(declared.name, declared.help, labels=names, unit=unit)
        for counted, now in self.counters.get(declared.name, ()):
            family.add_metric(counted, now.value, None, None, now.exemplar)
        for labels, value in self._shown(declared, names):
            family.add_metric(labels, value)
        return family

    def _histogram(
        self,
        declared: Declared,
        names: Labels,
        bounds_of: Callable[[str, str], tuple[float, ...]],
    ) -> Metric:
        unit = declared.unit
        family = HistogramMetricFamily(declared.name, declared.help, labels=names, unit=unit)
        for labels, now in self.histograms.get(declared.name, ()):
            bounds = bounds_of(declared.name, labels[0])
            total = now.sum if has_sum(bounds) else None
            family.add_metric(labels, list(now.cumulative(bounds)), total)
        return family

"""Counters and histograms that grow by whole frames, and the scrape that shows them."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

import polars as pl
from prometheus_client.core import Metric

from evalspan.metrics._declared import (
    CALL,
    DECLARED,
    DIMENSIONS,
    EVERY_VERDICT,
    PROMPT,
    Declared,
)
from evalspan.metrics._labels import Budgets
from evalspan.metrics._page import Gauge, Moment
from evalspan.metrics._places import MOST_SERIES, Places
from evalspan.metrics._rows import buckets, call_rows, rise, sound, verdict_rows
from evalspan.metrics._series import Counter, Histogram, Labels, has_sum
from evalspan.model import VERDICTS

# Longer than a weekend: what is idle over it goes on where it was.
EXPIRE_AFTER: Final = timedelta(days=3)
Key = tuple[Any, ...]
Series = TypeVar("Series", Counter, Histogram)
# Labels that data fill: metrics that have one are bounded and expire.
_DATA: Final = frozenset((*PROMPT, *CALL))
_OUTCOMES = ("received", "stored", "duplicate", "quarantined")


class Metrics:
    """All metrics of the pipeline; a prometheus_client collector."""

    def __init__(
        self,
        dimensions: Sequence[str],
        budgets: Budgets,
        bounds: Mapping[str, tuple[float, ...]] | None = None,
        *,
        expire_after: timedelta = EXPIRE_AFTER,
        series_budget: int = MOST_SERIES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Show the configured dimensions as labels; `bounds` are check → upper bounds.

        A series with a label that data fill goes away when it was not counted on for
        `expire_after`; such a metric has at most `series_budget` time series. `clock` gives
        seconds since 1970.
        """
        self.dimensions = tuple(d for d in dimensions if d not in PROMPT)
        self._labels = {d.name: labels_of(d, self.dimensions) for d in DECLARED}
        self._declared = {d.name: d for d in DECLARED}
        self.budgets = budgets
        self._bounds = dict(bounds or {})
        self._series_budget = series_budget
        self._expire_seconds = expire_after.total_seconds()
        self._clock = clock
        self._scraped_at = 0.0
        self._lock = threading.RLock()
        self._found: dict[str, dict[Key, Any]] = {}  # metric → labels in the data → series
        self._counters: dict[str, dict[Labels, Counter]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._places = {
            name: self.places(name, names)
            for name, names in self._labels.items()
            if not _DATA.isdisjoint(names)
        }
        self._sources: list[Callable[[], Iterable[Gauge]]] = []
        for name in ("evalspan_spans", "evalspan_log_records"):
            for outcome in _OUTCOMES:  # there from the start: increase() cannot see a first value
                self.count(name, {"outcome": outcome}, 0)

    def whole(self) -> AbstractContextManager[object]:
        """What is counted within is seen by a scrape as a whole, or not at all."""
        return self._lock

    def add_source(self, source: Callable[[], Iterable[Gauge]]) -> None:
        """Read these values at each scrape; counters may be among them."""
        self._sources.append(source)

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1) -> None:
        """Add to one counter."""
        values = tuple(labels.get(label, "") for label in self._labels[name])
        with self._lock:
            counter = self._counter(name, values)
            counter.value += amount
            counter.counted_at = self._clock()

    def count_calls(self, spans: pl.DataFrame, cost_usd: pl.Series | None = None) -> None:
        """Count the model calls of a settled frame; spans that do not count are left out."""
        calls = call_rows(spans, cost_usd)
        if calls.is_empty():
            return
        self._observe("gen_ai_client_operation_duration_seconds", calls, "seconds")
        name = "gen_ai_client_operation_time_to_first_chunk_seconds"
        self._observe(name, calls, "first_chunk_seconds")
        for kind in ("input", "output"):
            typed = calls.with_columns(gen_ai_token_type=pl.lit(kind))
            self._observe("gen_ai_client_token_usage", typed, f"{kind}_tokens")
        if cost_usd is not None:
            self._count_cost(calls)

    def count_scores(self, scores: pl.DataFrame) -> None:
        """Count verdicts and values; the frame has SCORES and a column per dimension."""
        if scores.is_empty():
            return
        rows = verdict_rows(scores, self.dimensions)
        self._count_verdicts(rows)
        of_check = rows.filter(pl.col("item") == "").drop("item", "verdict", "cost_usd")
        self._observe("evalspan_check_value", of_check, "value")

    def _count_verdicts(self, rows: pl.DataFrame) -> None:
        name = "evalspan_verdicts"
        last, cost = pl.col("trace_id").last(), rise("cost_usd")
        groups = self._group(name, rows, pl.len(), last, cost)
        verdict, check = (self._labels[name].index(label) for label in ("verdict", "check"))
        with self._lock:
            now = self._clock()
            known = self._found.setdefault(name, {})
            for key, (count, trace_id, spent) in groups:
                counter = known.get(key) or self._find(name, key, count, self._verdict_counter)
                counter.value += count
                counter.counted_at = now
                for beside in counter.beside:
                    beside.counted_at = now
                if key[verdict] == "fail":
                    counter.exemplars.offer(trace_id, 1.0, now, failing=True)
                if spent:
                    of_check = (self.budgets.admit("check", key[check]),)
                    self._counter("evalspan_judge_cost_usd", of_check).value += spent

    def _count_cost(self, calls: pl.DataFrame) -> None:
        name = "evalspan_cost_usd"
        groups = self._group(name, calls, pl.len(), rise("cost_usd"))
        with self._lock:
            now = self._clock()
            known = self._found.setdefault(name, {})
            for key, (count, cost) in groups:
                counter = known.get(key) or self._find(name, key, count, self._counter)
                counter.value += cost
                counter.counted_at = now

    def _observe(self, name: str, rows: pl.DataFrame, value: str) -> None:
        signed = name == "evalspan_check_value"
        rows = sound(rows, value, signed=signed)
        if rows.is_empty():
            return
        rows = rows.with_columns(bucket=buckets(rows, partial(self.bounds, name)))
        last = (pl.col(column).last() for column in ("trace_id", "number", "failing"))
        total = rise("number") if signed else pl.col("number").sum()
        groups = self._group(name, rows, pl.len(), total, *last, also=("bucket",))
        with self._lock:
            now = self._clock()
            known = self._found.setdefault(name, {})
            for key, (bucket, count, rose, trace_id, shown, failing) in groups:
                histogram = known.get(key) or self._find(name, key, count, self._histogram)
                histogram.counts[bucket] += count
                histogram.sum += rose
                histogram.counted_at = now
                histogram.exemplars.offer(trace_id, shown, now, failing=failing, place=bucket)

    def _group(
        self,
        name: str,
        rows: pl.DataFrame,
        *found: pl.Expr,
        also: tuple[str, ...] = (),
    ) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        """Yield the labels of each group of rows, and what else it has and was found of it."""
        names = self._labels[name]
        aggregated = [each.alias(f"found {number}") for number, each in enumerate(found)]
        with self._lock:
            rows = self.budgets.within(rows, names)
        groups = rows.group_by([*names, *also], maintain_order=True).agg(aggregated)
        width = len(names)
        return ((row[:width], row[width:]) for row in groups.iter_rows())

    def _find(
        self, name: str, key: Key, rows: int, series_of: Callable[[str, Labels], Series]
    ) -> Series:
        """Return the series of a key that `rows` rows have; one shown as it is is remembered."""
        labels = self._places[name].admit(key, rows)
        series = series_of(name, labels)
        if labels == tuple("" if value is None else value for value in key):
            self._found[name][key] = series
        return series

    def _counter(self, name: str, labels: Labels) -> Counter:
        known = self._counters.setdefault(name, {})
        if labels not in known:
            known[labels] = Counter(self._clock())
        return known[labels]

    def _verdict_counter(self, name: str, labels: Labels) -> Counter:
        """Return the counter of a verdict; those of pass and fail are there and stay with it.

        A share needs both numbers, the one that is 0 too.
        """
        counter = self._counter(name, labels)
        if counter.beside:
            return counter
        place = self._labels[name].index("verdict")
        others = ((*labels[:place], word, *labels[place + 1 :]) for word in VERDICTS)
        counter.beside = tuple(self._counter(name, other) for other in others)
        return counter

    def _histogram(self, name: str, labels: Labels) -> Histogram:
        known = self._histograms.setdefault(name, {})
        if labels not in known:
            known[labels] = Histogram.of(self.bounds(name, labels[0]), self._clock())
        return known[labels]

    def declared(self, name: str) -> Declared:
        """Return what is declared of a metric."""
        return self._declared[name]

    def labels_of(self, name: str) -> Labels:
        """Return the labels of a metric in order, the configured dimensions by name."""
        return self._labels[name]

    def places(self, name: str, names: Labels) -> Places:
        """Return places for the label sets of a metric, which are of these names."""
        return Places(names, self.budgets, self._series_budget, partial(self._series_of, name))

    def _series_of(self, name: str, labels: Labels) -> int:
        """Return how many time series the labels of a metric are shown as."""
        if self._declared[name].kind == "histogram":
            bounds = self.bounds(name, labels[0])
            return len(bounds) + (3 if has_sum(bounds) else 1)
        return len(EVERY_VERDICT) if "verdict" in self._labels[name] else 1

    def bounds(self, name: str, check: str = "") -> tuple[float, ...]:
        """Return the upper bounds of a histogram; those of a check's values may be its own."""
        own = self._bounds.get(check) if name == "evalspan_check_value" else None
        return own or self._declared[name].buckets

    def _expire(self) -> None:
        """Take off the page what was not counted on for long, and free its labels' places.

        Only a scrape does so, and only with what an earlier one has shown to the end: the
        scrape that no longer shows a series comes before the one that shows it again, from
        0, which Prometheus takes for a restart.
        """
        now = self._clock()
        before = min(now - self._expire_seconds, self._scraped_at)
        self._scraped_at = now
        gone = 0
        for _, known in self._fading():
            old = [labels for labels, series in known.items() if series.counted_at < before]
            for labels in old:
                del known[labels]
            gone += len(old)
        if gone:
            self._found.clear()
            self.budgets.keep((self._labels[name], known) for name, known in self._fading())
            for name, known in self._fading():
                self._places[name].keep(known)

    def _fading(self) -> Iterator[tuple[str, dict[Labels, Any]]]:
        """Yield the metrics that data name the series of; the others show each they ever had."""
        for known in (self._counters, self._histograms):
            for name, series in known.items():
                if name in self._places:
                    yield name, series

    def collect(self) -> Iterator[Metric]:
        """Return every metric as it is now (the protocol of prometheus_client).

        What is counted waits while numbers are copied, not while they are written out.
        """
        with self._lock:
            self._expire()
            now = Moment(self._gauges(), _copied(self._counters), _copied(self._histograms))
        return now.families(self._labels, self.bounds)

    def _gauges(self) -> dict[str, list[Gauge]]:
        """Return what the sources say: some of it is compared with what is counted here."""
        found = [gauge for source in self._sources for gauge in source()]
        for label, rows in self.budgets.overflow.items():
            found.append(Gauge("evalspan_label_overflow", float(rows), {"dimension": label}))
        for name, places in self._places.items():
            labels = {"metric": name}
            found.append(Gauge("evalspan_series_overflow", float(places.overflow), labels))
        gauges: dict[str, list[Gauge]] = {}
        for gauge in found:
            gauges.setdefault(gauge.name, []).append(gauge)
        return gauges


def _copied(series: Mapping[str, Mapping[Labels, Any]]) -> dict[str, list[tuple[Labels, Any]]]:
    return {
        name: [(labels, one.now()) for labels, one in known.items()]
        for name, known in series.items()
    }


def labels_of(declared: Declared, dimensions: Sequence[str]) -> Labels:
    """Return the labels of a metric in order, the configured dimensions by name."""
    parts = [dimensions if label == DIMENSIONS else (label,) for label in declared.labels]
    return tuple(label for part in parts for label in part)

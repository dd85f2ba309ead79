"""Counters and histograms that grow by whole frames, and the scrape that shows them."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.samples import Exemplar

from evalspan.metrics._declared import DECLARED, DIMENSIONS, PROMPT, Declared
from evalspan.metrics._labels import OTHER, Budgets
from evalspan.model import VERDICTS

Labels = tuple[str, ...]
_OUTCOMES = ("received", "stored", "duplicate", "quarantined")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value read at the time of a scrape; `name` is one of the declared ones."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Histogram:
    counts: np.ndarray[tuple[int], np.dtype[np.int64]]
    sum: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


@dataclass(slots=True)
class _Counter:
    value: float = 0.0
    exemplar: Exemplar | None = None


class Metrics:
    """All metrics of the pipeline; a prometheus_client collector."""

    def __init__(
        self,
        dimensions: Sequence[str],
        budgets: Budgets,
        buckets: Mapping[str, tuple[float, ...]] | None = None,
    ) -> None:
        """Show the configured dimensions as labels; `buckets` are check → upper bounds."""
        extra = [d for d in dimensions if d not in PROMPT]
        self._labels = {d.name: _labels(d, extra) for d in DECLARED}
        self._declared = {d.name: d for d in DECLARED}
        self._budgets = budgets
        self._buckets = dict(buckets or {})
        self._lock = threading.RLock()
        self._admitted: dict[tuple[str, tuple[Any, ...]], Labels] = {}
        self._counters: dict[str, dict[Labels, _Counter]] = {}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {}
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
        with self._lock:
            self._counter(name, labels).value += amount

    def count_calls(self, spans: pl.DataFrame, cost_usd: pl.Series | None = None) -> None:
        """Count the model calls of a settled frame; spans that do not count are left out."""
        if cost_usd is not None:
            spans = spans.with_columns(cost_usd=cost_usd)
        calls = spans.filter(pl.col("role").is_in(["llm", "embedding"]), pl.col("counts"))
        if calls.is_empty():
            return
        calls = calls.with_columns(
            gen_ai_operation_name="operation",
            gen_ai_provider_name="provider",
            gen_ai_request_model="request_model",
            gen_ai_response_model="response_model",
            seconds=pl.col("duration_ms") / 1000,
            first_chunk_seconds=pl.col("time_to_first_token_ms") / 1000,
        )
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
        scores = scores.filter(pl.col("skipped").is_null()).with_columns(
            service="service_name",
            prompt="prompt_name",
            shown=pl.when(pl.col("error").is_not_null())
            .then(pl.lit("error"))
            .otherwise(pl.col("verdict").fill_null("none")),
        )
        self._count_verdicts(scores)
        for (check,), rows in scores.filter(pl.col("item") == "").group_by("check"):
            bounds = self._buckets.get(str(check))
            self._observe("evalspan_check_value", rows, "value", bounds)

    def _count_verdicts(self, scores: pl.DataFrame) -> None:
        name = "evalspan_verdicts"
        shown = scores.drop("verdict").rename({"shown": "verdict"})
        last, cost = pl.col("trace_id").last(), pl.col("cost_usd").sum()
        groups = self._group(name, shown, pl.len(), last, cost)
        verdict, check = (self._labels[name].index(label) for label in ("verdict", "check"))
        with self._lock:
            for key, (count, trace_id, spent) in groups:
                labels = self._admit(name, key, count)
                for word in VERDICTS:  # a share needs both numbers, the one that is 0 too
                    self._series(name, (*labels[:verdict], word, *labels[verdict + 1 :]))
                counter = self._series(name, labels)
                counter.value += count
                if labels[verdict] == "fail":
                    counter.exemplar = _exemplar(trace_id, 1.0)
                if spent:
                    of_check = {"check": labels[check]}
                    self._counter("evalspan_judge_cost_usd", of_check).value += spent

    def _count_cost(self, calls: pl.DataFrame) -> None:
        name = "evalspan_cost_usd"
        calls = calls.with_columns(
            service="service_name",
            prompt="prompt_name",
            model=pl.coalesce("response_model", "request_model"),
            prompt_version=pl.coalesce("prompt_version", "prompt_hash"),
        )
        groups = self._group(name, calls, pl.len(), pl.col("cost_usd").clip(0).sum())
        with self._lock:
            for key, (count, cost) in groups:
                self._series(name, self._admit(name, key, count)).value += cost

    def _observe(
        self,
        name: str,
        frame: pl.DataFrame,
        value: str,
        bounds: tuple[float, ...] | None = None,
    ) -> None:
        sound = pl.col(value).is_not_null() & pl.col(value).is_finite()
        if name != "evalspan_check_value":  # of times and counts a sum never falls
            sound &= pl.col(value) >= 0
        frame = frame.filter(sound).with_columns(pl.col(value).cast(pl.Float64))
        if frame.is_empty():
            return
        bounds = bounds or self._declared[name].buckets
        place = np.searchsorted(np.asarray(bounds), frame[value].to_numpy(), side="left")
        placed = frame.with_columns(bucket=pl.Series(place))
        measured = pl.col(value)
        found = pl.len(), measured.sum(), pl.col("trace_id").last(), measured.last().alias("last")
        groups = self._group(name, placed, *found, also=("bucket",))
        with self._lock:
            known = self._histograms.setdefault(name, {})
            for (*key, bucket), (count, total, trace_id, last) in groups:
                labels = self._admit(name, tuple(key), count)
                if labels not in known:
                    known[labels] = _Histogram(np.zeros(len(bounds) + 1, dtype=np.int64))
                histogram = known[labels]
                histogram.counts[bucket] += count
                histogram.sum += total
                histogram.exemplars[bucket] = _exemplar(trace_id, last)

    def _group(
        self,
        name: str,
        frame: pl.DataFrame,
        *found: pl.Expr,
        also: tuple[str, ...] = (),
    ) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """Yield the labels of each group of rows, and what was found of it."""
        keys = [*self._labels[name], *also]
        aggregated = [each.alias(f"found {number}") for number, each in enumerate(found)]
        groups = frame.group_by(keys, maintain_order=True).agg(aggregated)
        return ((row[: len(keys)], row[len(keys) :]) for row in groups.iter_rows())

    def _admit(self, name: str, key: tuple[Any, ...], rows: int) -> Labels:
        """Return the labels to show; those within their budgets are remembered as a whole."""
        admitted = self._admitted.get((name, key))
        if admitted is None:
            texts = (None if value is None else str(value) for value in key)
            named = zip(self._labels[name], texts, strict=True)
            admitted = tuple(self._budgets.admit(label, text, rows) for label, text in named)
            if OTHER not in admitted:
                self._admitted[name, key] = admitted
        return admitted

    def _counter(self, name: str, labels: Mapping[str, str]) -> _Counter:
        return self._series(name, tuple(labels.get(k, "") for k in self._labels[name]))

    def _series(self, name: str, labels: Labels) -> _Counter:
        return self._counters.setdefault(name, {}).setdefault(labels, _Counter())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now (the protocol of prometheus_client)."""
        with self._lock:  # the sources too: their numbers are compared with those counted here
            gauges: dict[str, list[Gauge]] = {}
            for source in self._sources:
                for gauge in source():
                    gauges.setdefault(gauge.name, []).append(gauge)
            overflow = [
                Gauge("evalspan_label_overflow", float(n), {"dimension": d})
                for d, n in self._budgets.overflow.items()
            ]
            gauges.setdefault("evalspan_label_overflow", []).extend(overflow)
            for declared in DECLARED:
                yield self._family(declared, gauges.get(declared.name, []))

    def _family(self, declared: Declared, gauges: list[Gauge]) -> Metric:
        labels = self._labels[declared.name]
        if declared.kind == "histogram":
            return self._histogram_family(declared, labels)
        shown = [([g.labels.get(k, "") for k in labels], g.value) for g in gauges]
        if declared.kind != "counter":
            gauge = GaugeMetricFamily(declared.name, declared.help, labels=labels)
            for values, value in shown:
                gauge.add_metric(values, value)
            return gauge
        family = CounterMetricFamily(declared.name, declared.help, labels=labels)
        for key, counter in self._counters.get(declared.name, {}).items():
            family.add_metric(key, counter.value, None, None, counter.exemplar)
        for values, value in shown:
            family.add_metric(values, value)
        return family

    def _histogram_family(self, declared: Declared, labels: Labels) -> Metric:
        family = HistogramMetricFamily(declared.name, declared.help, labels=labels)
        for values, histogram in self._histograms.get(declared.name, {}).items():
            check = values[0] if declared.name == "evalspan_check_value" else ""
            bounds = self._buckets.get(check) or declared.buckets
            family.add_metric(values, list(_buckets(bounds, histogram)), histogram.sum)
        return family


def _labels(declared: Declared, dimensions: Sequence[str]) -> Labels:
    parts = [dimensions if label == DIMENSIONS else (label,) for label in declared.labels]
    return tuple(label for part in parts for label in part)


def _buckets(
    bounds: tuple[float, ...],
    histogram: _Histogram,
) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
    total = 0
    for place, bound in enumerate((*bounds, float("inf"))):
        total += int(histogram.counts[place])
        name = "+Inf" if bound == float("inf") else repr(float(bound))
        exemplar = histogram.exemplars.get(place)
        yield (name, float(total), exemplar) if exemplar else (name, float(total))


def _exemplar(trace_id: str, value: float) -> Exemplar:
    return Exemplar({"trace_id": trace_id}, value, time.time())

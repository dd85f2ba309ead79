"""Scores and calls as the metrics read them, a clock, and what a scrape shows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from prometheus_client.core import Metric

from evalspan.metrics import Budgets, Metrics

START = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
SCORES = {
    "time": pl.Datetime("us", "UTC"),
    "check": pl.String,
    "item": pl.String,
    "verdict": pl.String,
    "error": pl.String,
    "skipped": pl.String,
    "value": pl.Float64,
    "cost_usd": pl.Float64,
    "trace_id": pl.String,
    "service_name": pl.String,
    "prompt_name": pl.String,
    "prompt_version": pl.String,
    "model": pl.String,
    "customer": pl.String,
}
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scores(*rows: Mapping[str, Any]) -> pl.DataFrame:
    """Return verdicts of a check `latency`, with what the rows say instead."""
    base = {"check": "latency", "item": "", "service_name": "shop", "model": "m", "trace_id": "t"}
    return pl.DataFrame([base | dict(row) for row in rows], schema=SCORES)


def calls(*rows: Mapping[str, Any]) -> pl.DataFrame:
    """Return model calls, with what the rows say instead."""
    words = ("operation", "provider", "request_model", "response_model", "prompt_hash", "trace_id")
    base = dict.fromkeys((*words, "service_name", "prompt_name", "prompt_version"), "x")
    base |= {"error_type": None, "role": "llm", "counts": True}
    base |= {"duration_ms": 1500.0, "time_to_first_token_ms": 10.0}
    base |= {"input_tokens": 400, "output_tokens": 90}
    named = [base | {k: v for k, v in row.items() if k in base} | _models(row) for row in rows]
    return pl.DataFrame(named, schema_overrides={"error_type": pl.String})


def _models(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_model": row["model"]} if "model" in row else {}


def verdicts_of(*customers: str, verdict: str = "pass") -> pl.DataFrame:
    """Return one verdict for each of the customers."""
    return scores(*({"verdict": verdict, "customer": customer} for customer in customers))


@dataclass
class Clock:
    """Time that moves when it is told to."""

    now: float = START

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


def metrics_with(budgets: Mapping[str, int], clock: Clock, **more: Any) -> Metrics:  # noqa: ANN401
    """Return metrics with the dimension `customer` and these budgets."""
    return Metrics(["customer"], Budgets(budgets), clock=clock, **more)


def family(metrics: Metrics, name: str) -> Metric:
    """Scrape, and return one metric."""
    found = {metric.name: metric for metric in metrics.collect()}
    return found[name]


def series(metrics: Metrics, name: str) -> Series:
    """Scrape, and return the series of one metric with their values."""
    samples = family(metrics, name).samples
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}


def customers(metrics: Metrics, name: str = "evalspan_verdicts") -> set[str]:
    """Scrape, and return the customers that a metric shows."""
    return {sample.labels["customer"] for sample in family(metrics, name).samples}

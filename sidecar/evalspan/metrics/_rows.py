"""Settled spans and scores in, the rows that metrics count out: only the columns they need.

Of the rows with a number those of failing traces come last, so that the last row of a
group is the one that an exemplar should show.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import polars as pl

# What is beyond was not measured, and would make of a sum one that cannot rise any more.
_LARGEST: Final = 2.0**63


def verdict_rows(scores: pl.DataFrame, dimensions: Iterable[str], *also: str) -> pl.DataFrame:
    """Return a row per verdict that was made, its labels named as the metrics name them.

    `scores` has the columns of SCORES and one per dimension. Beside the labels there are
    value, trace_id, cost_usd, failing and the columns in `also`.
    """
    verdict = pl.when(pl.col("error").is_not_null()).then(pl.lit("error"))
    shown = verdict.otherwise(pl.col("verdict").fill_null("none"))
    rows = scores.filter(pl.col("skipped").is_null()).select(
        *("check", "item", "value", "trace_id", "cost_usd", "prompt_version", "model"),
        *dimensions,
        *also,
        service="service_name",
        prompt="prompt_name",
        verdict=shown,
    )
    return rows.with_columns(failing=pl.col("verdict") == "fail")


def call_rows(spans: pl.DataFrame, cost_usd: pl.Series | None) -> pl.DataFrame:
    """Return a row per model call that counts, with the labels of the GenAI conventions."""
    if cost_usd is not None:
        spans = spans.with_columns(cost_usd=cost_usd)
    calls = spans.filter(pl.col("role").is_in(["llm", "embedding"]), pl.col("counts"))
    return calls.select(
        *("trace_id", "service_name", "input_tokens", "output_tokens", "error_type"),
        *(() if cost_usd is None else ("cost_usd",)),
        gen_ai_operation_name="operation",
        gen_ai_provider_name="provider",
        gen_ai_request_model="request_model",
        gen_ai_response_model="response_model",
        seconds=pl.col("duration_ms") / 1000,
        first_chunk_seconds=pl.col("time_to_first_token_ms") / 1000,
        service="service_name",
        prompt="prompt_name",
        model=pl.coalesce("response_model", "request_model"),
        prompt_version=pl.coalesce("prompt_version", "prompt_hash"),
        failing=pl.col("error_type").is_not_null(),
    )


def sound(rows: pl.DataFrame, value: str, *, signed: bool) -> pl.DataFrame:
    """Return the rows whose value can be counted, with it as `number`; failing ones come last.

    Times and amounts are not `signed`: there are none below zero.
    """
    number = pl.col(value).cast(pl.Float64)
    good = number.is_between(-_LARGEST if signed else 0, _LARGEST)  # NaN is not
    rows = rows.with_columns(number=number).filter(good.fill_null(value=False))
    return rows.sort("failing", maintain_order=True) if rows["failing"].any() else rows


def rise(column: str) -> pl.Expr:
    """Return by how much a column lets a sum rise; one that fell would look like a restart."""
    number = pl.col(column).cast(pl.Float64)
    return number.filter(number.is_between(0, _LARGEST)).sum()


def buckets(rows: pl.DataFrame, bounds: Callable[[str], Sequence[float]]) -> pl.Series:
    """Return for each row the place of its `number` among the bounds of its `check`."""
    if "check" not in rows.columns:
        return pl.Series(np.searchsorted(np.asarray(bounds("")), rows["number"].to_numpy()))
    numbers = rows["number"].to_numpy()
    found = np.zeros(rows.height, dtype=np.int64)
    for check in rows["check"].unique():
        of_check = (rows["check"] == check).to_numpy()
        found[of_check] = np.searchsorted(np.asarray(bounds(check)), numbers[of_check])
    return pl.Series(found)

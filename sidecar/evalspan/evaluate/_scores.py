"""Turn verdicts into rows of SCORES."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

from evalspan import model
from evalspan.evaluate._check import Check

_OF_SPAN: Final = (
    *map(pl.col, ("trace_id", "span_id", "attempt", "service_name", "prompt_name")),
    pl.coalesce("prompt_version", "prompt_hash").alias("prompt_version"),
    pl.coalesce("response_model", "request_model").alias("model"),
    pl.col("conversation_id"),
)
# What is read of a frame, besides its dimensions.
READ: Final = ("start_time", *(name for column in _OF_SPAN for name in column.meta.root_names()))
_SENT: Final = ("service_name", "prompt_name", "prompt_version", "model", "conversation_id")


def labelled(check: Check, verdicts: pl.DataFrame, *, weight: float) -> pl.DataFrame:
    """Return the verdicts of a check with what says whose they are."""
    return verdicts.with_columns(
        check=pl.lit(check.name),
        revision=pl.lit(check.revision),
        evaluator=pl.lit("check"),
        weight=pl.lit(weight),
        cost_usd=pl.lit(None, pl.Float64),
        about=pl.lit("trace" if check.shape == "trace" else "span"),
    )


def table(
    verdicts: pl.DataFrame,
    frame: pl.DataFrame,
    dimensions: Sequence[str],
    *,
    segment: int,
    evaluated_time: datetime,
) -> pa.Table:
    """Return SCORES.

    `verdicts`: row (of `frame`), check, item, revision, evaluator, value, passed,
    reason, evidence, error, weight, cost_usd, and `about` where that is not the span.
    `frame` is complete, its dimensions are cut already; other labels are cut here.
    """
    rows = verdicts["row"]
    if "about" not in verdicts.columns:
        verdicts = verdicts.with_columns(about=pl.lit("span"))
    # Only a frame that is not of settled spans lacks the start.
    time = pl.col("start_time").fill_null(pl.lit(evaluated_time, pl.Datetime("us", "UTC")))
    facts = _short(frame.select(time.alias("time"), *_OF_SPAN)).select(pl.all().gather(rows))
    full = pl.concat([verdicts, facts], how="horizontal").with_columns(
        verdict=pl.when("passed").then(pl.lit("pass")).when(~pl.col("passed")).then(pl.lit("fail")),
        skipped=pl.lit(None, pl.String),
        evaluated_time=pl.lit(evaluated_time, pl.Datetime("us", "UTC")),
        segment=pl.lit(segment, pl.Int64),
    )
    names = [name for name in model.SCORES.schema.names if name != "dimensions"]
    arrow = full.select(names).to_arrow()
    where = model.SCORES.schema.get_field_index("dimensions")
    labels = _labels(frame, dimensions).take(pa.array(rows.to_numpy()))
    return arrow.add_column(where, "dimensions", labels).cast(model.SCORES.schema)


def _short(facts: pl.DataFrame) -> pl.DataFrame:
    """Cut what a sender may make long: it is written out once for every verdict."""
    long = [n for n in _SENT if (facts[n].str.len_bytes() > model.LONGEST_LABEL).any()]
    return facts.with_columns(pl.col(long).str.head(model.LONGEST_LABEL)) if long else facts


def _labels(frame: pl.DataFrame, dimensions: Sequence[str]) -> pa.MapArray:
    """Return per row the dimensions that have a value, as a map."""
    height, width = frame.height, len(dimensions)
    if not width:
        nothing = pa.array([], pa.string())
        return pa.MapArray.from_arrays(np.zeros(height + 1, dtype=np.int32), nothing, nothing)
    values = pl.concat([frame[name] for name in dimensions])
    # One column after the other becomes one row after the other.
    order = np.arange(height * width).reshape(width, height).T.ravel()
    known = values.is_not_null().to_numpy()[order]
    keys = pl.Series(list(dimensions)).gather(np.tile(np.arange(width), height)[known])
    offsets = np.concatenate([[0], np.cumsum(known.reshape(height, width).sum(axis=1))])
    return pa.MapArray.from_arrays(
        offsets.astype(np.int32),
        keys.to_arrow().cast(pa.string()),
        values.gather(order[known]).to_arrow().cast(pa.string()),
    )

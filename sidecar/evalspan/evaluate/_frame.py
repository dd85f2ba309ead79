"""The frame that checks read: SPANS, the dimensions, and what settling adds."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from evalspan import model

SPANS: Final = pl.DataFrame(pl.from_arrow(model.SPANS.empty())).schema
_ADDED: Final = {"attempt": pl.lit(1, pl.Int32), "counts": pl.lit(value=True)}


def schema(dimensions: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the columns that a match expression can name."""
    return {**SPANS, **dict.fromkeys(dimensions, pl.String())}


def complete(frame: pl.DataFrame, dimensions: Sequence[str]) -> pl.DataFrame:
    """Add the columns that a frame lacks: null, role `llm`, a trace of its own.

    A settled frame has them all; a frame made from trials has a few.
    """
    lacking = {n: t for n, t in schema(dimensions).items() if n not in frame.columns}
    added = [pl.lit(None, kind).alias(name) for name, kind in lacking.items()]
    if "role" in lacking:
        added.append(pl.lit("llm").alias("role"))
    if "trace_id" in lacking:
        number = pl.int_range(pl.len()).cast(pl.String).str.zfill(32)
        added.append(number.alias("trace_id"))
    if "span_id" in lacking:
        added.append(pl.lit("0" * 16).alias("span_id"))
    added += [e.alias(n) for n, e in _ADDED.items() if n not in frame.columns]
    by_name = {e.meta.output_name(): e for e in added}
    return frame.with_columns(by_name.values()) if by_name else frame

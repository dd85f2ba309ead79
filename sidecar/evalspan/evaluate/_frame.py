"""The frame that checks read: SPANS, the dimensions, and what settling adds."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

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


def unasked(spans: pl.DataFrame, wanted: AbstractSet[str]) -> pl.DataFrame:
    """Return spans of which each counts once by its ids, roots first; unsettled ones may be.

    Of the columns those that are `wanted`, and those that tell what counts. Traces that settle
    count their attempts from 1 on.
    """
    added = {"attempt": pl.lit(0, pl.Int32), "counts": pl.lit(value=True)}
    wanted = {"trace_id", "span_id", "parent_span_id", *added, *wanted}
    ids = ("trace_id", "span_id", "counts")
    return (
        spans.select(name for name in spans.columns if name in wanted)
        .with_columns(e.alias(n) for n, e in added.items() if n not in spans.columns)
        .with_columns(counts=pl.col("counts") & pl.struct(ids).is_first_distinct())
        .sort(pl.col("parent_span_id").is_not_null(), maintain_order=True)
    )


def numbers(trace_ids: pl.Series) -> NDArray[np.int64]:
    """Number the traces from 0, in the order in which they come."""
    ids = trace_ids.to_arrow().cast(pa.large_string()).dictionary_encode()
    return np.asarray(ids.indices.to_numpy(), dtype=np.int64)


def slices(frame: pl.DataFrame, new: int, most: int) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield the frame in slices of whole traces, with how many of their first rows are new.

    `most` rows a slice; a trace that has more is a slice of its own. The first `new` rows of
    the frame are new.
    """
    if frame.height <= most:
        yield frame, new
        return
    trace = numbers(frame["trace_id"])
    of_row = _groups(np.bincount(trace), most)[trace]
    order = np.argsort(of_row, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(of_row))[:-1]):
        yield frame[rows], int((rows < new).sum())


def _groups(sizes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return a number for each trace, so that those with the same one have `most` rows."""
    found, group, filled = np.zeros(len(sizes), dtype=np.int64), 0, 0
    for trace, size in enumerate(sizes.tolist()):
        if filled and filled + size > most:
            group, filled = group + 1, 0
        found[trace] = group
        filled += size
    return found

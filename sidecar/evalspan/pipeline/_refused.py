"""The verdicts of traces that cannot be settled or evaluated: an error of every check."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa

from evalspan import evaluate
from evalspan.model import SCORES

# Traces that settle count their attempts from 1 on.
_UNSETTLED = 0


def refused(
    spans: pl.DataFrame,
    why: Mapping[str, str],
    evaluator: evaluate.Evaluator,
    dimensions: Sequence[str],
    segment: int,
    now: datetime,
) -> evaluate.Evaluated:
    """Return a row with `error` for each check and span, or trace, and how many there are.

    `spans`: rows of SPANS, or of a settled frame; `why`: trace → what went wrong with it.
    """
    if spans.is_empty():
        return evaluate.Evaluated(SCORES.empty(), [])
    added = {"attempt": pl.lit(_UNSETTLED, pl.Int32), "counts": pl.lit(value=True)}
    spans = spans.with_columns(e.alias(n) for n, e in added.items() if n not in spans.columns)
    roots = pl.col("parent_span_id").is_null()
    traces = spans.sort(~roots, maintain_order=True).unique("trace_id", maintain_order=True)
    counted = spans.filter("counts").unique(["trace_id", "span_id"], maintain_order=True)
    rows, counts = [], []
    for check in evaluator.checks.values():
        of_traces = check.shape == "trace"
        asked, expected = (traces, traces.height) if of_traces else (counted, spans.height)
        about = "trace" if of_traces else "span"
        of_check = _rows(asked, why, check.name, check.revision, dimensions)
        rows.append(of_check.with_columns(about=pl.lit(about)))
        subject = f"check:{check.name}"
        counts.append(evaluate.Count(subject, "expected", "", expected))
        counts.append(evaluate.Count(subject, "error", "", asked.height))
        counts.append(evaluate.Count(subject, "skipped", "duplicate", expected - asked.height))
    if not rows:
        return evaluate.Evaluated(SCORES.empty(), [])
    stamped = pl.concat(rows).with_columns(
        evaluated_time=pl.lit(now, pl.Datetime("us", "UTC")), segment=pl.lit(segment, pl.Int64)
    )
    return evaluate.Evaluated(_scores(stamped, dimensions), [c for c in counts if c.number])


def both(first: evaluate.Evaluated, second: evaluate.Evaluated) -> evaluate.Evaluated:
    """Return the verdicts of both, and what became of everything together."""
    totals: Counter[tuple[str, str, str]] = Counter()
    for subject, outcome, reason, number in (*first.counts, *second.counts):
        totals[subject, outcome, reason] += number
    return evaluate.Evaluated(
        pa.concat_tables([first.scores, second.scores]),
        [evaluate.Count(*key, number) for key, number in totals.items()],
    )


def _rows(
    spans: pl.DataFrame,
    why: Mapping[str, str],
    check: str,
    revision: str,
    dimensions: Sequence[str],
) -> pl.DataFrame:
    known = [name for name in dimensions if name in spans.columns]
    return spans.select(
        pl.col("start_time").alias("time"),
        *("trace_id", "span_id", "attempt", "service_name", "prompt_name", "conversation_id"),
        *known,
        pl.coalesce("prompt_version", "prompt_hash").alias("prompt_version"),
        pl.coalesce("response_model", "request_model").alias("model"),
        pl.lit(check).alias("check"),
        pl.lit("").alias("item"),
        pl.lit(revision).alias("revision"),
        pl.lit("check").alias("evaluator"),
        pl.col("trace_id").replace_strict(why, return_dtype=pl.String).alias("error"),
        pl.lit(1.0).alias("weight"),
    )


def _scores(rows: pl.DataFrame, dimensions: Sequence[str]) -> pa.Table:
    known = [name for name in dimensions if name in rows.columns]
    labels = [
        [(name, row[name]) for name in known if row[name] is not None]
        for row in rows.select(known).iter_rows(named=True)
    ] or [[] for _ in range(rows.height)]
    arrow = rows.drop(known).to_arrow()
    columns = []
    for field in SCORES.schema:
        if field.name == "dimensions":
            columns.append(pa.array(labels, field.type))
        elif field.name in arrow.schema.names:
            columns.append(arrow.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(rows.height, field.type))
    return pa.Table.from_arrays(columns, schema=SCORES.schema)

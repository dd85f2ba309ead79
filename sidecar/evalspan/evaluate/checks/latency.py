"""How long the call took."""

import polars as pl

from evalspan.evaluate.checks._limits import Milliseconds

MATCH = "role = 'llm'"
BUCKETS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)


def latency(spans: pl.DataFrame, *, max_ms: Milliseconds | None = None) -> pl.DataFrame:
    """Pass if the call took at most `max_ms` milliseconds. Value: milliseconds.

    Applies to LLM calls; with a `match` of your own to any span. Without `max_ms` it
    only measures. No verdict where the duration is not known.

    Example: `{use: latency, max_ms: 2000}`
    """
    value, limit = pl.col("duration_ms"), pl.lit(max_ms, pl.Float64)
    return spans.select(
        value=value,
        passed=value <= limit,
        reason=pl.when(value > limit).then(pl.format("{} ms, limit {} ms", value.round(1), limit)),
    )

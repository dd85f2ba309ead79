"""How long the user waited for the first piece of a streamed answer."""

import polars as pl

from evalspan.evaluate.checks._limits import Milliseconds

MATCH = "role = 'llm' AND COALESCE(stream, TRUE)"
BUCKETS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)


def time_to_first_token(spans: pl.DataFrame, *, max_ms: Milliseconds | None = None) -> pl.DataFrame:
    """Pass if the first piece came within `max_ms` milliseconds. Value: milliseconds.

    Applies to LLM calls that are not known to be unstreamed. Without `max_ms` it only
    measures. No verdict where the instrumentation does not say.

    Example: `{use: time_to_first_token, max_ms: 800}`
    """
    value, limit = pl.col("time_to_first_token_ms"), pl.lit(max_ms, pl.Float64)
    return spans.select(
        value=value,
        passed=value <= limit,
        reason=pl.when(value > limit).then(pl.format("{} ms, limit {} ms", value.round(1), limit)),
    )

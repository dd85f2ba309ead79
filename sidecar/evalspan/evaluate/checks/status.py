"""Whether the call went through."""

import polars as pl

MATCH = "role = 'llm'"


def status(spans: pl.DataFrame) -> pl.DataFrame:
    """Fail if the span has the status error, or names an error although its status does not.

    Applies to LLM calls; with a `match` of your own to any span.

    Example: `{use: status}`
    """
    failed = (pl.col("status") == "error").fill_null(value=False) | pl.col(
        "error_type"
    ).is_not_null()
    words = pl.concat_str("error_type", "status_message", separator=": ", ignore_nulls=True)
    return spans.select(
        passed=~failed,
        reason=pl.when(failed).then(
            pl.when(words.str.len_bytes() > 0).then(words).otherwise(pl.lit("status is error"))
        ),
    )

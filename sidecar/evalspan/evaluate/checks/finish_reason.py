"""Why the model stopped."""

import polars as pl

MATCH = "role = 'llm'"


def finish_reason(spans: pl.DataFrame, *, allowed: list[str] | None = None) -> pl.DataFrame:
    """Pass if every choice stopped for an allowed reason. Evidence: the first other one.

    `allowed` is [stop, tool_calls] by default; also known are length, content_filter
    and error. No verdict where the span does not say.

    Example: `{use: finish_reason, allowed: [stop]}`
    """
    wanted = ["stop", "tool_calls"] if allowed is None else allowed
    known = pl.col("finish_reasons").list.drop_nulls()
    other = known.list.set_difference(pl.lit(wanted, pl.List(pl.String)))
    first = other.list.get(0, null_on_oob=True)
    return spans.select(
        passed=pl.when(known.list.len() > 0).then(other.list.len() == 0),
        reason=pl.format("the model stopped with {}", first),
        evidence=first,
    )

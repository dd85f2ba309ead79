"""Whether a tool failed."""

import polars as pl
from pydantic_core import from_json

MATCH = "role = 'tool'"
_FLAGS = ("is_error", "isError")
_SHOWN = 200


def tool_error(spans: pl.DataFrame) -> pl.DataFrame:
    """Fail if the tool's span has an error, or its result is JSON that says so.

    A result says so with a key `error` that is not empty, or with `is_error` or
    `isError` true. Applies to spans that run a tool.

    Example: `{use: tool_error}`
    """
    failed = (pl.col("status") == "error").fill_null(value=False) | pl.col(
        "error_type"
    ).is_not_null()
    words = pl.concat_str("error_type", "status_message", separator=": ", ignore_nulls=True)
    answers = pl.Series("said", [_said(text) for text in spans["output_text"]], pl.String)
    return spans.select(failed.alias("failed"), words.alias("words"), answers).select(
        passed=~pl.col("failed") & pl.col("said").is_null(),
        reason=pl.when("failed")
        .then(pl.format("the tool failed: {}", "words"))
        .when(pl.col("said").is_not_null())
        .then(pl.lit("the result says that the tool failed")),
        evidence="said",
    )


def _said(text: str | None) -> str | None:
    """Return the error that a result reports, None if it reports none."""
    if text is None or "rror" not in text or not text.lstrip().startswith("{"):
        return None
    try:
        result = from_json(text)
    except ValueError:  # a result need not be JSON
        return None
    if any(result.get(flag) is True for flag in _FLAGS):
        return text[:_SHOWN]
    error = result.get("error")
    return str(error)[:_SHOWN] if error else None

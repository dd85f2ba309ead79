"""Whether a text has, or has not, a pattern."""

from typing import Annotated, Literal

import polars as pl
from polars.exceptions import ComputeError
from pydantic import AfterValidator, Field

MATCH = "role = 'llm'"


def _sound(pattern: str) -> str:
    """Return the pattern; raises ValueError that says what is wrong with it."""
    try:
        pl.select(pl.lit("").str.contains(pattern))
    except ComputeError as error:
        lines = str(error).partition("\n\n")[0].splitlines()
        msg = f"this is no regular expression: {lines[-1].rpartition('error: ')[2]}"
        raise ValueError(msg) from error
    return pattern


def regex(
    spans: pl.DataFrame,
    *,
    pattern: Annotated[str, Field(min_length=1), AfterValidator(_sound)],
    expect: Literal["match", "no_match"] = "match",
    column: Literal["output_text", "input_text", "system_prompt"] = "output_text",
) -> pl.DataFrame:
    """Pass if the regular expression is found, or with `expect: no_match` if it is not.

    `column`: the text that is searched, the answer by default. Rust syntax (linear
    time, no look-around); `(?i)` ignores case. No verdict where there is no text.

    Example: `{use: regex, pattern: '(?i)as an ai', expect: no_match}`
    """
    found = pl.col(column).str.contains(pattern)
    wanted = expect == "match"
    return spans.select(
        passed=found if wanted else ~found,
        reason=pl.when(found != wanted).then(
            pl.lit("the pattern is not there" if wanted else "the pattern is there")
        ),
        evidence=pl.when(found).then(pl.col(column).str.extract(f"({pattern})")),
    )

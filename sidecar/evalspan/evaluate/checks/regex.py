"""Whether a text has, or has not, a pattern."""

from typing import Literal

import polars as pl

MATCH = "role = 'llm'"


def regex(
    spans: pl.DataFrame,
    *,
    pattern: str,
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

"""Whether the answer is JSON."""

import polars as pl

from evalspan.evaluate.checks._json import read

MATCH = "role = 'llm' AND output_text IS NOT NULL"


def json_valid(spans: pl.DataFrame, *, allow_fence: bool = False) -> pl.DataFrame:
    """Pass if the whole answer is one JSON value.

    `allow_fence`: a Markdown code fence around it is fine. Applies to LLM calls that
    have an answer in text. No verdict where there is no answer.

    Example: `{use: json_valid, allow_fence: true}`
    """
    problems = [_problem(text, allow_fence=allow_fence) for text in spans["output_text"]]
    return pl.DataFrame(
        {
            "passed": [None if p is None else not p for p in problems],
            "reason": [p or None for p in problems],
        },
        schema={"passed": pl.Boolean, "reason": pl.String},
    )


def _problem(text: str | None, *, allow_fence: bool) -> str | None:
    """Return what is wrong, empty if nothing, None if there is nothing to say."""
    if text is None:
        return None
    try:
        read(text, allow_fence=allow_fence)
    except ValueError as error:
        return f"not JSON: {error}"
    return ""

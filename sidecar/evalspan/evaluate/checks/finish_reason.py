"""Why the model stopped."""

from difflib import get_close_matches
from typing import Annotated, Final

import polars as pl
from pydantic import AfterValidator, Field

MATCH = "role = 'llm'"
_KNOWN: Final = ("stop", "length", "tool_calls", "content_filter", "error")
# Words of vendors that never stand in the column, and what stands there instead.
_INSTEAD: Final = {
    **dict.fromkeys(("end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(("tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("max_tokens", "max_output_tokens"), "length"),
    "safety": "content_filter",
}


def _known(word: str) -> str:
    """Return the word; raises ValueError where another was meant. Those of vendors are fine."""
    lower = word.lower()
    near = get_close_matches(lower, _KNOWN, n=1, cutoff=0.75)
    meant = _INSTEAD.get(lower) or next(iter(near), lower)
    if meant != word:
        msg = f"no model stops with {word!r} here. Did you mean {meant!r}?"
        raise ValueError(msg)
    return word


Reasons = Annotated[list[Annotated[str, AfterValidator(_known)]], Field(min_length=1)]


def finish_reason(spans: pl.DataFrame, *, allowed: Reasons | None = None) -> pl.DataFrame:
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

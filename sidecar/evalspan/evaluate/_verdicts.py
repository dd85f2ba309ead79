"""What a check returned, put into one form: a frame of verdicts.

Columns: row (UInt32, of the frame that was read), item, value, passed, reason,
evidence, error. What makes no sense becomes an error, never a number.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from evalspan.plugin import Verdict

SCHEMA: Final = {
    "row": pl.UInt32(),
    "item": pl.String(),
    "value": pl.Float64(),
    "passed": pl.Boolean(),
    "reason": pl.String(),
    "evidence": pl.String(),
    "error": pl.String(),
}
_MOST_CHARACTERS: Final = 2_000
_RESULTS: Final = ("value", "passed", "reason", "evidence")
# item, value, passed, reason, evidence, error
Line = tuple[str, float | None, bool | None, str | None, str | None, str | None]


def lines(result: object) -> list[Line]:
    """Read what a check of shape `span` or `trace` returned."""
    if isinstance(result, Mapping):
        if not result:
            return [_error("", "it returned an empty dict")]
        return [_line(str(item), answer) for item, answer in result.items()]
    return [_line("", result)]


def failure(error: BaseException) -> list[Line]:
    """Return the line for a check that raised."""
    return [_error("", f"{type(error).__name__}: {error}")]


def _error(item: str, text: str) -> Line:
    return (clean(item), None, None, None, None, clean(text))


def clean(text: str) -> str:
    """Cut a text to a sane length and replace what UTF-8 cannot hold."""
    text = text[:_MOST_CHARACTERS]
    return text if text.isascii() else text.encode(errors="replace").decode()


def _line(item: str, answer: object) -> Line:
    if answer is None:
        answer = Verdict()
    elif isinstance(answer, bool):
        answer = Verdict(passed=answer)
    elif isinstance(answer, int | float):
        answer = Verdict(value=answer)
    if not isinstance(answer, Verdict):
        return _error(item, f"it returned {type(answer).__name__} and not a Verdict")
    if problem := _nonsense(answer):
        return _error(item, problem)
    value, passed = answer.value, answer.passed
    reason, evidence = (t if t is None else clean(t) for t in (answer.reason, answer.evidence))
    return (clean(item), None if value is None else float(value), passed, reason, evidence, None)


def _nonsense(answer: Verdict) -> str:
    """Return what makes no sense in a verdict that a user's function made, empty if nothing."""
    value: Any = answer.value
    if not (answer.passed is None or isinstance(answer.passed, bool)):
        return f"passed is {answer.passed!r} and not true, false or None"
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"value is {value!r} and not a number"
    if value is not None and not abs(value) <= sys.float_info.max:
        return f"value is {value!r}, which is not a finite number"
    if any(t is not None and not isinstance(t, str) for t in (answer.reason, answer.evidence)):
        return "reason and evidence must be text"
    return ""


def of_lines(answers: Iterable[tuple[int, list[Line]]]) -> pl.DataFrame:
    """Return the frame of verdicts of (row, lines)."""
    flat = [(row, *line) for row, found in answers for line in found]
    return pl.DataFrame(flat, schema=SCHEMA, orient="row")


def of_error(rows: pl.Series, text: str) -> pl.DataFrame:
    """Return an error for each of these rows."""
    return pl.DataFrame({"row": rows.cast(pl.UInt32)}).select(
        "row",
        pl.lit("").alias("item"),
        *(pl.lit(None, SCHEMA[name]).alias(name) for name in _RESULTS),
        pl.lit(clean(text)).alias("error"),
    )


def of_frame(rows: pl.Series, result: Any) -> pl.DataFrame:  # noqa: ANN401 - of a user's function
    """Read what a check of shape `spans` returned for the spans at `rows`; raises ValueError."""
    if isinstance(result, pl.Series):
        result = (
            result.struct.unnest() if isinstance(result.dtype, pl.Struct) else _of_series(result)
        )
    if not isinstance(result, pl.DataFrame):
        msg = f"it returned {type(result).__name__} and not a frame of value, passed, reason"
        raise ValueError(msg)  # noqa: TRY004 - nonsense of a check is a value, not a bug of ours
    if result.height != len(rows):
        msg = f"it returned {result.height} rows for {len(rows)} spans"
        raise ValueError(msg)
    if unknown := set(result.columns) - set(_RESULTS):
        msg = f"it returned unknown columns: {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    return _checked(result.with_columns(rows.cast(pl.UInt32).alias("row")))


def _of_series(result: pl.Series) -> pl.DataFrame:
    return result.to_frame("passed" if result.dtype == pl.Boolean else "value")


def _checked(result: pl.DataFrame) -> pl.DataFrame:
    columns = {name: pl.col(name) if name in result.columns else pl.lit(None) for name in _RESULTS}
    for name, kind in result.schema.items():
        fits = kind.is_numeric() if name == "value" else kind == SCHEMA[name]
        if name != "row" and not fits and kind != pl.Null:
            msg = f"its column {name} is {kind} and not {SCHEMA[name]}"
            raise ValueError(msg)
    value = columns["value"].cast(pl.Float64)
    sound = value.is_finite().fill_null(value=True)
    if "value" not in result.columns:
        sound = pl.lit(value=True)
    return result.select(
        "row",
        pl.lit("").alias("item"),
        pl.when(sound).then(value).alias("value"),
        pl.when(sound).then(columns["passed"].cast(pl.Boolean)).alias("passed"),
        columns["reason"].cast(pl.String).str.head(_MOST_CHARACTERS).alias("reason"),
        columns["evidence"].cast(pl.String).str.head(_MOST_CHARACTERS).alias("evidence"),
        pl.when(~sound)
        .then(pl.format("value is {}, which is not a finite number", value))
        .alias("error"),
    )

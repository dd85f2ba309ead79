"""Run one check over the spans or traces it applies to, in this process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from evalspan.evaluate._verdicts import Line, failure, lines, of_error, of_frame, of_lines
from evalspan.evaluate._views import span_views, trace_view, traces
from evalspan.plugin import Shape

Function = Callable[..., Any]


def run(
    shape: Shape,
    function: Function,
    arguments: Mapping[str, Any],
    frame: pl.DataFrame,
    dimensions: Sequence[str],
) -> pl.DataFrame:
    """Return the verdicts on `frame`; whatever goes wrong becomes a row with an error."""
    if shape == "spans":
        return whole(function, arguments, frame)
    return of_lines(one_by_one(shape, function, arguments, frame, dimensions))


def whole(function: Function, arguments: Mapping[str, Any], frame: pl.DataFrame) -> pl.DataFrame:
    """Ask a check of shape `spans` about all rows at once."""
    rows = pl.Series("row", range(frame.height), pl.UInt32)
    try:
        return of_frame(rows, function(frame, **arguments))
    except Exception as error:  # noqa: BLE001 - a failure is a row
        return of_error(rows, f"{type(error).__name__}: {error}")


def one_by_one(
    shape: Shape,
    function: Function,
    arguments: Mapping[str, Any],
    frame: pl.DataFrame,
    dimensions: Sequence[str],
    start: int = 0,
) -> Iterator[tuple[int, list[Line]]]:
    """Ask a check of shape `span` or `trace` about one after the other.

    Yields the row and its lines; for a trace the row of its root. The first
    `start` of them are left out.
    """
    views = span_views(frame, dimensions)
    if shape == "span":
        for row in range(start, len(views)):
            yield row, _ask(function, views[row], arguments)
        return
    is_root = frame["root"].to_list() if "root" in frame.columns else [False] * frame.height
    for rows in traces(frame)[start:]:
        trace = trace_view(rows, views)
        root = next((r for r in rows if is_root[r]), None)
        if root is None:
            root = next(r for r in rows if views[r] is trace.root)
        yield root, _ask(function, trace, arguments)


def _ask(function: Function, view: object, arguments: Mapping[str, Any]) -> list[Line]:
    try:
        return lines(function(view, **arguments))
    except Exception as error:  # noqa: BLE001 - a failure is a row
        return failure(error)

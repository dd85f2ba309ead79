"""Spans and traces as checks see them, read out of a frame only where they are looked at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from evalspan.plugin import SpanView, TraceView

_VALUE_FIELDS = ("string", "int", "double", "bool", "bytes")


class _Columns:
    """The columns of a frame as Python lists, each made when it is first asked for."""

    def __init__(self, frame: pl.DataFrame, dimensions: Sequence[str]) -> None:
        self._frame = frame
        self.dimensions = dimensions
        self._lists: dict[str, list[Any]] = {}
        self.names = frame.columns

    def cell(self, name: str, row: int) -> Any:  # noqa: ANN401 - of the column's type
        values = self._lists.get(name)
        if values is None:
            if name not in self.names:
                raise KeyError(name)
            values = self._lists[name] = self._frame[name].to_list()
        return values[row]


class _Row(Mapping[str, Any]):
    """The columns of one span."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: _Columns, row: int) -> None:
        self._columns = columns
        self._row = row

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of the column's type
        return self._columns.cell(name, self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)

    def dimensions(self) -> dict[str, Any]:
        """Return the dimensions that have a value."""
        values = ((name, self[name]) for name in self._columns.dimensions)
        return {name: value for name, value in values if value is not None}


class _Attributes(Mapping[str, Any]):
    """The attributes of one span as they came, put together when first looked at."""

    __slots__ = ("_made", "_row")

    def __init__(self, row: _Row) -> None:
        self._row = row
        self._made: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._made is None:
            self._made = _attributes(self._row)
        return self._made

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - as it came
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


class _Dimensions(_Attributes):
    """The dimensions of one span that have a value."""

    __slots__ = ()

    def _all(self) -> dict[str, Any]:
        if self._made is None:
            self._made = self._row.dimensions()
        return self._made


def span_views(frame: pl.DataFrame, dimensions: Sequence[str]) -> list[SpanView]:
    """Return one view per row of a complete frame."""
    columns = _Columns(frame, dimensions)
    rows = [_Row(columns, row) for row in range(frame.height)]
    return [SpanView(row, _Attributes(row), _Dimensions(row)) for row in rows]


def _attributes(row: _Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in (row["promoted"] or "").split(";"):
        column, _, key = part.partition("=")
        if key:
            found[key] = row[column]
    for attribute in row["attributes"] or ():
        found[attribute["key"]] = _value(attribute)
    return found


def _value(attribute: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any OTLP value
    if attribute["nested"] is not None:
        return _plain(AnyValue.FromString(attribute["nested"]))
    return next((attribute[f] for f in _VALUE_FIELDS if attribute[f] is not None), None)


def _plain(value: AnyValue) -> Any:  # noqa: ANN401 - any OTLP value
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(v) for v in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def traces(frame: pl.DataFrame) -> list[list[int]]:
    """Return the rows of each trace, in order of their start."""
    number = frame["trace_id"].rank("dense").to_numpy()
    start = frame["start_time"].to_physical().fill_null(0).to_numpy()
    order = np.lexsort((start, number))
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    return [part.tolist() for part in np.split(order, cuts)] if len(order) else []


def trace_view(rows: Sequence[int], views: Sequence[SpanView]) -> TraceView:
    """Return a trace of the views at `rows`."""
    spans = tuple(views[row] for row in rows)
    return TraceView(spans[0].trace_id, spans)

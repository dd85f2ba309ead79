"""Spans that wait for their trace to be complete."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from evalspan.settle._lineage import Rows, codes

Reason = Literal["idle", "age", "overflow", "shutdown"]
# Of a table of which no more is left, these rows are copied and the others let go.
_FEW: Final = 0.5


@dataclass(slots=True)
class _Trace:
    serial: int
    first_us: int
    last_us: int
    spans: int
    size_bytes: float


@dataclass(slots=True)
class _Frame:
    """Spans as they came, or what is left of them."""

    rows: pa.Table
    bytes_per_row: float
    segment: int


class Most(NamedTuple):
    """How much may wait: spans, and what they take in memory."""

    spans: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Ripe:
    """A trace that settles now, and why."""

    trace_id: str
    serial: int
    reason: Reason


class Waiting:
    """The open traces and their spans.

    Wide rows stay in the tables they came in; what is kept per span are three
    numbers (its trace, its table, its row), so that a span is copied once, when
    its trace settles, and once more where it is one of the few of its table that
    are left: the table would stay in memory, whole, for them. Not safe for use by
    two threads.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._traces: dict[str, _Trace] = {}
        self._frames: dict[int, _Frame] = {}
        self._next_serial = 0
        self._next_frame = 0
        self._index: Rows = np.empty((3, 0), dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of waiting spans."""
        return int(self._index.shape[1])

    def add(self, spans: pa.Table) -> None:
        """Take the spans of one push. Reads trace_id, received_time, segment."""
        if not spans.num_rows:
            return
        facts = pl.DataFrame(spans.select(["trace_id", "received_time", "segment"]))
        (code,) = codes(facts["trace_id"])
        bytes_per_row = spans.nbytes / spans.num_rows
        serials = self._note(facts, code, bytes_per_row)
        frame = self._next_frame
        self._next_frame += 1
        self._frames[frame] = _Frame(spans, bytes_per_row, int(facts["segment"].to_numpy().min()))
        rows = np.arange(spans.num_rows)
        added = np.stack([serials[code], np.full(spans.num_rows, frame), rows])
        self._index = np.concatenate([self._index, added], axis=1)

    def _note(self, spans: pl.DataFrame, code: Rows, bytes_per_row: float) -> Rows:
        """Update first and last arrival per trace; return the serial of each code."""
        received = spans["received_time"].to_physical()
        per_trace = (
            pl.DataFrame({"code": code, "trace_id": spans["trace_id"], "received": received})
            .group_by("code")
            .agg(
                pl.col("trace_id").first(),
                pl.col("received").min().alias("first"),
                pl.col("received").max().alias("last"),
                pl.len(),
            )
            .sort("code")
        )
        serials = np.empty(per_trace.height, dtype=np.int64)
        for number, trace_id, first, last, count in per_trace.iter_rows():
            trace = self._traces.get(trace_id)
            if trace is None:
                trace = self._traces[trace_id] = _Trace(self._next_serial, first, last, 0, 0)
                self._next_serial += 1
            trace.first_us = min(trace.first_us, first)
            trace.last_us = max(trace.last_us, last)
            trace.spans += count
            trace.size_bytes += count * bytes_per_row
            serials[number] = trace.serial
        return serials

    def ripe(self, now_us: int, idle_us: int, max_age_us: int, most: Most) -> list[Ripe]:
        """Return the traces that are idle, or too old, or too much; they stay until taken."""
        found: dict[str, Ripe] = {}
        left, left_bytes = len(self), sum(t.size_bytes for t in self._traces.values())
        for trace_id, trace in self._traces.items():
            idle, old = now_us - trace.last_us >= idle_us, now_us - trace.first_us >= max_age_us
            if idle or old:
                found[trace_id] = Ripe(trace_id, trace.serial, "idle" if idle else "age")
                left -= trace.spans
                left_bytes -= trace.size_bytes
        if left > most.spans or left_bytes > most.size_bytes:
            oldest = sorted(self._traces.items(), key=lambda item: item[1].first_us)
            for trace_id, trace in oldest:
                if left <= most.spans and left_bytes <= most.size_bytes:
                    break
                if trace_id not in found:
                    found[trace_id] = Ripe(trace_id, trace.serial, "overflow")
                    left -= trace.spans
                    left_bytes -= trace.size_bytes
        return list(found.values())

    def shut(self) -> list[Ripe]:
        """Return all open traces, as what a shutdown settles."""
        return [Ripe(name, trace.serial, "shutdown") for name, trace in self._traces.items()]

    def again(self, reasons: Mapping[str, Reason]) -> list[Ripe]:
        """Return those of these traces that are open, to settle as they did before."""
        return [
            Ripe(trace_id, self._traces[trace_id].serial, reason)
            for trace_id, reason in reasons.items()
            if trace_id in self._traces
        ]

    def take(self, ripe: list[Ripe]) -> pl.DataFrame | None:
        """Remove these traces and return their spans, in the order they came; None if none."""
        if not ripe:
            return None
        for trace in ripe:
            del self._traces[trace.trace_id]
        chosen = np.isin(self._index[0], np.array([t.serial for t in ripe]))
        taken, self._index = self._index[:, chosen], self._index[:, ~chosen]
        parts = [
            (self._frames[number].rows, taken[2][taken[1] == number])
            for number in np.unique(taken[1]).tolist()
        ]
        whole = _whole(parts)
        self._shrink()
        return whole

    def _shrink(self) -> None:
        """Let go of tables of which nothing waits, and of most of those of which little does."""
        live = dict(zip(*np.unique(self._index[1], return_counts=True), strict=True))
        self._frames = {n: frame for n, frame in self._frames.items() if n in live}
        for number, frame in self._frames.items():
            if live[number] <= _FEW * frame.rows.num_rows:
                here = self._index[1] == number
                frame.rows = frame.rows.take(pa.array(self._index[2][here]))
                self._index[2][here] = np.arange(frame.rows.num_rows)

    @property
    def oldest_segment(self) -> int | None:
        """Return the lowest segment of the pushes that waiting spans came in; None if none."""
        return min((frame.segment for frame in self._frames.values()), default=None)


def _whole(parts: list[tuple[pa.Table, Rows]]) -> pl.DataFrame:
    """Return these rows of the tables as one frame.

    Column by column, so that no more than one is there twice. In one piece: a frame whose
    columns are cut at different rows is cut anew, whole, by every select, which took as much
    time as all checks together.
    """
    names = parts[0][0].column_names
    return pl.DataFrame(
        [
            pl.concat(
                [_rows(table.column(name), rows) for table, rows in parts], rechunk=True
            ).rename(name)
            for name in names
        ]
    )


def _rows(column: Any, rows: Rows) -> pl.Series:  # noqa: ANN401 - an Arrow column
    """Return these rows, which stand in their order; all of them without copying.

    A few rows of many are copied with what they hold: a text that is picked otherwise stays
    where it is, and all the other texts beside it.
    """
    if len(rows) == len(column):
        return pl.Series(column)
    if len(rows) <= _FEW * len(column):
        return pl.Series(column.take(pa.array(rows)))
    return pl.Series(column)[rows]

"""Spans that wait for their trace to be complete."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from evalspan.settle._lineage import Rows, codes

Reason = Literal["idle", "age", "overflow", "shutdown"]


@dataclass(slots=True)
class _Trace:
    serial: int
    first_us: int
    last_us: int
    spans: int


@dataclass(frozen=True, slots=True)
class Ripe:
    """A trace that settles now, and why."""

    trace_id: str
    serial: int
    reason: Reason


class Waiting:
    """The open traces and their spans.

    Wide rows stay in the frames they came in; what is kept per span are three
    numbers (its trace, its frame, its row), so that a span is copied once, when
    its trace settles. Not safe for use by two threads.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._traces: dict[str, _Trace] = {}
        self._frames: dict[int, pl.DataFrame] = {}
        self._next_serial = 0
        self._next_frame = 0
        self._index: Rows = np.empty((3, 0), dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of waiting spans."""
        return int(self._index.shape[1])

    def add(self, spans: pl.DataFrame) -> None:
        """Take the spans of one push. Reads trace_id, received_time, segment."""
        if spans.is_empty():
            return
        (code,) = codes(spans["trace_id"])
        serials = self._note(spans, code)
        frame = self._next_frame
        self._next_frame += 1
        self._frames[frame] = spans
        rows = np.arange(spans.height)
        added = np.stack([serials[code], np.full(spans.height, frame), rows])
        self._index = np.concatenate([self._index, added], axis=1)

    def _note(self, spans: pl.DataFrame, code: Rows) -> Rows:
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
                trace = self._traces[trace_id] = _Trace(self._next_serial, first, last, 0)
                self._next_serial += 1
            trace.first_us = min(trace.first_us, first)
            trace.last_us = max(trace.last_us, last)
            trace.spans += count
            serials[number] = trace.serial
        return serials

    def ripe(self, now_us: int, idle_us: int, max_age_us: int, max_spans: int) -> list[Ripe]:
        """Return the traces that are idle, or too old, or too much; they stay until taken."""
        found: dict[str, Ripe] = {}
        left = len(self)
        for trace_id, trace in self._traces.items():
            idle, old = now_us - trace.last_us >= idle_us, now_us - trace.first_us >= max_age_us
            if idle or old:
                found[trace_id] = Ripe(trace_id, trace.serial, "idle" if idle else "age")
                left -= trace.spans
        if left > max_spans:
            oldest = sorted(self._traces.items(), key=lambda item: item[1].first_us)
            for trace_id, trace in oldest:
                if left <= max_spans:
                    break
                if trace_id not in found:
                    found[trace_id] = Ripe(trace_id, trace.serial, "overflow")
                    left -= trace.spans
        return list(found.values())

    def shut(self, trace_ids: Iterable[str] | None = None) -> list[Ripe]:
        """Return these of the open traces, all of them if None, as what a shutdown settles."""
        wanted = self._traces if trace_ids is None else [t for t in trace_ids if t in self._traces]
        return [Ripe(trace_id, self._traces[trace_id].serial, "shutdown") for trace_id in wanted]

    def take(self, ripe: list[Ripe]) -> pl.DataFrame | None:
        """Remove these traces and return their spans, in the order they came; None if none."""
        if not ripe:
            return None
        for trace in ripe:
            del self._traces[trace.trace_id]
        chosen = np.isin(self._index[0], np.array([t.serial for t in ripe]))
        taken, self._index = self._index[:, chosen], self._index[:, ~chosen]
        parts = [
            _rows(self._frames[number], taken[2][taken[1] == number])
            for number in np.unique(taken[1]).tolist()
        ]
        live = set(np.unique(self._index[1]).tolist())
        self._frames = {n: frame for n, frame in self._frames.items() if n in live}
        # In one piece: a frame whose columns are cut at different rows is cut anew, whole, by
        # every select, which took as much time as all checks together.
        whole: pl.DataFrame = pl.concat(parts, rechunk=True)
        return whole

    @property
    def oldest_segment(self) -> int | None:
        """Return the lowest segment of the pushes that waiting spans came in; None if none."""
        lowest = (frame["segment"].min() for frame in self._frames.values())
        return min((segment for segment in lowest if isinstance(segment, int)), default=None)


def _rows(frame: pl.DataFrame, rows: np.ndarray[Any, Any]) -> pl.DataFrame:
    """Return these rows, which stand in their order; all of them without copying."""
    return frame if len(rows) == frame.height else frame[rows]

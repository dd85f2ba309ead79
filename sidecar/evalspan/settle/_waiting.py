"""Spans that wait for their trace to be complete."""

from dataclasses import dataclass
from typing import Literal

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

    def __contains__(self, trace_id: object) -> bool:
        return trace_id in self._traces

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

    def everything(self) -> list[Ripe]:
        """Return all open traces, as what a shutdown settles."""
        return [Ripe(trace_id, t.serial, "shutdown") for trace_id, t in self._traces.items()]

    def take(self, ripe: list[Ripe]) -> pl.DataFrame | None:
        """Remove these traces and return their spans, in the order they came; None if none."""
        if not ripe:
            return None
        for trace in ripe:
            del self._traces[trace.trace_id]
        chosen = np.isin(self._index[0], np.array([t.serial for t in ripe]))
        taken, self._index = self._index[:, chosen], self._index[:, ~chosen]
        parts = [
            self._frames[number][taken[2][taken[1] == number]]
            for number in np.unique(taken[1]).tolist()
        ]
        live = set(np.unique(self._index[1]).tolist())
        self._frames = {n: frame for n, frame in self._frames.items() if n in live}
        whole: pl.DataFrame = pl.concat(parts)
        return whole

    @property
    def oldest_segment(self) -> int | None:
        """Return the lowest segment that a waiting span came in; None if none waits."""
        lowest = [
            frame["segment"].gather(self._index[2][self._index[1] == number]).min()
            for number, frame in self._frames.items()
        ]
        return min((int(s) for s in lowest if isinstance(s, int)), default=None)

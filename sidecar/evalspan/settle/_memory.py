"""What is remembered of settled traces, for spans that come late."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from itertools import islice

import polars as pl

from evalspan.settle._waiting import Most


@dataclass(frozen=True, slots=True)
class _Batch:
    settled_us: int
    spans: pl.DataFrame
    size_bytes: int
    oldest_segment: int


class Memory:
    """How often each trace was settled, and for a while its spans. Bounded in both.

    Not safe for use by two threads.
    """

    def __init__(self, max_traces: int, most: Most) -> None:
        """Remember at most so many traces, and the spans of the latest of them."""
        self._max_traces = max_traces
        self._most = most
        self._attempts: dict[str, list[tuple[int, int]]] = {}
        self._batches: deque[_Batch] = deque()
        self._spans = self._bytes = 0

    def attempt(self, trace_id: str, segment: int) -> int:
        """Return the number of the latest attempt before `segment`; 0 if none is remembered.

        Attempts at this segment or later are those of an earlier life of the process:
        the segment is read again and they are about to be made again.
        """
        known = self._attempts.get(trace_id, [])
        before = bisect_left(known, (segment,))
        return known[before - 1][1] if before else 0

    def recall(self, trace_id: str, attempt: int, segment: int) -> None:
        """Remember an attempt of an earlier life, of whose segments any may be read again.

        They come in the order of segments.
        """
        known = self._attempts.pop(trace_id, [])
        known.append((segment, attempt))
        self._put(trace_id, known)

    def note(self, trace_id: str, attempt: int, segment: int) -> None:
        """Remember an attempt, and of those before it the latest: nobody asks for others.

        Segments come in order, so that what is asked about next is this one or a later one.
        """
        known = self._attempts.pop(trace_id, [])
        del known[: max(0, bisect_left(known, (segment,)) - 1)]
        if (segment, attempt) not in known:
            insort(known, (segment, attempt))
        self._put(trace_id, known)

    def _put(self, trace_id: str, known: list[tuple[int, int]]) -> None:
        """Remember these attempts; the traces that were longest unheard of are forgotten."""
        self._attempts[trace_id] = known
        for oldest in list(islice(self._attempts, max(0, len(self._attempts) - self._max_traces))):
            del self._attempts[oldest]

    def keep(self, spans: pl.DataFrame, settled_us: int, context: pl.DataFrame) -> None:
        """Keep the evaluated spans of a settlement.

        What was decided about them was decided beside their `context`, so that a restart
        begins where that came.
        """
        segments = pl.concat([spans["segment"], context["segment"]])
        oldest = int(segments.to_numpy().min(initial=spans["segment"][0]))
        batch = _Batch(settled_us, spans, int(spans.estimated_size()), oldest)
        self._batches.append(batch)
        self._spans += spans.height
        self._bytes += batch.size_bytes
        while self._batches and (
            self._spans > self._most.spans or self._bytes > self._most.size_bytes
        ):
            self._drop()

    def expire(self, before_us: int) -> None:
        """Let go of spans that settled before."""
        while self._batches and self._batches[0].settled_us < before_us:
            self._drop()

    def _drop(self) -> None:
        oldest = self._batches.popleft()
        self._spans -= oldest.spans.height
        self._bytes -= oldest.size_bytes

    def earlier(self, trace_ids: list[str]) -> pl.DataFrame | None:
        """Return the kept spans of these traces; None if there are none."""
        if not trace_ids:
            return None
        wanted = pl.Series(trace_ids, dtype=pl.String).implode()
        parts = [b.spans.filter(pl.col("trace_id").is_in(wanted)) for b in self._batches]
        parts = [part for part in parts if part.height]
        return pl.concat(parts) if parts else None

    @property
    def oldest_segment(self) -> int | None:
        """Return the first segment that what is kept came of; None if nothing is kept."""
        return min((batch.oldest_segment for batch in self._batches), default=None)

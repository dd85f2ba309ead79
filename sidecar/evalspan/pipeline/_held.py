"""Spans of traces that cannot be settled, until the segment at which they are given up."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from evalspan import wal
from evalspan.model import SPANS
from evalspan.pipeline._poison import Poison


class Held:
    """Keeps back what `poison` names, and what was pushed where it has to look for that."""

    def __init__(self, poison: Poison) -> None:
        """Hold nothing yet."""
        self._poison = poison
        self._held: dict[int, list[tuple[pl.DataFrame, dict[str, str]]]] = {}
        self._pushed: list[tuple[pa.Table, pa.Table]] = []

    def hold(
        self, segment: wal.Segment, spans: pa.Table, events: pa.Table, now_us: int
    ) -> tuple[pa.Table, pa.Table]:
        """Return the spans and events of a segment that can be settled.

        Raises SetAsideError where it was found that some cannot.
        """
        bad = self._poison.unsettled(segment)
        if bad:
            self._keep(pl.DataFrame(pl.from_arrow(spans)), bad)
            spans, events = (_without(rows, bad) for rows in (spans, events))
        if self._poison.suspects_settling(segment.log_id):
            self._pushed.append((spans, events))
            all_spans, all_events = zip(*self._pushed, strict=True)
            self._poison.look_at_settling(segment, all_spans, all_events, now_us)
        else:
            self._pushed = []
        return spans, events

    def given_up(self, segment: int) -> tuple[pl.DataFrame, Mapping[str, str]]:
        """Return the spans held until this segment, and trace → why."""
        found = self._held.pop(segment, [])
        if not found:
            return pl.DataFrame(pl.from_arrow(SPANS.empty())), {}
        return pl.concat([rows for rows, _ in found]), found[-1][1]

    @property
    def oldest_segment(self) -> int | None:
        """Return the lowest segment that a held span came in; None if none is held."""
        lowest = (rows["segment"].min() for held in self._held.values() for rows, _ in held)
        return min((n for n in lowest if isinstance(n, int)), default=None)

    def _keep(self, spans: pl.DataFrame, bad: Mapping[str, tuple[int, str]]) -> None:
        for until in {number for number, _ in bad.values()}:
            why = {trace: reason for trace, (number, reason) in bad.items() if number == until}
            rows = spans.filter(pl.col("trace_id").is_in(list(why)))
            if rows.height:
                self._held.setdefault(until, []).append((rows, why))


def _without(rows: pa.Table, traces: Mapping[str, object]) -> pa.Table:
    bad = pl.Series(rows.column("trace_id")).is_in(list(traces)).fill_null(value=False)
    return rows.filter((~bad).to_arrow())

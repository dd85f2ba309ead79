"""Join the content that came as log records to the spans it belongs to."""

from collections.abc import Callable

import polars as pl

from evalspan.settle._waiting import Most

Messages = Callable[[pl.DataFrame], pl.DataFrame]


class Records:
    """Log records that wait for the spans of their trace. Not safe for use by two threads."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: pl.DataFrame | None = None

    def add(self, events: pl.DataFrame) -> None:
        """Keep the log records that name a span."""
        logs = events.filter(
            (pl.col("source") == "log")
            & pl.col("trace_id").is_not_null()
            & pl.col("span_id").is_not_null()
        )
        if logs.height:
            # Copied with what they hold: rows that are picked keep all memory of the others.
            logs = pl.DataFrame(pl.from_arrow(logs.to_arrow()))
            known = [self._waiting] if self._waiting is not None else []
            self._waiting = pl.concat([*known, logs])

    def take(self, trace_ids: list[str]) -> pl.DataFrame | None:
        """Remove the records of these traces and return them; None if there are none."""
        if self._waiting is None:
            return None
        wanted = pl.col("trace_id").is_in(pl.Series(trace_ids, dtype=pl.String).implode())
        taken, rest = self._waiting.filter(wanted), self._waiting.filter(~wanted)
        self._waiting = rest if rest.height else None
        return taken if taken.height else None

    @property
    def oldest_segment(self) -> int | None:
        """Return the lowest segment that a waiting record came in; None if none waits."""
        lowest = None if self._waiting is None else self._waiting["segment"].min()
        return int(lowest) if isinstance(lowest, int) else None

    def expire(self, before_us: int, most: Most) -> int:
        """Let go of records received before, whose spans never came or were settled already.

        Of what is left, no more than `most` stay, the latest. Returns how many are gone.
        """
        if self._waiting is None:
            return 0
        rest = self._waiting.filter(pl.col("received_time").to_physical() >= before_us)
        rest = rest.tail(most.spans)
        if (size_bytes := rest.estimated_size()) > most.size_bytes:
            rest = rest.tail(int(rest.height * most.size_bytes / size_bytes))
            rest = pl.DataFrame(pl.from_arrow(rest.to_arrow()))
        gone = self._waiting.height - rest.height
        self._waiting = rest if rest.height else None
        return gone


def fill(spans: pl.DataFrame, records: pl.DataFrame | None, messages: Messages) -> pl.DataFrame:
    """Fill null columns of `spans` with what `messages` reads out of the records.

    `messages` returns trace_id, span_id and some columns of SPANS; what a span
    has already stays as it is.
    """
    if records is None:
        return spans
    found = messages(records).unique(["trace_id", "span_id"], keep="first", maintain_order=True)
    columns = [c for c in found.columns if c in spans.columns and c not in {"trace_id", "span_id"}]
    joined = spans.select("trace_id", "span_id").join(
        found, on=["trace_id", "span_id"], how="left", maintain_order="left"
    )
    return spans.with_columns(
        spans[c].zip_with(spans[c].is_not_null(), joined[c].cast(spans[c].dtype)) for c in columns
    )

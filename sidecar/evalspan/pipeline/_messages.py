"""The messages that came as log records, where one record cannot take the others with it."""

from collections import Counter
from collections.abc import Callable

import polars as pl

Read = Callable[[pl.DataFrame], pl.DataFrame]
_SPAN = ("trace_id", "span_id")


class Messages:
    """Reads EVENTS of settled traces; the records of a span that break it are left out.

    `unread` counts those by the name of the error, until it is taken.
    """

    def __init__(self, read: Read) -> None:
        """Read with `read`: EVENTS → trace_id, span_id and columns of SPANS."""
        self._read = read
        self._unread: Counter[str] = Counter()

    def __call__(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return what `read` returns for the spans whose records can be read."""
        try:
            return self._read(events)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - it is counted; raised, the segment came again
            spans = events.select(_SPAN).unique(maintain_order=True)
            if spans.height <= 1:
                self._unread[type(error).__name__] += events.height
                return self._read(events.clear())
        halves = (spans.head(spans.height // 2), spans.slice(spans.height // 2))
        found = [events.join(h, on=_SPAN, how="semi", maintain_order="left") for h in halves]
        return pl.concat([self(records) for records in found])

    def take_unread(self) -> Counter[str]:
        """Return how many records could not be read since the last time, by error."""
        unread, self._unread = self._unread, Counter()
        return unread

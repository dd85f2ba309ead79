"""The log of a data folder, and where the tables stand against it."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from evalspan import store, wal
from evalspan.model import LEDGER, TABLES, Table
from evalspan.pipeline._build import store_of
from evalspan.pipeline._settings import Settings

_OF_SEGMENTS = tuple(table for table in TABLES if "segment" in table.schema.names)


def open_log(settings: Settings) -> wal.Writer:
    """Return the one writer of the log.

    Rows say of which segment they are by its number only, so that a log which begins anew
    beside tables that stay counts on from them.
    """
    return wal.Writer(
        settings.log_folder, settings.wal, above=lambda: last_segment(store_of(settings))
    )


def last_segment(tables: store.Store, among: Iterable[Table] = _OF_SEGMENTS) -> int:
    """Return the highest number of a segment that rows of these tables came in; 0 if none."""
    highest = (tables.scan(t).select(pl.col("segment").max()).collect().item() for t in among)
    return max((int(number) for number in highest if number is not None), default=0)


def last_done(log_folder: Path, tables: store.Store) -> int:
    """Return the last segment that is counted in LEDGER, of this log or of one before it."""
    app = wal.log_id(log_folder)
    done = tables.committed(LEDGER, app) if app else 0
    return done or last_segment(tables, (LEDGER,))

"""store: rows in, Delta tables of Parquet out, each segment exactly once.

In: Arrow tables with the schemas of `evalspan.model`. Out: one folder per table
below the data folder, partitioned by UTC day, and lazy frames to read them.
One segment of the log is one commit per table. The commit carries the log's id
and the segment's number, so that a segment that is replayed after a crash is
seen and skipped: writing is idempotent.
"""

from pydantic import Field

from evalspan.config import Duration, Strict, parse_duration
from evalspan.store._delta import Store, StoreError
from evalspan.store._duplicates import Duplicates, duplicates_of

__all__ = ["Duplicates", "Store", "StoreError", "StoreSettings", "duplicates_of"]


class StoreSettings(Strict):
    """How the tables are kept."""

    compression_level: int = Field(default=1, ge=1, le=19, description="Level of zstd.")
    compact_every: int = Field(
        default=250,
        ge=0,
        description="Merge small files after this many commits of a table; 0 never does.",
    )
    keep_removed: Duration = Field(
        default=parse_duration("1d"),
        description="How long files stay that compaction replaced: a query may still read them.",
    )
    duplicate_window: Duration = Field(
        default=parse_duration("15m"),
        description="How long a span is remembered so that a repeat of it is dropped. A repeat "
        "that comes later is stored and left out by the views.",
    )

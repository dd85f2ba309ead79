"""What can be set about the log."""

from datetime import timedelta

from pydantic import Field

from evalspan.config import Duration, Strict


class WalSettings(Strict):
    """The write-ahead log: the only queue between the receiver and everything else."""

    segment_size_mib: float = Field(
        default=32,
        gt=0,
        le=4096,
        description="A segment is closed when it has grown to this many MiB.",
    )
    segment_age: Duration = Field(
        default=timedelta(seconds=2),
        gt=timedelta(0),
        description="A segment is closed this long after its first record; "
        "what is in a segment becomes queryable after it was closed.",
    )
    tick_every: Duration = Field(
        default=timedelta(seconds=2),
        gt=timedelta(0),
        description="Without traffic, an empty segment is closed this often, "
        "so that traces settle without new spans.",
    )
    tick_for: Duration = Field(
        default=timedelta(minutes=6),
        ge=timedelta(0),
        description="How long after the last record empty segments are still written; "
        "must be longer than the longest time a trace needs to settle.",
    )
    max_size_gib: float = Field(
        default=8,
        gt=0,
        description="Most GiB of segments waiting to be stored; when reached, requests are "
        "answered RESOURCE_EXHAUSTED and the sender keeps them.",
    )
    keep_free_mib: float = Field(
        default=256,
        ge=0,
        description="The log also counts as full when the disk has less than this many MiB free: "
        "storing what is in the log needs room as well.",
    )
    fsync: bool = Field(
        default=True,
        description="Wait for the disk before a request is answered OK. Without it a crash of the "
        "machine (not of the process) can lose accepted requests.",
    )

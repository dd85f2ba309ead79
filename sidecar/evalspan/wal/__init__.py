"""The write-ahead log: requests on disk, in order, before anyone is told OK.

In: serialized OTLP requests, one `Writer.append` each, from any thread of one process.
Out: closed segments, listed by `segments`, read by `read`, deleted by `remove`, by another
process. The two share the folder and nothing else. FORMAT.md has the bytes and the invariants.

Settings: `WalSettings`. Errors: `LogFullError` (an `OSError` with ENOSPC; the log is whole, send
again later), `LogFailedError` (restart), `LogLockedError` (a second writer), `Corruption`,
`OtherVersionError` (a `Corruption` by kind only: another version wrote the log).
"""

from evalspan.wal._clock import Clock, SystemClock
from evalspan.wal._errors import (
    Corruption,
    LogFailedError,
    LogFullError,
    LogLockedError,
    OtherVersionError,
)
from evalspan.wal._inspect import inspect
from evalspan.wal._record import Kind, Record
from evalspan.wal._recover import Recovery, recover
from evalspan.wal._repair import Repair, repair
from evalspan.wal._segment import Segment, close_time, log_id, read, remove, segments
from evalspan.wal._settings import WalSettings
from evalspan.wal._writer import Writer

__all__ = [
    "Clock",
    "Corruption",
    "Kind",
    "LogFailedError",
    "LogFullError",
    "LogLockedError",
    "OtherVersionError",
    "Record",
    "Recovery",
    "Repair",
    "Segment",
    "SystemClock",
    "WalSettings",
    "Writer",
    "close_time",
    "inspect",
    "log_id",
    "read",
    "recover",
    "remove",
    "repair",
    "segments",
]

"""Start of a writer: end what a killed one left open."""

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from evalspan.wal._clock import Clock, LogClock, SystemClock
from evalspan.wal._errors import Corruption, LogLockedError
from evalspan.wal._file import OpenSegment
from evalspan.wal._record import (
    OPENING_BYTES,
    BadRecordError,
    Flag,
    Kind,
    Opening,
    mark_of,
    pack_opening,
    parse_at,
    parse_opening,
    salvage,
)
from evalspan.wal._segment import (
    REPAIR_HINT,
    Segment,
    close_time,
    closed_path,
    files,
    new_log_id,
)

_LOCK_FILE: Final = "lock"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found at start.

    `cut_segment` is the segment whose torn tail of `cut_bytes` bytes was cut at `cut_offset`;
    None where nothing was torn. No acknowledged record is ever in a torn tail.
    """

    log_id: str
    next_number: int
    last_time_unix_ns: int
    cut_segment: int | None = None
    cut_offset: int = 0
    cut_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """How far the good records of a file reach, and how they end."""

    good_bytes: int
    last_time_unix_ns: int
    closed: bool


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the log for writing; `LogLockedError` names the process that has it."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace") or "unknown"
            message = (
                f"{directory}: process {owner} writes this log; "
                "stop it, or give this sidecar a data folder of its own"
            )
            raise LogLockedError(message) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def recover(directory: Path) -> Recovery:
    """End the segment that a killed writer left, so that it is read; no writer may run.

    A torn tail is cut, with one line in the program's log. Raises `Corruption` where bytes
    are bad that had been acknowledged.
    """
    with locked(directory):
        return recover_locked(directory, SystemClock())


def recover_locked(directory: Path, clock: Clock, above: Callable[[], int] = lambda: 0) -> Recovery:
    """As `recover`, for who holds the lock; a new log counts from the number after `above()`."""
    found = files(directory)
    if not found:
        # nobody knows how far a log counted that is gone, so this one is another log to readers
        number = above() + 1
        return Recovery(new_log_id(directory), number, last_time_unix_ns=0)
    closed = [segment for segment in found if not segment.is_open]
    last_time = close_time(closed[-1]) if closed else 0
    recovery = Recovery(found[-1].log_id, found[-1].number + 1, last_time)
    for segment in found:
        if segment.is_open:
            recovery = _end(directory, segment, recovery, clock)
    return recovery


def _end(directory: Path, segment: Segment, recovery: Recovery, clock: Clock) -> Recovery:
    if closed_path(directory, segment.number).exists():
        hint = "there is a closed and an open file of this number; move one of them away"
        raise Corruption(segment.number, 0, hint)
    state = scan(segment)
    time_unix_ns = max(state.last_time_unix_ns, recovery.last_time_unix_ns)
    end_unix_ns = LogClock(clock, time_unix_ns).stamp_unix_ns()
    file = OpenSegment.resume(directory, segment.number)
    cut_bytes = segment.size_bytes - state.good_bytes
    file.cut(state.good_bytes)
    if state.good_bytes == 0:
        file.append([pack_opening(Opening(segment.log_id, segment.number), end_unix_ns)])
    if state.closed:
        file.publish()
        end_unix_ns = time_unix_ns
    else:
        file.close(segment.log_id, end_unix_ns)
    ended = replace(recovery, last_time_unix_ns=end_unix_ns)
    if not cut_bytes:
        return ended
    _log.warning(
        "torn tail of the log cut",
        segment=segment.number,
        offset=state.good_bytes,
        bytes_cut=cut_bytes,
    )
    return replace(
        ended, cut_segment=segment.number, cut_offset=state.good_bytes, cut_bytes=cut_bytes
    )


def scan(segment: Segment) -> Scan:
    """How much of an open segment is good; `Corruption` where more than a tail is bad."""
    if segment.size_bytes == 0:
        return Scan(0, 0, closed=False)
    with (
        segment.path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
    ):
        return _scan_buffer(segment, buffer)


def _scan_buffer(segment: Segment, buffer: mmap.mmap) -> Scan:
    mark = mark_of(segment.log_id)
    try:
        opening, _ = parse_opening(buffer)
    except BadRecordError as error:
        _refuse_more(segment, buffer, 0, str(error))
        return Scan(0, 0, closed=False)
    if (opening.log_id, opening.number) != (segment.log_id, segment.number):
        hint = f"the file is segment {opening.number} of log {opening.log_id}; move it away"
        raise Corruption(segment.number, 0, hint)
    offset, time_unix_ns, closed = OPENING_BYTES, 0, False
    while offset < len(buffer) and not closed:
        try:
            record = parse_at(buffer, offset, mark)
        except BadRecordError as error:
            _refuse_more(segment, buffer, offset, str(error))
            break
        offset, time_unix_ns = record.end, record.time_unix_ns
        closed = record.kind is Kind.CLOSE
    return Scan(offset, time_unix_ns, closed)


def _refuse_more(segment: Segment, buffer: mmap.mmap, offset: int, reason: str) -> None:
    """Tell a torn tail from lost data.

    Only the last group commit can be torn. A later record that starts one proves that what
    is bad here had been on disk.
    """
    for record in salvage(buffer, offset, mark_of(segment.log_id)):
        if Flag.FIRST in record.flags:
            hint = f"{reason}, and a later commit at byte {record.offset} is good; {REPAIR_HINT}"
            raise Corruption(segment.number, offset, hint)

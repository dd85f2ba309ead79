"""Repair: keep every good record of a damaged log, put the bad bytes aside."""

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from evalspan.wal._errors import Corruption, OtherVersionError
from evalspan.wal._record import (
    OPENING_BYTES,
    BadRecordError,
    Kind,
    Opening,
    Record,
    mark_of,
    pack_close,
    pack_opening,
    parse_opening,
    salvage,
)
from evalspan.wal._recover import locked, scan
from evalspan.wal._segment import (
    Segment,
    close_time,
    closed_path,
    file_names,
    gaps,
    list_files,
    log_id,
    new_log_id,
    read,
    sync_directory,
    write_log_id,
)


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done to one segment: records kept, bytes put into the file `corrupt`."""

    segment: int
    reason: str
    records_kept: int
    bytes_bad: int
    corrupt: Path | None


def repair(directory: Path) -> list[Repair]:
    """Make every segment readable again; no writer may run (`LogLockedError`).

    Raises `OtherVersionError` for a log of another version: it is not damaged.

    A damaged segment is written anew with its good records, as they were and in their order;
    the bad bytes stand in `<number>.corrupt`. A missing segment is replaced by an empty one.
    Running it again changes nothing more.
    """
    with locked(directory):
        names = sorted(file_names(directory))
        name = _log_id(directory, [path for _, path in names])
        present = list_files(names, name)
        absent = [
            Segment(number, closed_path(directory, number), name, 0) for number in gaps(present)
        ]
        done: list[Repair] = []
        floor_unix_ns = 0
        for segment in sorted([*present, *absent], key=lambda segment: segment.number):
            reason = _damage(segment)
            if reason:
                done.append(_rewrite(segment, reason, floor_unix_ns))
            if not segment.is_open or reason:
                floor_unix_ns = _end_of(closed_path(directory, segment.number), name)
        return done


def _log_id(directory: Path, paths: list[Path]) -> str:
    """The id of the id file, else of the newest segment that says it, else a fresh one."""
    try:
        known = log_id(directory)
    except Corruption:
        known = None
    for path in reversed([] if known else paths):
        try:
            known = write_log_id(directory, parse_opening(path.read_bytes())[0].log_id)
        except BadRecordError:
            continue
        break
    return known or new_log_id(directory)


def _damage(segment: Segment) -> str | None:
    """What is wrong with a segment; a torn tail of an open one is not."""
    try:
        if not segment.path.exists():
            return "the file is missing"
        if segment.is_open:
            scan(segment)
        else:
            deque(read(segment), maxlen=0)
    except OtherVersionError:
        raise
    except Corruption as error:
        return error.hint
    return None


def _rewrite(segment: Segment, reason: str, floor_unix_ns: int) -> Repair:
    """Replace the file by one of its good records; the bad bytes are on disk before that."""
    directory = segment.path.parent
    content = segment.path.read_bytes() if segment.path.exists() else b""
    records = list(salvage(content, 0, mark_of(segment.log_id)))
    good = [record for record in records if record.kind in (Kind.TRACES, Kind.LOGS)]
    bad = _outside(content, records)
    corrupt = segment.path.with_suffix(".corrupt")
    if bad:
        _write(corrupt, bad)
    end_unix_ns = max([floor_unix_ns, *(record.time_unix_ns for record in records)])
    whole = [
        pack_opening(Opening(segment.log_id, segment.number), floor_unix_ns),
        *(content[record.offset : record.end] for record in good),
        pack_close(mark_of(segment.log_id), end_unix_ns),
    ]
    target = closed_path(directory, segment.number)
    temporary = segment.path.with_suffix(".repair")
    _write(temporary, b"".join(whole))
    temporary.replace(target)
    if segment.path != target:
        segment.path.unlink()
    sync_directory(directory)
    return Repair(segment.number, reason, len(good), len(bad), corrupt if bad else None)


def _outside(content: bytes, records: list[Record]) -> bytes:
    """The bytes that belong to no good record."""
    try:
        parse_opening(content)
        offset = OPENING_BYTES
    except BadRecordError:
        offset = 0
    ranges = []
    for record in records:
        ranges.append(content[offset : record.offset])
        offset = record.end
    return b"".join([*ranges, content[offset:]])


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _end_of(path: Path, name: str) -> int:
    return close_time(Segment(int(path.stem), path, name, path.stat().st_size))

"""The segments of a log on disk: listing, reading, deleting."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID, uuid4

from evalspan.wal._errors import Corruption
from evalspan.wal._record import (
    HEADER_BYTES,
    OPENING_BYTES,
    BadRecordError,
    Kind,
    Record,
    mark_of,
    parse,
    parse_opening,
    payload_length,
)

REPAIR_HINT: Final = "stop the sidecar and run `evalspan wal repair`"
_NAME: Final = re.compile(r"(\d{20})\.(wal|open)")
_ID_FILE: Final = "log.json"
_LISTINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a log, which `log_id` names.

    `number` has no gaps and starts at 1, or above those of an earlier log whose rows are there.
    """

    number: int
    path: Path
    log_id: str
    size_bytes: int

    @property
    def is_open(self) -> bool:
        """Whether it is still being written."""
        return self.path.suffix == ".open"


def closed_path(directory: Path, number: int) -> Path:
    """Where a segment stands when it is complete."""
    return directory / f"{number:020d}.wal"


def open_path(directory: Path, number: int) -> Path:
    """Where a segment stands while it is being written."""
    return directory / f"{number:020d}.open"


def log_id(directory: Path) -> str | None:
    """The log's random id (32 hex digits), None before the first writer; the Delta app id."""
    try:
        text = (directory / _ID_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return UUID(hex=json.loads(text)["log_id"]).hex
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"{_ID_FILE} does not hold a log id; {REPAIR_HINT}"
        raise Corruption(0, 0, hint) from error


def new_log_id(directory: Path) -> str:
    """Write a fresh id, durably, and return it."""
    return write_log_id(directory, uuid4().hex)


def write_log_id(directory: Path, name: str) -> str:
    """Replace the id file atomically; returns the id."""
    temporary = directory / f"{_ID_FILE}.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"log_id": name}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / _ID_FILE)
    sync_directory(directory)
    return name


def sync_directory(directory: Path) -> None:
    """Make created, renamed and deleted names durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files(directory: Path) -> list[Segment]:
    """Every segment file in order of number, the open one included, gaps not judged."""
    names = sorted(file_names(directory))
    name = log_id(directory)  # after the listing: a listed segment belongs to this id
    if name is None and names:
        raise Corruption(names[0][0], 0, f"{_ID_FILE} is missing; {REPAIR_HINT}")
    return list_files(names, name or "")


def list_files(names: list[tuple[int, Path]], name: str) -> list[Segment]:
    """The listed files that are still there, as segments of log `name`."""
    found = []
    for number, path in names:
        try:
            found.append(Segment(number, path, name, path.stat().st_size))
        except FileNotFoundError:  # removed or closed since the listing
            continue
    return found


def file_names(directory: Path) -> Iterator[tuple[int, Path]]:
    """Number and path of every segment file, in no order."""
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            yield int(match[1]), path


def segments(directory: Path) -> list[Segment]:
    """The closed segments, oldest first; `Corruption` where one is missing in between."""
    found: list[Segment] = []
    for _ in range(_LISTINGS):  # a listing is not atomic: only a gap that stays is a gap
        found = [segment for segment in files(directory) if not segment.is_open]
        missing = gaps(found)
        if not missing:
            return found
    raise Corruption(missing[0], 0, f"the file is missing; {REPAIR_HINT}")


def gaps(found: list[Segment]) -> list[int]:
    """Numbers missing between the first and the last of `found`."""
    present = {segment.number for segment in found}
    return sorted(set(range(min(present), max(present))) - present) if present else []


def remove(directory: Path, below: int) -> int:
    """Delete closed segments numbered under `below`, oldest first; returns how many.

    The newest file always stays: it holds the place from which numbering goes on.
    """
    found = [segment for segment in files(directory) if not segment.is_open]
    old = [segment for segment in found[:-1] if segment.number < below]
    for segment in old:
        segment.path.unlink(missing_ok=True)
    return len(old)


def read(segment: Segment) -> Iterator[Record]:
    """The requests in a closed segment, in the order in which they were written.

    Every checksum is verified. Raises `Corruption` with the offset of the first bad byte range.
    """
    with segment.path.open("rb") as file:
        _check_opening(segment, file)
        mark, offset, closed = mark_of(segment.log_id), OPENING_BYTES, False
        while header := file.read(HEADER_BYTES):
            record = _next_record(segment, file, header, offset, mark)
            if closed or record.kind is Kind.OPEN:
                raise Corruption(segment.number, offset, f"a record after the end; {REPAIR_HINT}")
            closed = record.kind is Kind.CLOSE
            offset = record.end
            if not closed:
                yield record
        if not closed:
            raise Corruption(segment.number, offset, f"the end is missing; {REPAIR_HINT}")


def close_time(segment: Segment) -> int:
    """When a closed segment ended, Unix nanoseconds: never smaller than any time in it."""
    offset = segment.size_bytes - HEADER_BYTES
    with segment.path.open("rb") as file:
        _check_opening(segment, file)
        file.seek(max(offset, 0))
        header = file.read(HEADER_BYTES)
        record = _next_record(segment, file, header, offset, mark_of(segment.log_id))
    if record.kind is not Kind.CLOSE:
        raise Corruption(segment.number, offset, f"the end is missing; {REPAIR_HINT}")
    return record.time_unix_ns


def _check_opening(segment: Segment, file: BinaryIO) -> None:
    try:
        opening, _ = parse_opening(file.read(OPENING_BYTES))
    except BadRecordError as error:
        raise Corruption(segment.number, 0, f"{error}; {REPAIR_HINT}") from error
    if (opening.log_id, opening.number) != (segment.log_id, segment.number):
        hint = (
            f"the file is segment {opening.number} of log {opening.log_id}, "
            f"expected segment {segment.number} of log {segment.log_id}; move it away"
        )
        raise Corruption(segment.number, 0, hint)


def _next_record(
    segment: Segment, file: BinaryIO, header: bytes, offset: int, mark: bytes
) -> Record:
    try:
        length = payload_length(header, mark)
        left = segment.size_bytes - offset - HEADER_BYTES
        # a wrong length must not make us read (and allocate) gigabytes
        payload = file.read(length) if length <= left else b""
        return parse(header, payload, offset)
    except BadRecordError as error:
        raise Corruption(segment.number, offset, f"{error}; {REPAIR_HINT}") from error

"""What is in a log, for people: counts without decoding."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalspan.wal._errors import Corruption
from evalspan.wal._record import BadRecordError, Kind, mark_of, parse_at, parse_opening
from evalspan.wal._segment import Segment, closed_path, file_names, list_files, log_id
from evalspan.wal._wire import BadMessageError, count_items

_ITEMS = {Kind.TRACES: "spans", Kind.LOGS: "log_records"}


def inspect(directory: Path, after: int = 0) -> Iterator[dict[str, Any]]:
    """One row per segment file, oldest first; a damaged segment is a row with `error`.

    Only segments numbered above `after`; one that is removed meanwhile is left out.

    Keys: segment, state (open, closed), size_bytes, traces and logs (requests), spans,
    log_records, undecodable (requests whose items cannot be counted), opened, closed (ISO 8601,
    UTC, null where unknown), error (null where the segment is whole).
    """
    try:
        name = log_id(directory) or ""
    except Corruption:
        name = ""
    for segment in list_files(sorted(file_names(directory)), name):
        if segment.number <= after:
            continue
        try:
            yield _row(segment)
        except FileNotFoundError:  # since the listing it was closed, or stored and removed
            closed = replace(segment, path=closed_path(directory, segment.number))
            if segment.is_open and closed.path.exists():
                yield _row(closed)


def _row(segment: Segment) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    times: dict[Kind, int] = {}
    error = None
    try:
        _count(segment.path.read_bytes(), counts, times)
    except BadRecordError as bad:
        error = str(bad)
    if error is None and Kind.CLOSE not in times and not segment.is_open:
        error = "the end is missing"
    return {
        "segment": segment.number,
        "state": "open" if segment.is_open else "closed",
        "size_bytes": segment.size_bytes,
        **{key: counts[key] for key in ("traces", "logs", *_ITEMS.values(), "undecodable")},
        "opened": _iso(times.get(Kind.OPEN)),
        "closed": _iso(times.get(Kind.CLOSE)),
        "error": error,
    }


def _count(content: bytes, counts: Counter[str], times: dict[Kind, int]) -> None:
    """Fill `counts` and `times` as far as the records are good."""
    opening, first = parse_opening(content)
    times[Kind.OPEN] = first.time_unix_ns
    offset, mark = first.end, mark_of(opening.log_id)
    while offset < len(content):
        try:
            record = parse_at(content, offset, mark)
        except BadRecordError as bad:
            message = f"at byte {offset}: {bad}"
            raise BadRecordError(message) from bad
        offset = record.end
        times[record.kind] = record.time_unix_ns
        if record.kind in _ITEMS:
            counts[record.kind.value] += 1
            try:
                counts[_ITEMS[record.kind]] += count_items(record.payload)
            except BadMessageError:
                counts["undecodable"] += 1


def _iso(time_unix_ns: int | None) -> str | None:
    if time_unix_ns is None:
        return None
    return datetime.fromtimestamp(time_unix_ns / 1e9, UTC).isoformat(timespec="milliseconds")

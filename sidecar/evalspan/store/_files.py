"""The Parquet files of a table: written here, on disk before the commit that names them.

Delta's own writer takes about twice the CPU time, and does not wait for the disk.
"""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction

from evalspan.model import STRAY_DAY, Table

DAY: Final = "day"
# Columns by which files and row groups are left out of a query.
_MEASURED: Final = ("segment", "received_time", "trace_id")
# Texts that hardly repeat: looking for repeats in them costs time and saves nothing.
_VARIED: Final = frozenset(
    {
        *("trace_id", "span_id", "parent_span_id", "response_id", "tool_call_id", "case_id"),
        *("input_messages", "output_messages", "input_text", "output_text", "output", "body"),
    },
)
# Files that one commit may write. A sender can name any time: a request of spans on a thousand
# days would take a thousand files, which are written and synced one by one.
_MOST_DAYS: Final = 8
_MILLISECOND: Final = timedelta(milliseconds=1)


class Writer:
    """Writes rows as one file per day, those of rare days together."""

    def __init__(self, compression_level: int) -> None:
        """Compress with zstd at this level."""
        self._level = compression_level

    def write(self, folder: Path, table: Table, rows: pa.Table) -> list[AddAction | RemoveAction]:
        """Write the rows and return what a commit must name; raises OSError."""
        return [self._file(folder, table, day, part) for day, part in _by_day(table, rows)]

    def _file(self, folder: Path, table: Table, day: date, rows: pa.Table) -> AddAction:
        name = f"{DAY}={day.isoformat()}/{uuid4().hex}.zstd.parquet"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        measured = [n for n in (table.time, *_MEASURED) if n in rows.schema.names]
        try:
            pq.write_table(
                rows,
                path,
                compression="zstd",
                compression_level=self._level,
                write_statistics=measured,
                use_dictionary=_repeated(rows.schema),
                store_schema=False,
            )
            sync(path, path.parent)
        except OSError:
            path.unlink(missing_ok=True)  # half a file would fill a full disk further at each try
            raise
        return AddAction(
            path=name,
            size=path.stat().st_size,
            partition_values={DAY: day.isoformat()},
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps(_stats(rows, measured)),
        )


def with_day(table: Table, rows: pa.Table) -> pa.Table:
    """Return the rows with the column that partitions them."""
    return rows.append_column(DAY, pc.cast(rows.column(table.time), pa.date32()))


def sync(path: Path, folder: Path) -> None:
    """Wait until a file and its name are on disk."""
    for each, flags in ((path, os.O_RDONLY), (folder, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _by_day(table: Table, rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Yield the rows of the days that most of them are of, then all others as stray ones."""
    days = pc.cast(rows.column(table.time), pa.date32())
    found = pc.value_counts(days).to_pylist()
    if len(found) == 1:
        yield found[0]["values"], rows
        return
    found.sort(key=lambda each: (-each["counts"], each["values"]))
    named = [each["values"] for each in found[:_MOST_DAYS]]
    for day in named:
        yield day, rows.filter(pc.equal(days, pa.scalar(day)))
    if len(found) > len(named):
        yield STRAY_DAY, rows.filter(pc.invert(pc.is_in(days, pa.array(named, pa.date32()))))


def _stats(rows: pa.Table, measured: list[str]) -> dict[str, Any]:
    least, most, nulls = {}, {}, {}
    for name in measured:
        column = rows.column(name)
        nulls[name] = column.null_count
        if column.null_count == len(column):
            continue
        found = pc.min_max(column).as_py()
        least[name], most[name] = _plain(found["min"]), _plain(found["max"], up=True)
    return {"numRecords": len(rows), "minValues": least, "maxValues": most, "nullCount": nulls}


def _plain(value: object, *, up: bool = False) -> object:
    """Return a value as Delta's statistics write it: times in milliseconds, rounded outwards."""
    if not isinstance(value, datetime):
        return value
    value = value.astimezone(UTC)
    rest = value.microsecond % 1000
    text = value.strftime("%Y-%m-%dT%H:%M:%S")
    milliseconds = value.microsecond // 1000
    if up and rest:
        return _plain(value.replace(microsecond=milliseconds * 1000) + _MILLISECOND)
    return f"{text}.{milliseconds:03d}Z"


def _repeated(schema: pa.Schema) -> list[str]:
    """Return the columns that are written with a dictionary: texts that repeat."""
    texts = [f.name for f in schema if pa.types.is_string(f.type) and f.name not in _VARIED]
    return [*texts, *(["attributes.list.element.key"] if "attributes" in schema.names else [])]

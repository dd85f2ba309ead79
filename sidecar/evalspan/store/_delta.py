"""Delta tables in a folder: append once per segment, read lazily."""

import errno
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import structlog
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError

from evalspan.model import SCORES, Table
from evalspan.store._files import DAY, Writer, sync, with_day

log = structlog.get_logger()

# How long Delta keeps the files of old commits. Every commit lists the folder they are in: with
# those of a day it takes twenty times as long.
_LOG_KEPT: Final = "interval 1 hours"
# What an error is told in; the rest of it is the library's own stack.
_MOST_CHARACTERS: Final = 300
# What it costs to begin a table anew, beside its rows.
_COSTS: Final[Mapping[str, str]] = {
    SCORES.name: ", and judges ask again, at the price of the first time, about every trace that "
    "settled since their checklist is in the config; one that is given another name before asks "
    "about new traces only"
}


class StoreError(RuntimeError):
    """A table that cannot be written or read. `full` tells a full disk from the rest."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        """Keep the message and whether space ran out."""
        super().__init__(message)
        self.full = full


class Store:
    """All tables below one folder. One process appends to a table under one app id.

    `failed_merges`: table → how often its small files could not be merged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        compression_level: int = 1,
        compact_every: int = 250,
        keep_removed_hours: float = 24,
    ) -> None:
        """Open the folder; it is made at the first commit."""
        self.folder = folder
        self._writer = Writer(compression_level)
        self._compact_every = compact_every
        self._keep_removed_hours = math.ceil(keep_removed_hours)
        self._tables: dict[str, DeltaTable] = {}
        # Table → the last version of which it is known that it is on disk, where later ones are
        # not: commits, and files that a merge has written.
        self._unsynced: dict[str, int] = {}
        self._unsynced_files: dict[str, int] = {}
        self.failed_merges: Counter[str] = Counter()

    def path(self, table: Table) -> Path:
        """Return the folder of a table."""
        return self.folder / table.name

    def exists(self, table: Table) -> bool:
        """Whether the table has been written to."""
        return self._open(table) is not None

    def committed(self, table: Table, app: str) -> int:
        """Return the last segment that `app` committed to the table; 0 if none."""
        handle = self._open(table)
        if handle is None:
            return 0
        with self._read(table):
            handle.update_incremental()
            return int(handle.transaction_version(app) or 0)

    def commit(self, table: Table, rows: pa.Table, app: str, segment: int) -> bool:
        """Append the rows of a segment; returns False if they are there already.

        Raises StoreError: the segment can be given again, and nothing of it is there twice.
        """
        if rows.schema != table.schema:
            rows = rows.cast(table.schema)
        if self.committed(table, app) >= segment:
            with self._written(table):
                self._sync(table)
            return False
        properties = CommitProperties(app_transactions=[Transaction(app, segment)])
        self._write(table, rows, properties)
        self._compact(table)
        return True

    def append(self, table: Table, rows: pa.Table) -> None:
        """Append rows that no segment made, such as findings."""
        handle = self._open(table)
        if handle is not None:
            with self._read(table):
                handle.update_incremental()
        self._write(table, rows.cast(table.schema), None)

    def scan(self, table: Table) -> pl.LazyFrame:
        """Return a lazy frame of the whole table as it is now, with its `day` column.

        A column that the table did not have when it was made is null. Raises StoreError
        where the table's log is damaged.
        """
        handle = self._open(table)
        empty = pl.DataFrame(with_day(table, table.empty()))
        if handle is None:
            return empty.lazy()
        with self._read(table):
            handle.update_incremental()
            frame = pl.scan_delta(handle)
        new = {field.name for field in _lacking(handle, table)}
        if not new:
            return frame
        nulls = (
            pl.lit(None, empty.schema[name]).alias(name) for name in empty.columns if name in new
        )
        return frame.with_columns(nulls).select(empty.columns)

    def versions(self, tables: Iterable[Table]) -> dict[str, int]:
        """Return the Delta version of each table that exists."""
        handles = {t.name: self._open(t) for t in tables}
        return {name: handle.version() for name, handle in handles.items() if handle}

    def _open(self, table: Table) -> DeltaTable | None:
        handle = self._tables.get(table.name)
        if handle is None:
            with self._read(table):
                try:
                    handle = DeltaTable(str(self.path(table)))
                except TableNotFoundError:
                    return None
            self._tables[table.name] = handle
        return handle

    @contextmanager
    def _read(self, table: Table) -> Iterator[None]:
        """Turn what goes wrong with a table's log into one line that says what to do."""
        try:
            yield
        except TableNotFoundError:
            raise
        except (DeltaError, OSError) as error:
            self._tables.pop(table.name, None)
            raise StoreError(self._unreadable(table, error)) from error
        except BaseException as error:
            if not _is_panic(error):
                raise
            self._tables.pop(table.name, None)
            raise StoreError(self._unreadable(table, error)) from error

    def _unreadable(self, table: Table, error: BaseException) -> str:
        what = _first_line(error)
        return (
            f"{self.path(table)}: the table cannot be opened, its folder _delta_log is damaged: "
            f"{what}. Stop the sidecar and put the folder {table.name}/ back from a backup, or "
            "move it away: the sidecar then begins the table anew" + _COSTS.get(table.name, "")
        )

    def _write(self, table: Table, rows: pa.Table, properties: CommitProperties | None) -> None:
        """Write the files, then the commit that makes them visible; both are on disk after it."""
        with self._written(table):
            handle = self._open(table) or self._create(table)
            self._unsynced.setdefault(table.name, handle.version())
            _grow(handle, table)
            added = self._writer.write(self.path(table), table, rows)
            handle.create_write_transaction(
                added,
                mode="append",
                schema=handle.schema(),
                partition_by=[DAY],
                commit_properties=properties,
            )
            self._sync(table)

    @contextmanager
    def _written(self, table: Table) -> Iterator[None]:
        """Turn what goes wrong with writing into StoreError."""
        try:
            yield
        except (DeltaError, OSError) as error:
            self._tables.pop(table.name, None)
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            msg = f"{self.path(table)}: cannot be written: {error}"
            raise StoreError(msg, full=full) from error

    def _create(self, table: Table) -> DeltaTable:
        schema = with_day(table, table.empty()).schema
        self._unsynced[table.name] = -1
        handle = DeltaTable.create(
            str(self.path(table)),
            schema,
            mode="ignore",
            partition_by=[DAY],
            description=table.description,
            configuration={
                "delta.logRetentionDuration": _LOG_KEPT,
                # Longer than the files themselves, or nobody would know what to delete.
                "delta.deletedFileRetentionDuration": (
                    f"interval {2 * self._keep_removed_hours + 1} hours"
                ),
            },
        )
        self._tables[table.name] = handle
        return handle

    def _commits(self, table: Table, after: int) -> Iterator[Path]:
        """Yield the commits after `after`; a handle does not know of the one it has just made."""
        log = self.path(table) / "_delta_log"
        paths = (log / f"{version:020d}.json" for version in count(after + 1))
        return takewhile(Path.exists, paths)

    def _sync(self, table: Table) -> None:
        """Wait until our commits are on disk, those of an earlier try and checkpoints too."""
        self._sync_files(table)
        if table.name not in self._unsynced:
            return
        for commit in self._commits(table, self._unsynced[table.name]):
            sync(commit, commit.parent)
            checkpoint = commit.with_suffix(".checkpoint.parquet")
            if checkpoint.exists():
                sync(checkpoint, commit.parent)
                sync(commit.with_name("_last_checkpoint"), commit.parent)
        del self._unsynced[table.name]

    def _sync_files(self, table: Table) -> None:
        """Wait until the files that a merge has written are on disk."""
        if table.name not in self._unsynced_files:
            return
        for commit in self._commits(table, self._unsynced_files[table.name]):
            for line in commit.read_text(encoding="utf-8").splitlines():
                added = json.loads(line).get("add")
                path = self.path(table) / unquote(added["path"]) if added else None
                if path is not None and path.exists():  # a later merge may have replaced it
                    sync(path, path.parent)
        del self._unsynced_files[table.name]

    def _compact(self, table: Table) -> None:
        """Merge small files when it is time; what fails is counted, and tried the next time.

        The rows are committed by then: nobody must take them for lost.
        """
        try:
            self._merge(table)
        except BaseException as error:
            if not (isinstance(error, DeltaError | OSError | StoreError) or _is_panic(error)):
                raise
            self._tables.pop(table.name, None)
            self.failed_merges[table.name] += 1
            log.warning(
                "not_compacted",
                table=table.name,
                why=_first_line(error),
                again_after_commits=self._compact_every,
            )

    def _merge(self, table: Table) -> None:
        handle = self._open(table)
        if not self._compact_every or handle is None:
            return
        before = handle.version()
        if before % self._compact_every != self._compact_every - 1:
            return
        self._unsynced.setdefault(table.name, before)
        self._unsynced_files.setdefault(table.name, before)
        handle.optimize.compact()
        self._sync(table)  # before what they replace is deleted
        self._unsynced[table.name] = before
        handle.vacuum(
            retention_hours=self._keep_removed_hours,
            enforce_retention_duration=False,
            dry_run=False,
        )
        self._sync(table)


def _lacking(handle: DeltaTable, table: Table) -> list[pa.Field]:
    """Return the columns that a table did not have when it was made."""
    known = {field.name for field in handle.schema().fields}
    return [field for field in table.schema if field.name not in known]


def _grow(handle: DeltaTable, table: Table) -> None:
    """Add the columns that the table did not have when it was made."""
    if new := _lacking(handle, table):
        handle.alter.add_columns(Schema.from_arrow(pa.schema(new)).fields)
        handle.update_incremental()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:_MOST_CHARACTERS]


def _is_panic(error: BaseException) -> bool:
    """Whether a library in Rust gave up, which is no Exception to Python."""
    return type(error).__name__ == "PanicException"

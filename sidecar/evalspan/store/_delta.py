"""Delta tables in a folder: append once per segment, read lazily."""

import errno
import json
import math
from collections.abc import Iterable, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError

from evalspan.model import Table
from evalspan.store._files import DAY, Writer, sync, with_day

# How long Delta keeps the files of old commits. Every commit lists the folder they are in: with
# those of a day it takes twenty times as long.
_LOG_KEPT: Final = "interval 1 hours"


class StoreError(RuntimeError):
    """A table that cannot be written or read. `full` tells a full disk from the rest."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        """Keep the message and whether space ran out."""
        super().__init__(message)
        self.full = full


class Store:
    """All tables below one folder. One process appends to a table under one app id."""

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
        handle.update_incremental()
        return int(handle.transaction_version(app) or 0)

    def commit(self, table: Table, rows: pa.Table, app: str, segment: int) -> bool:
        """Append the rows of a segment; returns False if they are there already.

        Raises StoreError; nothing of the rows is visible then.
        """
        if rows.schema != table.schema:
            rows = rows.cast(table.schema)
        if self.committed(table, app) >= segment:
            return False
        properties = CommitProperties(app_transactions=[Transaction(app, segment)])
        self._write(table, rows, properties)
        self._compact(table)
        return True

    def append(self, table: Table, rows: pa.Table) -> None:
        """Append rows that no segment made, such as findings."""
        handle = self._open(table)
        if handle is not None:
            handle.update_incremental()
        self._write(table, rows.cast(table.schema), None)

    def scan(self, table: Table) -> pl.LazyFrame:
        """Return a lazy frame of the whole table as it is now, with its `day` column."""
        handle = self._open(table)
        if handle is None:
            empty = with_day(table, table.empty())
            return pl.DataFrame(empty).lazy()
        handle.update_incremental()
        return pl.scan_delta(handle)

    def versions(self, tables: Iterable[Table]) -> dict[str, int]:
        """Return the Delta version of each table that exists."""
        handles = {t.name: self._open(t) for t in tables}
        return {name: handle.version() for name, handle in handles.items() if handle}

    def _open(self, table: Table) -> DeltaTable | None:
        handle = self._tables.get(table.name)
        if handle is None:
            try:
                handle = DeltaTable(str(self.path(table)))
            except TableNotFoundError:
                return None
            except (DeltaError, OSError) as error:
                msg = f"{self.path(table)}: cannot be opened: {error}"
                raise StoreError(msg) from error
            self._tables[table.name] = self._grown(handle, table)
        return handle

    def _grown(self, handle: DeltaTable, table: Table) -> DeltaTable:
        """Add the columns that the table did not have when it was made."""
        known = {field.name for field in handle.schema().fields}
        new = [field for field in table.schema if field.name not in known]
        if new:
            handle.alter.add_columns(Schema.from_arrow(pa.schema(new)).fields)
        return handle

    def _write(self, table: Table, rows: pa.Table, properties: CommitProperties | None) -> None:
        """Write the files, then the commit that makes them visible; both are on disk after it."""
        try:
            handle = self._open(table) or self._create(table)
            before = handle.version()
            added = self._writer.write(self.path(table), table, rows)
            handle.create_write_transaction(
                added,
                mode="append",
                schema=handle.schema(),
                partition_by=[DAY],
                commit_properties=properties,
            )
            self._sync(table, before)
        except (DeltaError, OSError) as error:
            self._tables.pop(table.name, None)
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            msg = f"{self.path(table)}: cannot be written: {error}"
            raise StoreError(msg, full=full) from error

    def _create(self, table: Table) -> DeltaTable:
        schema = with_day(table, table.empty()).schema
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
        self._sync(table, -1)
        self._tables[table.name] = handle
        return handle

    def _commits(self, table: Table, after: int) -> Iterator[Path]:
        """Yield the commits after `after`; a handle does not know of the one it has just made."""
        log = self.path(table) / "_delta_log"
        paths = (log / f"{version:020d}.json" for version in count(after + 1))
        return takewhile(Path.exists, paths)

    def _sync(self, table: Table, after: int) -> None:
        """Wait until the commits after `after` are on disk, checkpoints that came of them too."""
        for commit in self._commits(table, after):
            sync(commit, commit.parent)
            checkpoint = commit.with_suffix(".checkpoint.parquet")
            if checkpoint.exists():
                sync(checkpoint, commit.parent)
                sync(commit.with_name("_last_checkpoint"), commit.parent)

    def _compact(self, table: Table) -> None:
        handle = self._open(table)
        if not self._compact_every or handle is None:
            return
        if handle.version() % self._compact_every != self._compact_every - 1:
            return
        before = handle.version()
        handle.optimize.compact()
        self._sync_files(table, before)
        handle.vacuum(
            retention_hours=self._keep_removed_hours,
            enforce_retention_duration=False,
            dry_run=False,
        )
        self._sync(table, before)

    def _sync_files(self, table: Table, after: int) -> None:
        """Wait until the files that commits after `after` name are on disk."""
        for commit in self._commits(table, after):
            for line in commit.read_text(encoding="utf-8").splitlines():
                added = json.loads(line).get("add")
                if added:
                    path = self.path(table) / unquote(added["path"])
                    sync(path, path.parent)

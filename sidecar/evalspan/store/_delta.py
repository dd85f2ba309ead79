"""Delta tables in a folder: append once per segment, read lazily."""

import errno
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError

from evalspan.model import Table
from evalspan.store._files import DAY, Writer, sync, with_day


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
        self._keep_removed_hours = keep_removed_hours
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
            added = self._writer.write(self.path(table), table, rows)
            handle.create_write_transaction(
                added,
                mode="append",
                schema=handle.schema(),
                partition_by=[DAY],
                commit_properties=properties,
            )
            log = self.path(table) / "_delta_log"
            sync(log / f"{handle.version():020d}.json", log)
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
        )
        self._tables[table.name] = handle
        return handle

    def _compact(self, table: Table) -> None:
        handle = self._open(table)
        if not self._compact_every or handle is None:
            return
        if handle.version() % self._compact_every != self._compact_every - 1:
            return
        handle.optimize.compact()
        handle.vacuum(
            retention_hours=int(self._keep_removed_hours),
            enforce_retention_duration=False,
            dry_run=False,
        )

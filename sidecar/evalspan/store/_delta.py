"""Delta tables in a folder: append once per segment, read lazily."""

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from evalspan.model import Table

DAY = "day"


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
        self._writer = WriterProperties(compression="ZSTD", compression_level=compression_level)
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
            empty = _with_day(table, table.empty())
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
            self._tables[table.name] = handle
        return handle

    def _write(self, table: Table, rows: pa.Table, properties: CommitProperties | None) -> None:
        handle = self._open(table)
        target: Any = handle if handle is not None else str(self.path(table))
        if handle is None:
            self.path(table).mkdir(parents=True, exist_ok=True)
        try:
            write_deltalake(
                target,
                _with_day(table, rows),
                mode="append",
                partition_by=[DAY],
                schema_mode="merge" if handle is not None and _is_older(handle, table) else None,
                description=table.description if handle is None else None,
                writer_properties=self._writer,
                commit_properties=properties,
            )
        except (DeltaError, OSError) as error:
            self._tables.pop(table.name, None)
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            msg = f"{self.path(table)}: cannot be written: {error}"
            raise StoreError(msg, full=full) from error

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


def _with_day(table: Table, rows: pa.Table) -> pa.Table:
    return rows.append_column(DAY, pc.cast(rows.column(table.time), pa.date32()))


def _is_older(handle: DeltaTable, table: Table) -> bool:
    known = {field.name for field in handle.schema().fields}
    return not known.issuperset(table.schema.names)

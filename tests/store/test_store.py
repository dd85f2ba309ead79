"""Tables: each segment once, readable at once, told apart when the disk is full."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from evalspan import model
from evalspan.store import Store, StoreError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ledger(segment: int, count: int) -> pa.Table:
    row = {"segment": segment, "time": NOW, "subject": "spans", "outcome": "stored", "reason": ""}
    return pa.Table.from_pylist([row | {"count": count}], schema=model.LEDGER.schema)


def test_a_table_that_was_never_written_reads_as_empty(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for table in model.TABLES:
        frame = store.scan(table).collect()
        assert frame.height == 0
        assert frame.columns == [*table.schema.names, "day"]


def test_every_table_takes_a_row_and_gives_it_back_with_its_types(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for table in model.TABLES:
        row = {f.name: _value(f) for f in table.schema}
        rows = pa.Table.from_pylist([row], schema=table.schema)
        store.append(table, rows)
        got = store.scan(table).select(table.schema.names).collect()
        assert got.equals(pl.DataFrame(rows)), table.name


def test_a_segment_that_is_replayed_is_seen_and_skipped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.commit(model.LEDGER, ledger(1, 10), "log", 1)
    assert not store.commit(model.LEDGER, ledger(1, 10), "log", 1)
    again = Store(tmp_path)
    assert not again.commit(model.LEDGER, ledger(1, 10), "log", 1)
    assert again.commit(model.LEDGER, ledger(2, 5), "log", 2)
    assert store.scan(model.LEDGER).select(pl.col("count").sum()).collect().item() == 15


def test_two_writers_of_one_table_do_not_take_each_other_for_a_replay(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    for segment in range(1, 6):
        assert one.commit(model.LEDGER, ledger(segment, 1), "log", segment)
        assert other.commit(model.LEDGER, ledger(segment, 1), "log:judge:polite", segment)
    assert one.scan(model.LEDGER).collect().height == 10


def test_small_files_are_merged_and_no_segment_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path, compact_every=5, keep_removed_hours=0)
    for segment in range(1, 13):
        store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
    assert store.scan(model.LEDGER).collect().height == 12
    assert store.committed(model.LEDGER, "log") == 12
    files = list((tmp_path / "ledger").rglob("*.parquet"))
    assert len(files) < 12


def test_a_table_that_grew_a_column_takes_old_and_new_rows(tmp_path: Path) -> None:
    older = model.Table(
        "ledger", "", model.LEDGER.key, "time", pa.schema(list(model.LEDGER.schema)[:-1])
    )
    Store(tmp_path).append(older, ledger(1, 1).drop_columns("count"))
    store = Store(tmp_path)
    store.commit(model.LEDGER, ledger(2, 7), "log", 2)
    frame = store.scan(model.LEDGER).sort("segment").collect()
    assert frame["count"].to_list() == [None, 7]


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("in the way")
    with pytest.raises(StoreError, match="ledger"):
        Store(tmp_path).append(model.LEDGER, ledger(1, 1))


VALUES = (
    (pa.types.is_timestamp, NOW),
    (pa.types.is_string, "text"),
    (pa.types.is_binary, b"\x00\xff"),
    (pa.types.is_boolean, True),
    (pa.types.is_integer, 7),
    (pa.types.is_floating, 0.5),
    (pa.types.is_map, [("customer", "acme")]),
)


def _value(field: pa.Field) -> object:
    return next((value for is_kind, value in VALUES if is_kind(field.type)), None)

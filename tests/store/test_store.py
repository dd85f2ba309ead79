"""Tables: each segment once, readable at once, told apart when the disk is full."""

import errno
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import CommitFailedError
from deltalake.table import TableOptimizer

from evalspan import model
from evalspan.store import Store, StoreError
from evalspan.views import build

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


def _refuse(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> None:
    """Make so many compactions fail."""
    whole, left = TableOptimizer.compact, [times]

    def compact(self: TableOptimizer, *given: Any, **more: Any) -> Any:  # noqa: ANN401
        if left[0]:
            left[0] -= 1
            raise error
        return whole(self, *given, **more)

    monkeypatch.setattr(TableOptimizer, "compact", compact)


@pytest.mark.parametrize(
    "error",
    [CommitFailedError("the other writer was first"), OSError(errno.ENOSPC, "No space left")],
    ids=["conflict", "full"],
)
def test_a_merge_that_fails_fails_no_commit_and_comes_again_later(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse(monkeypatch, error, times=1)
    store = Store(tmp_path, compact_every=5, keep_removed_hours=0)
    for segment in range(1, 8):
        assert store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
    assert store.failed_merges == {"ledger": 1}
    assert len(list((tmp_path / "ledger").rglob("*.parquet"))) == 7
    for segment in range(8, 13):
        assert store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
    assert store.failed_merges == {"ledger": 1}
    assert len(list((tmp_path / "ledger").rglob("*.parquet"))) < 12
    assert store.scan(model.LEDGER).collect().height == 12


def test_what_a_disk_did_not_confirm_is_waited_for_at_the_next_try(
    tmp_path: Path, synced: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.commit(model.LEDGER, ledger(1, 1), "log", 1)

    def broken(_path: Path, _folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("evalspan.store._delta.sync", broken)
        for _ in range(2):  # it is there, and nobody knows for how long
            with pytest.raises(StoreError, match="Input/output"):
                store.commit(model.LEDGER, ledger(2, 1), "log", 2)
    assert not store.commit(model.LEDGER, ledger(2, 1), "log", 2)
    files = [path for path in (tmp_path / "ledger").rglob("*") if path.is_file()]
    assert {str(path) for path in files} <= synced
    assert store.scan(model.LEDGER).collect().height == 2


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the paths of the files whose bytes were waited for."""
    paths: set[str] = set()
    wait = os.fsync

    def note(descriptor: int) -> None:
        paths.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        wait(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return paths


def test_every_file_of_a_table_is_on_disk_after_each_commit(
    tmp_path: Path, synced: set[str]
) -> None:
    store = Store(tmp_path, compact_every=40)
    for segment in range(1, 121):
        assert store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
        if segment in {1, 2, 40, 41, 42, 99, 100, 101, 102, 103, 120}:
            files = [path for path in (tmp_path / "ledger").rglob("*") if path.is_file()]
            assert {str(path) for path in files} <= synced
    assert any("checkpoint" in path for path in synced)
    assert any("part-" in path for path in synced)


def test_a_row_that_no_segment_made_is_on_disk_too(tmp_path: Path, synced: set[str]) -> None:
    Store(tmp_path).append(model.LEDGER, ledger(1, 1))
    files = [path for path in (tmp_path / "ledger").rglob("*") if path.is_file()]
    assert {str(path) for path in files} <= synced


def test_commits_of_long_ago_do_not_pile_up(tmp_path: Path) -> None:
    store, idle = Store(tmp_path), Store(tmp_path)
    store.commit(model.LEDGER, ledger(1, 1), "log", 1)
    assert idle.committed(model.LEDGER, "log") == 1
    log = tmp_path / "ledger" / "_delta_log"
    for segment in range(2, 110):
        store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
    two_hours_ago = time.time() - 7200
    for path in log.iterdir():
        os.utime(path, (two_hours_ago, two_hours_ago))
    for segment in range(110, 320):
        store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
    assert len(list(log.glob("*.json"))) < 250
    for each in (store, idle, Store(tmp_path)):  # one that has not looked since then, too
        assert each.committed(model.LEDGER, "log") == 319
        assert each.scan(model.LEDGER).collect().height == 319


def test_a_file_that_the_disk_has_no_room_for_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.commit(model.LEDGER, ledger(1, 1), "log", 1)

    def half(_rows: pa.Table, where: Path, **_: object) -> None:
        where.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(StoreError) as error:
        store.commit(model.LEDGER, ledger(2, 1), "log", 2)
    assert error.value.full
    assert len(list((tmp_path / "ledger").rglob("*.parquet"))) == 1


def test_a_table_that_grew_a_column_takes_old_and_new_rows(tmp_path: Path) -> None:
    older = model.Table(
        "ledger", "", model.LEDGER.key, "time", pa.schema(list(model.LEDGER.schema)[:-1])
    )
    Store(tmp_path).append(older, ledger(1, 1).drop_columns("count"))
    reader = Store(tmp_path)
    before = reader.versions([model.LEDGER])
    read = reader.scan(model.LEDGER).collect()
    assert read.columns == [*model.LEDGER.schema.names, "day"]
    assert read["count"].to_list() == [None]
    assert reader.versions([model.LEDGER]) == before, "who only reads changes nothing"
    store = Store(tmp_path)
    store.commit(model.LEDGER, ledger(2, 7), "log", 2)
    for each in (store, reader):
        frame = each.scan(model.LEDGER).sort("segment").collect()
        assert frame["count"].to_list() == [None, 7]


def _ruin(log: Path, how: str) -> None:
    commits = sorted(log.glob("*.json"))
    if how == "garbage":
        commits[1].write_bytes(b"garbage{")
    elif how == "cut":
        commits[-1].write_bytes(b'{"add":{"path":')
    elif how == "missing":
        commits[1].unlink()
    elif how == "first":
        commits[0].write_bytes(b"")


@pytest.mark.parametrize("how", ["garbage", "cut", "missing", "first"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_damaged_log_of_a_table_is_one_line_that_says_what_to_do(
    how: str, tmp_path: Path, *, opened: bool
) -> None:
    store = Store(tmp_path)
    for segment in range(1, 4):
        store.commit(model.LEDGER, ledger(segment, 1), "log", segment)
    if opened:  # and then what comes is damaged
        writer, store = store, Store(tmp_path)
        store.scan(model.LEDGER)
        writer.commit(model.LEDGER, ledger(4, 1), "log", 4)
        log = sorted((tmp_path / "ledger" / "_delta_log").glob("*.json"))
        log[-1].write_bytes(b"garbage{")
    else:
        _ruin(tmp_path / "ledger" / "_delta_log", how)
        store = Store(tmp_path)
    for read in (lambda: store.scan(model.LEDGER), lambda: store.committed(model.LEDGER, "log")):
        with pytest.raises(StoreError) as error:
            read()
        told = str(error.value)
        assert len(told.splitlines()) == 1
        assert str(tmp_path / "ledger") in told
        assert "from a backup" in told


def test_the_advice_on_a_damaged_table_says_what_moving_it_away_costs(tmp_path: Path) -> None:
    told = {}
    for table in (model.SCORES, model.LEDGER):
        log = tmp_path / table.name / "_delta_log"
        log.mkdir(parents=True)
        (log / f"{0:020d}.json").write_bytes(b"garbage{")
        with pytest.raises(StoreError) as error:
            Store(tmp_path).scan(table)
        told[table.name] = str(error.value)
    assert "begins the table anew" in told["scores"]
    assert "judges ask again" in told["scores"]
    assert "judges" not in told["ledger"]


def test_a_library_that_gives_up_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        pass

    def give_up(_path: str) -> None:
        told = "called `Option::unwrap()`\nstack backtrace:\n  0: main"
        raise PanicException(told)

    monkeypatch.setattr("evalspan.store._delta.DeltaTable", give_up)
    with pytest.raises(StoreError) as error:
        Store(tmp_path).scan(model.LEDGER)
    assert "unwrap()" in str(error.value)
    assert "backtrace" not in str(error.value)


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


def scores_on_days(count: int) -> pa.Table:
    """A score at noon of each of the days before NOW, and ten more on the day of NOW."""
    days = [*range(count), *[0] * 10]
    rows = [
        {
            "time": NOW - timedelta(days=day),
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "check": "price",
            "item": "",
            "revision": "r1",
            "attempt": 1,
            "segment": 1,
        }
        for number, day in enumerate(days)
    ]
    return pa.Table.from_pylist(rows, schema=model.SCORES.schema)


def test_rows_of_a_thousand_days_become_a_few_files_and_are_all_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(model.SCORES, scores_on_days(1000), "log", 1)
    files = list(store.path(model.SCORES).rglob("*.parquet"))
    assert len(files) == 9
    assert len(list(store.path(model.SCORES).glob(f"day={NOW.date()}/*.parquet"))) == 1
    days = store.scan(model.SCORES).select("day", start=pl.col("time").dt.date()).collect()
    assert days.height == 1010
    assert set(days.filter(pl.col("day") != pl.col("start"))["day"]) == {model.STRAY_DAY}
    assert date(1970, 1, 1) == model.STRAY_DAY


@pytest.mark.parametrize(("newest", "oldest"), [(0, 10), (300, 400), (990, 1100)])
def test_a_view_of_any_time_finds_the_rows_of_rare_days(
    tmp_path: Path, newest: int, oldest: int
) -> None:
    store = Store(tmp_path)
    store.commit(model.SCORES, scores_on_days(1000), "log", 1)
    prod = build({}, (), store.scan)["prod"]
    since, until = NOW - timedelta(days=oldest), NOW - timedelta(days=newest)
    found = prod.scores(since, until).collect()
    expected = scores_on_days(1000).column("time").to_pylist()
    assert sorted(found["time"].to_list()) == sorted(t for t in expected if since <= t < until)
    assert prod.scores(since).collect().height == sum(t >= since for t in expected)
    assert prod.scores(until=until).collect().height == sum(t < until for t in expected)


def test_a_segment_of_a_few_days_has_a_file_for_each(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(model.SCORES, scores_on_days(8), "log", 1)
    folders = {p.parent.name for p in store.path(model.SCORES).rglob("*.parquet")}
    assert folders == {f"day={(NOW - timedelta(days=n)).date()}" for n in range(8)}

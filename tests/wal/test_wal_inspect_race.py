"""A log is looked into while another process writes and removes."""

from pathlib import Path

import pytest

from evalspan import wal
from evalspan.wal import _inspect


def test_a_segment_that_is_closed_during_the_look_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = wal.Writer(tmp_path, wal.WalSettings(fsync=False))
    writer.append("traces", b"").result()
    listed = _inspect.list_files

    def close_after_listing(*arguments: object) -> object:
        found = listed(*arguments)
        writer.close()
        return found

    monkeypatch.setattr(_inspect, "list_files", close_after_listing)
    assert [row["traces"] for row in wal.inspect(tmp_path)] == [1]


def test_a_segment_that_is_removed_during_the_look_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        writer = wal.Writer(tmp_path, wal.WalSettings(fsync=False))
        writer.append("traces", b"").result()
        writer.close()
    listed = _inspect.list_files

    def remove_after_listing(*arguments: object) -> object:
        found = listed(*arguments)
        wal.remove(tmp_path, below=99)
        return found

    first, last = [row["segment"] for row in wal.inspect(tmp_path)]
    assert first < last
    monkeypatch.setattr(_inspect, "list_files", remove_after_listing)
    assert [row["segment"] for row in wal.inspect(tmp_path)] == [last]
    assert list(wal.inspect(tmp_path, after=last)) == []

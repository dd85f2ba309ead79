"""Repair keeps every good record; inspect says what there is."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evalspan import wal


def build(directory: Path, segments: list[list[bytes]]) -> list[wal.Segment]:
    """Write the given payloads, one closed segment for each list."""
    for group in segments:
        writer = wal.Writer(directory, wal.WalSettings(keep_free_mib=0))
        for payload in group:
            writer.append("traces", payload).result(10)
        if not group:
            writer.append("logs", b"").result(10)
        writer.close()
    return wal.segments(directory)


def payloads(directory: Path) -> list[bytes]:
    return [r.payload for segment in wal.segments(directory) for r in wal.read(segment)]


def damage(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


def test_a_bad_record_goes_aside_and_its_neighbours_stay(tmp_path: Path) -> None:
    first, second = build(tmp_path, [[b"one", b"two", b"three"], [b"four"]])
    ends = [wal.close_time(first), wal.close_time(second)]
    offsets = [record.offset for record in wal.read(first)]
    damage(first.path, offsets[1] + 24)
    with pytest.raises(wal.Corruption):
        payloads(tmp_path)
    (done,) = wal.repair(tmp_path)
    assert (done.segment, done.records_kept, done.bytes_bad) == (1, 2, 27)
    assert done.corrupt is not None
    assert done.corrupt.read_bytes()[24:] == bytes([ord("t") ^ 0xFF]) + b"wo"
    assert payloads(tmp_path) == [b"one", b"three", b"four"]
    assert [wal.close_time(segment) for segment in wal.segments(tmp_path)] == ends
    assert wal.repair(tmp_path) == []


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_repair_loses_no_record_that_was_not_hit(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("wal")
    (segment,) = build(directory, [[bytes([n]) * (n * 9) for n in range(8)]])
    records = list(wal.read(segment))
    size = segment.path.stat().st_size
    hits = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3, unique=True))
    for hit in hits:
        damage(segment.path, hit)
    wal.repair(directory)
    spared = [r.payload for r in records if not any(r.offset <= hit < r.end for hit in hits)]
    assert payloads(directory) == spared


def test_an_open_segment_with_a_lost_commit_is_repaired_and_closed(tmp_path: Path) -> None:
    (segment,) = build(tmp_path, [[b"one", b"two"]])
    offsets = [record.offset for record in wal.read(segment)]
    segment.path.rename(segment.path.with_suffix(".open"))
    damage(segment.path.with_suffix(".open"), offsets[0])
    with pytest.raises(wal.Corruption):
        wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0))
    (done,) = wal.repair(tmp_path)
    assert done.records_kept == 1
    wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0)).close()
    assert payloads(tmp_path) == [b"two"]


def test_a_missing_segment_becomes_an_empty_one(tmp_path: Path) -> None:
    found = build(tmp_path, [[b"one"], [b"two"], [b"three"]])
    found[1].path.unlink()
    (done,) = wal.repair(tmp_path)
    assert (done.segment, done.reason) == (2, "the file is missing")
    assert payloads(tmp_path) == [b"one", b"three"]
    times = [wal.close_time(segment) for segment in wal.segments(tmp_path)]
    assert times == sorted(times)


def test_a_lost_id_is_read_from_the_segments(tmp_path: Path) -> None:
    build(tmp_path, [[b"one"]])
    known = wal.log_id(tmp_path)
    (tmp_path / "log.json").write_text("rubbish")
    assert wal.repair(tmp_path) == []
    assert wal.log_id(tmp_path) == known
    assert payloads(tmp_path) == [b"one"]


def test_inspect_counts_spans_and_log_records_without_decoding(tmp_path: Path) -> None:
    traces = ExportTraceServiceRequest()
    for _ in range(3):
        resource = traces.resource_spans.add()
        resource.resource.attributes.add(key="k").value.string_value = "v"
        scope = resource.scope_spans.add(schema_url="u")
        scope.scope.name = "n"
        for _ in range(5):
            scope.spans.add(name="s", start_time_unix_nano=1, kind=2)
    logs = ExportLogsServiceRequest()
    for _ in range(4):
        logs.resource_logs.add().scope_logs.add().log_records.add(severity_text="x")
    writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0))
    writer.append("traces", traces.SerializeToString()).result(10)
    writer.append("logs", logs.SerializeToString()).result(10)
    writer.append("traces", gzip.compress(b"not a request")).result(10)
    (row,) = wal.inspect(tmp_path)
    assert row["state"] == "open"
    writer.close()
    (row,) = wal.inspect(tmp_path)
    expected = {"segment": 1, "state": "closed", "traces": 2, "logs": 1, "spans": 15}
    expected |= {"log_records": 4, "undecodable": 1, "error": None}
    assert expected.items() <= row.items()
    assert row["opened"] <= row["closed"]
    json.dumps(row)


def test_inspect_shows_damage_and_goes_on(tmp_path: Path) -> None:
    first, _ = build(tmp_path, [[b"", b""], [b""]])
    damage(first.path, [record.offset for record in wal.read(first)][1])
    rows = list(wal.inspect(tmp_path))
    assert "at byte 80" in rows[0]["error"]
    assert (rows[0]["traces"], rows[1]["traces"], rows[1]["error"]) == (1, 1, None)

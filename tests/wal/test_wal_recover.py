"""Starting after a kill: the torn tail goes, everything acknowledged stays."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from evalspan import wal
from evalspan.wal._record import (
    HEADER_BYTES,
    OPENING_BYTES,
    Flag,
    Kind,
    Opening,
    digest_of,
    mark_of,
    pack_close,
    pack_header,
    pack_opening,
)

LOG_ID = "0123456789abcdef0123456789abcdef"
MARK = mark_of(LOG_ID)
TIME_NS = 1_700_000_000 * 10**9


def record(payload: bytes, *, first: bool = True, mark: bytes = MARK) -> bytes:
    flags = Flag.FIRST if first else Flag.NONE
    known = (len(payload), digest_of(payload))
    return pack_header(mark, Kind.TRACES, known, TIME_NS, flags) + payload


def opening(number: int = 1, log_id: str = LOG_ID) -> bytes:
    return pack_opening(Opening(log_id, number), TIME_NS)


def lay(directory: Path, content: bytes, name: str = f"{1:020d}.open") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "log.json").write_text(f'{{"log_id": "{LOG_ID}"}}')
    (directory / name).write_bytes(content)
    return directory


def payloads(directory: Path) -> list[bytes]:
    return [r.payload for segment in wal.segments(directory) for r in wal.read(segment)]


def test_a_tail_torn_at_any_byte_is_cut_and_said_once(tmp_path: Path) -> None:
    good = opening() + record(b"acknowledged")
    torn = record(b"never acknowledged")
    for length in range(1, len(torn)):
        directory = lay(tmp_path / str(length), good + torn[:length])
        with capture_logs() as lines:
            recovery = wal.recover(directory)
        assert (recovery.cut_segment, recovery.cut_offset, recovery.cut_bytes) == (
            1,
            len(good),
            length,
        )
        (line,) = lines
        assert (line["segment"], line["offset"], line["bytes_cut"]) == (1, len(good), length)
        assert payloads(directory) == [b"acknowledged"]
        with capture_logs() as lines:
            assert wal.recover(directory).cut_segment is None
        assert lines == []


def test_an_opening_torn_at_any_byte_becomes_an_empty_segment(tmp_path: Path) -> None:
    for length in range(OPENING_BYTES):
        directory = lay(tmp_path / str(length), opening()[:length])
        recovery = wal.recover(directory)
        assert recovery.next_number == 2
        assert [segment.number for segment in wal.segments(directory)] == [1]
        assert payloads(directory) == []


def test_a_segment_killed_between_its_end_and_its_name_keeps_its_time(tmp_path: Path) -> None:
    end = pack_close(MARK, TIME_NS + 5)
    directory = lay(tmp_path, opening() + record(b"x") + end)
    wal.recover(directory)
    (segment,) = wal.segments(directory)
    assert wal.close_time(segment) == TIME_NS + 5
    assert payloads(directory) == [b"x"]


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=3), max_size=4),
    last=st.lists(st.binary(max_size=40), min_size=1, max_size=3),
    damage=st.data(),
)
def test_whatever_happens_to_the_last_group_the_others_stay(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[list[bytes]],
    last: list[bytes],
    damage: st.DataObject,
) -> None:
    def pack(group: list[bytes]) -> bytes:
        return b"".join(record(p, first=not i) for i, p in enumerate(group))

    good = opening() + b"".join(map(pack, groups))
    tail = bytearray(pack(last))
    for _ in range(damage.draw(st.integers(0, 4))):
        tail[damage.draw(st.integers(0, len(tail) - 1))] ^= damage.draw(st.integers(1, 255))
    del tail[damage.draw(st.integers(0, len(tail))) :]
    directory = lay(tmp_path_factory.mktemp("wal"), good + bytes(tail))
    wal.recover(directory)
    kept = payloads(directory)
    acknowledged = [payload for group in groups for payload in group]
    assert kept[: len(acknowledged)] == acknowledged
    assert kept[len(acknowledged) :] == last[: len(kept) - len(acknowledged)]


def test_bad_bytes_before_a_later_commit_are_not_taken_for_a_torn_tail(tmp_path: Path) -> None:
    content = bytearray(opening() + record(b"acknowledged") + record(b"also"))
    content[OPENING_BYTES + HEADER_BYTES] ^= 1
    directory = lay(tmp_path, bytes(content))
    with pytest.raises(wal.Corruption, match="evalspan wal repair") as caught:
        wal.recover(directory)
    assert (caught.value.segment, caught.value.offset) == (1, OPENING_BYTES)
    assert (directory / f"{1:020d}.open").read_bytes() == content, "nothing was touched"


def test_a_payload_that_looks_like_records_is_a_payload(tmp_path: Path) -> None:
    other = mark_of("f" * 32)
    hostile = record(b"forged", mark=other) + opening(7, "f" * 32) + pack_close(other, 1)
    directory = lay(tmp_path, opening() + record(b"x") + record(hostile)[:-1])
    assert wal.recover(directory).cut_bytes == HEADER_BYTES + len(hostile) - 1
    assert payloads(directory) == [b"x"]


def test_zeros_at_the_end_as_some_file_systems_leave_them_are_cut(tmp_path: Path) -> None:
    directory = lay(tmp_path, opening() + record(b"x") + bytes(4096))
    assert wal.recover(directory).cut_bytes == 4096
    assert payloads(directory) == [b"x"]


def test_numbers_go_on_after_everything_stored_was_removed(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0))
        assert writer.append("traces", b"x").result(10) == expected
        writer.close()
        wal.remove(tmp_path, 10**9)
    assert [segment.number for segment in wal.segments(tmp_path)] == [3]


def test_a_log_whose_segments_were_all_deleted_by_hand_is_a_new_log(tmp_path: Path) -> None:
    wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0)).close()
    before = wal.log_id(tmp_path)
    writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0))
    writer.append("traces", b"x").result(10)
    writer.close()
    known = wal.log_id(tmp_path)
    wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0)).close()
    assert wal.log_id(tmp_path) == known, "a restart does not change the id"
    for segment in wal.segments(tmp_path):
        segment.path.unlink()
    wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0)).close()
    assert len({before, known, wal.log_id(tmp_path)}) == 3


def test_a_segment_of_another_log_is_refused(tmp_path: Path) -> None:
    directory = lay(tmp_path, opening(1, "f" * 32))
    with pytest.raises(wal.Corruption, match="move it away"):
        wal.recover(directory)


def test_a_damaged_id_file_is_named(tmp_path: Path) -> None:
    directory = lay(tmp_path, opening() + record(b"x"))
    (directory / "log.json").write_text("{}")
    with pytest.raises(wal.Corruption, match=r"log\.json"):
        wal.recover(directory)
    (directory / "log.json").unlink()
    with pytest.raises(wal.Corruption, match=r"log\.json"):
        wal.recover(directory)


KILLED = """
import os, sys
from pathlib import Path
from evalspan import wal
writer = wal.Writer(Path(sys.argv[1]), wal.WalSettings(keep_free_mib=0))
writer.append("traces", b"acknowledged").result(10)
os.kill(os.getpid(), 9)
"""


def test_the_next_writer_ends_what_the_killed_one_left(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -9
    assert wal.segments(tmp_path) == []
    writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0))
    assert writer.recovery.cut_segment is None
    writer.close()
    assert payloads(tmp_path) == [b"acknowledged"]


def test_a_new_log_counts_from_the_number_that_its_readers_know_of(tmp_path: Path) -> None:
    asked: list[int] = []

    def above() -> int:
        asked.append(41)
        return 41

    for number in (42, 43):
        writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0), above=above)
        assert writer.append("traces", b"one").result() == number
        writer.close()
    assert [segment.number for segment in wal.segments(tmp_path)] == [42, 43]
    assert asked == [41], "a log that has segments goes on from them"

"""Reading closed segments: every changed byte is noticed."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from evalspan import wal
from evalspan.wal._record import (
    Flag,
    Kind,
    Opening,
    digest_of,
    mark_of,
    pack_close,
    pack_header,
    pack_opening,
)
from evalspan.wal._segment import files

LOG_ID = "00112233445566778899aabbccddeeff"
MARK = mark_of(LOG_ID)


def whole(number: int = 1, payloads: tuple[bytes, ...] = (b"abc", b"", b"defg")) -> bytes:
    records = [
        pack_header(MARK, Kind.LOGS, (len(p), digest_of(p)), 1000 + number, Flag(i > 0)) + p
        for i, p in enumerate(payloads)
    ]
    start = pack_opening(Opening(LOG_ID, number), 1000 + number)
    return b"".join([start, *records, pack_close(MARK, 2000 + number)])


def lay(directory: Path, contents: dict[int, bytes]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "log.json").write_text(f'{{"log_id": "{LOG_ID}"}}')
    for number, content in contents.items():
        (directory / f"{number:020d}.wal").write_bytes(content)
    return directory


def read_all(directory: Path) -> list[bytes]:
    return [r.payload for segment in wal.segments(directory) for r in wal.read(segment)]


def test_any_changed_byte_is_corruption(tmp_path: Path) -> None:
    good = whole()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x10
        directory = lay(tmp_path, {1: bytes(bad)})
        with pytest.raises(wal.Corruption) as caught:
            read_all(directory)
        assert caught.value.segment == 1
        assert caught.value.offset <= position
        assert "repair" in caught.value.hint or "move it away" in caught.value.hint


def test_any_missing_end_is_corruption(tmp_path: Path) -> None:
    good = whole()
    for length in range(len(good)):
        directory = lay(tmp_path, {1: good[:length]})
        with pytest.raises(wal.Corruption):
            read_all(directory)
        with pytest.raises(wal.Corruption):
            wal.close_time(wal.segments(directory)[0])


def test_bytes_after_the_end_are_corruption(tmp_path: Path) -> None:
    directory = lay(tmp_path, {1: whole() + whole()})
    with pytest.raises(wal.Corruption):
        read_all(directory)


def test_records_before_a_bad_one_are_given_first(tmp_path: Path) -> None:
    bad = bytearray(whole())
    bad[-25] ^= 1  # the last byte of the last payload
    (segment,) = wal.segments(lay(tmp_path, {1: bytes(bad)}))
    records = wal.read(segment)
    assert [next(records).payload, next(records).payload] == [b"abc", b""]
    with pytest.raises(wal.Corruption):
        next(records)


def test_a_missing_segment_is_corruption(tmp_path: Path) -> None:
    directory = lay(tmp_path, {3: whole(3), 5: whole(5)})
    with pytest.raises(wal.Corruption, match="missing") as caught:
        wal.segments(directory)
    assert caught.value.segment == 4


def test_a_segment_under_another_number_is_corruption(tmp_path: Path) -> None:
    directory = lay(tmp_path, {1: whole(1), 2: whole(1)})
    with pytest.raises(wal.Corruption, match="expected segment 2"):
        read_all(directory)


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert wal.segments(tmp_path / "none") == []
    assert wal.log_id(tmp_path / "none") is None
    assert list(wal.inspect(tmp_path / "none")) == []
    assert wal.remove(tmp_path / "none", 5) == 0


def test_removing_keeps_what_is_not_below_and_always_the_newest(tmp_path: Path) -> None:
    directory = lay(tmp_path, {number: whole(number) for number in (1, 2, 3, 4)})
    assert wal.remove(directory, 3) == 2
    assert [segment.number for segment in wal.segments(directory)] == [3, 4]
    assert wal.remove(directory, 100) == 1
    assert wal.remove(directory, 100) == 0


def test_the_bytes_are_those_of_the_document() -> None:
    document = Path(wal.__file__).with_name("FORMAT.md").read_text(encoding="utf-8")
    example = document.split("```hex\n")[1].split("```")[0]
    assert whole(1, (b"abc",)) == bytes.fromhex("".join(example.split()))


@pytest.mark.parametrize("ending", ["wal", "open"])
def test_a_log_of_another_version_is_told_as_that_and_left_alone(
    tmp_path: Path, ending: str
) -> None:
    older = pack_opening(Opening(LOG_ID, 1, version=1), 1001) + b"whatever that version wrote" * 9
    directory = lay(tmp_path, {1: older})
    path = directory / f"{1:020d}.{ending}"
    (directory / f"{1:020d}.wal").rename(path)
    (segment,) = files(directory)
    for ask in (
        lambda: wal.recover(directory),
        lambda: wal.repair(directory),
        lambda: wal.close_time(segment),
        lambda: list(wal.read(segment)),
        lambda: list(wal.inspect(directory)),
        lambda: wal.Writer(directory, wal.WalSettings()),
    ):
        with pytest.raises(wal.OtherVersionError, match="segment 1 is of log format 1, this"):
            ask()
    assert path.read_bytes() == older
    assert sorted(each.name for each in directory.glob("*.*")) == sorted([path.name, "log.json"])


def test_a_reader_keeps_up_with_a_writer_and_deletes_behind_itself(tmp_path: Path) -> None:
    quick = timedelta(milliseconds=1)
    writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0, segment_age=quick))
    seen: list[bytes] = []
    sent = [b"%d" % number for number in range(300)]
    done = threading.Event()

    def write() -> None:
        for payload in sent:
            writer.append("traces", payload).result(10)
        writer.close()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    stored = 0
    while len(seen) < len(sent):
        last_round = done.is_set()
        for segment in wal.segments(tmp_path):
            if segment.number > stored:
                seen += [record.payload for record in wal.read(segment)]
                stored = segment.number
        wal.remove(tmp_path, stored + 1)
        if last_round:
            break
    thread.join()
    assert seen == sent
    assert [segment.number for segment in wal.segments(tmp_path)] == [stored]
    assert stored > 1

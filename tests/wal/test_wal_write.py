"""Writing: groups, ages, ticks, room, failure."""

import errno
import os
import resource
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evalspan import wal
from evalspan.wal._log import Log, Pending
from evalspan.wal._record import Kind
from evalspan.wal._recover import recover_locked

SECOND_NS = 10**9


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND_NS
        self.monotonic = 5 * SECOND_NS

    def wall_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.monotonic

    def pass_seconds(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND_NS)
        self.monotonic += int(seconds * SECOND_NS)


def settings(**changes: Any) -> wal.WalSettings:  # noqa: ANN401 - whatever the setting takes
    return wal.WalSettings(keep_free_mib=0, **changes)


def log_of(directory: Path, clock: HandClock, **changes: Any) -> Log:  # noqa: ANN401 - as above
    directory.mkdir(exist_ok=True)
    return Log(directory, settings(**changes), clock, recover_locked(directory, clock))


def write(log: Log, *payloads: bytes) -> int:
    return log.write([Pending.of(Kind.TRACES, payload) for payload in payloads])


def payloads(directory: Path) -> list[bytes]:
    return [r.payload for segment in wal.segments(directory) for r in wal.read(segment)]


def test_what_is_appended_is_read_in_order_with_its_kind_and_time(tmp_path: Path) -> None:
    writer = wal.Writer(tmp_path, settings())
    requests = [("traces", b"one"), ("logs", b""), ("traces", b"x" * 100_000)]
    numbers = [writer.append(kind, payload).result(10) for kind, payload in requests]
    writer.close()
    (segment,) = wal.segments(tmp_path)
    records = list(wal.read(segment))
    assert numbers == [1, 1, 1]
    assert [(record.kind, record.payload) for record in records] == requests
    times = [record.time_unix_ns for record in records]
    assert times == sorted(times)
    assert times[-1] <= wal.close_time(segment)


def test_every_thread_gets_its_answer_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    writer = wal.Writer(tmp_path, settings(segment_size_mib=0.01))
    sent = [f"{worker}/{number}".encode() * 20 for worker in range(8) for number in range(50)]

    def work(share: list[bytes]) -> None:
        for payload in share:
            writer.append("traces", payload).result(10)

    threads = [threading.Thread(target=work, args=(sent[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert sorted(payloads(tmp_path)) == sorted(sent)
    assert len(wal.segments(tmp_path)) > 1


def test_a_group_is_one_write_and_one_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path, HandClock())
    write(log, b"first")
    calls: list[str] = []
    real_write, real_sync = os.writev, os.fdatasync

    def write_noted(descriptor: int, buffers: list[memoryview]) -> int:
        calls.append("write")
        return real_write(descriptor, buffers)

    def sync_noted(descriptor: int) -> None:
        calls.append("sync")
        real_sync(descriptor)

    monkeypatch.setattr(os, "writev", write_noted)
    monkeypatch.setattr(os, "fdatasync", sync_noted)
    write(log, *[b"payload"] * 300)
    assert calls == ["write", "sync"]


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(tmp_path, HandClock())
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, buffers: real(fd, [buffers[0][:7]]))
    sent = [b"a" * 50, b"", b"b" * 33]
    write(log, *sent)
    log.close()
    assert payloads(tmp_path) == sent


def test_a_segment_is_closed_by_size(tmp_path: Path) -> None:
    log = log_of(tmp_path, HandClock(), segment_size_mib=0.001)
    assert write(log, b"x" * 2000) == 1
    log.tick()
    assert write(log, b"y") == 2


def test_a_segment_is_closed_by_age_of_its_first_record(tmp_path: Path) -> None:
    clock = HandClock()
    log = log_of(tmp_path, clock, segment_age=timedelta(seconds=2))
    write(log, b"x")
    clock.pass_seconds(1.5)
    write(log, b"y")
    log.tick()
    assert wal.segments(tmp_path) == []
    assert log.seconds_until_tick() == pytest.approx(0.5)
    clock.pass_seconds(0.5)
    log.tick()
    assert payloads(tmp_path) == [b"x", b"y"]


def test_ticks_go_on_after_traffic_and_then_stop(tmp_path: Path) -> None:
    clock = HandClock()
    log = log_of(tmp_path, clock, tick_every=timedelta(seconds=2), tick_for=timedelta(seconds=9))
    log.tick()
    assert log.seconds_until_tick() is None, "a new log is silent"
    write(log, b"x")
    ends: list[float] = []
    start = clock.monotonic
    for _ in range(100):
        clock.pass_seconds(0.25)
        log.tick()
        if len(wal.segments(tmp_path)) > len(ends):
            ends.append((clock.monotonic - start) / SECOND_NS)
    assert ends == [2.0, 4.0, 6.0, 8.0]
    assert log.seconds_until_tick() is None
    times = [wal.close_time(segment) for segment in wal.segments(tmp_path)]
    assert [(time - times[0]) / SECOND_NS for time in times] == [0, 2, 4, 6]


def test_ticks_begin_at_once_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    log = log_of(tmp_path, clock)
    write(log, b"x")
    log.close()
    log = log_of(tmp_path, clock)
    clock.pass_seconds(2)
    log.tick()
    assert [segment.number for segment in wal.segments(tmp_path)] == [1, 2]


def test_the_thread_ticks_without_any_call(tmp_path: Path) -> None:
    quick = timedelta(milliseconds=20)
    writer = wal.Writer(tmp_path, settings(segment_age=quick, tick_every=quick))
    writer.append("logs", b"x").result(10)
    waiting = threading.Event()
    for _ in range(500):
        if len(wal.segments(tmp_path)) >= 3:
            break
        waiting.wait(0.02)
    writer.close()
    assert len(wal.segments(tmp_path)) >= 3


def test_time_never_goes_back_and_never_stands_still(tmp_path: Path) -> None:
    clock = HandClock()
    log = log_of(tmp_path, clock, segment_size_mib=0.0001)
    write(log, b"x" * 200)
    log.tick()
    clock.wall -= 3600 * SECOND_NS
    for _ in range(3):
        clock.monotonic += SECOND_NS
        write(log, b"y" * 200)
        log.tick()
    log = log_of(tmp_path, clock)  # a restart while the wall clock is still behind
    clock.monotonic += SECOND_NS
    write(log, b"z")
    log.close()
    times = [wal.close_time(segment) for segment in wal.segments(tmp_path)]
    assert [(time - times[0]) / SECOND_NS for time in times] == [0, 1, 2, 3, 4]


def test_the_size_limit_refuses_at_once_and_removing_makes_room(tmp_path: Path) -> None:
    clock = HandClock()
    directory = tmp_path
    writer = wal.Writer(directory, settings(max_size_gib=5000 / 2**30, segment_size_mib=0.001))
    for _ in range(4):
        writer.append("traces", b"x" * 1100).result(10)
    with pytest.raises(wal.LogFullError, match="max_size_gib") as caught:
        writer.append("traces", b"x" * 1100)
    assert caught.value.errno == errno.ENOSPC
    writer.close()
    assert len(payloads(directory)) == 4
    assert wal.remove(directory, 4) == 3
    log = log_of(directory, clock, max_size_gib=5000 / 2**30)
    log.require_room(1100)
    (directory / f"{3:020d}.wal").write_bytes(b"x" * 4000)
    log.require_room(1100)  # looked at once a second at most
    clock.pass_seconds(1.1)
    with pytest.raises(wal.LogFullError):
        log.require_room(1100)


def test_room_is_kept_for_those_who_empty_the_log(tmp_path: Path) -> None:
    plenty = wal.WalSettings(keep_free_mib=2**40)
    writer = wal.Writer(tmp_path, plenty)
    with pytest.raises(wal.LogFullError, match="keep_free_mib"):
        writer.append("traces", b"x")
    writer.close()


def failing_writev(error: int, after_bytes: int) -> Any:  # noqa: ANN401 - stands in for os.writev
    real = os.writev

    def writev(descriptor: int, buffers: list[memoryview]) -> int:
        if after_bytes:
            real(descriptor, [buffers[0][:after_bytes]])
        raise OSError(error, os.strerror(error))

    return writev


@pytest.mark.parametrize("after_bytes", [0, 1, 24, 30])
def test_a_full_disk_refuses_the_batch_and_keeps_the_log_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_bytes: int
) -> None:
    writer = wal.Writer(tmp_path, settings())
    writer.append("traces", b"before").result(10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", failing_writev(errno.ENOSPC, after_bytes))
        with pytest.raises(wal.LogFullError, match="No space left"):
            writer.append("traces", b"refused").result(10)
    writer.append("traces", b"after").result(10)
    writer.close()
    assert payloads(tmp_path) == [b"before", b"after"]


def test_a_segment_that_cannot_even_begin_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path, HandClock())
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", failing_writev(errno.ENOSPC, 5))
        with pytest.raises(wal.LogFullError):
            write(log, b"x")
    assert list(tmp_path.glob("*.open")) == []
    assert write(log, b"x") == 1


def test_an_end_that_finds_no_room_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HandClock()
    log = log_of(tmp_path, clock)
    write(log, b"x")
    clock.pass_seconds(2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", failing_writev(errno.ENOSPC, 3))
        log.tick()
    assert wal.segments(tmp_path) == []
    assert log.seconds_until_tick() == pytest.approx(1)
    clock.pass_seconds(1)
    log.tick()
    assert payloads(tmp_path) == [b"x"]


def test_a_broken_disk_stops_the_writer_and_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = wal.Writer(tmp_path, settings())
    writer.append("traces", b"before").result(10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", failing_writev(errno.EIO, 3))
        with pytest.raises(wal.LogFailedError, match="check the disk"):
            writer.append("traces", b"lost").result(10)
    with pytest.raises(wal.LogFailedError):
        writer.close()
    assert writer.failed
    with pytest.raises(wal.LogFailedError):
        writer.append("traces", b"x")
    wal.recover(tmp_path)
    assert payloads(tmp_path) == [b"before"]


def test_a_bug_in_the_thread_is_an_answer_and_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = wal.Writer(tmp_path, settings())
    monkeypatch.setattr(Log, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writer.append("traces", b"x").result(10)
    with pytest.raises(wal.LogFailedError, match="division"):
        writer.close()


LIMITED = """
import resource, sys
from pathlib import Path
from evalspan import wal
writer = wal.Writer(Path(sys.argv[1]), wal.WalSettings(keep_free_mib=0))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
writer.append("traces", b"before" * 100).result(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
try:
    writer.append("traces", b"x" * 5000).result(10)
except wal.LogFullError as error:
    print(error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.append("traces", b"after").result(10)
writer.close()
"""


def test_the_kernel_saying_no_is_a_full_log(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "File too large" in done.stdout
    assert payloads(tmp_path) == [b"before" * 100, b"after"]


def test_two_writers_cannot_have_one_log(tmp_path: Path) -> None:
    writer = wal.Writer(tmp_path, settings())
    with pytest.raises(wal.LogLockedError, match=str(os.getpid())):
        wal.Writer(tmp_path, settings())
    with pytest.raises(wal.LogLockedError):
        wal.repair(tmp_path)
    writer.close()
    wal.Writer(tmp_path, settings()).close()


def test_a_request_given_up_before_its_turn_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, entered = threading.Event(), threading.Event()
    real = Log.write

    def slow(log: Log, batch: list[Pending]) -> int:
        entered.set()
        release.wait(10)
        return real(log, batch)

    monkeypatch.setattr(Log, "write", slow)
    writer = wal.Writer(tmp_path, settings())
    first = writer.append("traces", b"first")
    assert entered.wait(10)
    second, third = writer.append("traces", b"second"), writer.append("traces", b"third")
    assert second.cancel()
    release.set()
    assert (first.result(10), third.result(10)) == (1, 1)
    writer.close()
    assert payloads(tmp_path) == [b"first", b"third"]


def test_close_finishes_what_was_handed_in_and_refuses_more(tmp_path: Path) -> None:
    writer = wal.Writer(tmp_path, settings())
    futures = [writer.append("traces", b"%d" % number) for number in range(200)]
    writer.close()
    assert all(future.done() for future in futures)
    assert len(payloads(tmp_path)) == 200
    with pytest.raises(wal.LogFailedError, match="closed"):
        writer.append("traces", b"late")


def test_only_signals_are_records(tmp_path: Path) -> None:
    writer = wal.Writer(tmp_path, settings())
    with pytest.raises(ValueError, match="traces or logs"):
        writer.append("close", b"")
    writer.close()

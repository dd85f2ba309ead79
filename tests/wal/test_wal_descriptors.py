"""No descriptor left in the process: the log says "not now" and goes on when there is one."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

from evalspan import wal
from evalspan.wal._file import OpenSegment

PRELUDE: Final = """
import errno, os, resource, sys, threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from evalspan import wal

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
folder = Path(sys.argv[1])
soon = timedelta(seconds=1)

def take_all(but=0):
    taken = []
    with suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(but):
        os.close(taken.pop())
    return taken

def give_back(taken):
    while taken:
        os.close(taken.pop())

def refused(payload):
    try:
        writer.append("traces", payload).result(10)
    except OSError as error:
        return error.errno == errno.EMFILE

def closed():
    count = 0  # a listing would take a descriptor
    while (folder / f"{count + 1:020d}.wal").exists():
        count += 1
    return count

def wait_for(count):
    for _ in range(1000):
        if closed() >= count:
            return
        threading.Event().wait(0.01)
    raise SystemExit(f"{closed()} segments")
"""

NO_BEGIN: Final = """
writer = wal.Writer(folder, wal.WalSettings(keep_free_mib=0, segment_age=timedelta(hours=1)))
for left in (0, 1):  # a segment needs two, one of them for its folder
    taken = take_all(but=left)
    assert refused(b"refused")
    assert not writer.failed
    give_back(taken)
assert writer.append("traces", b"after").result(10) == 1
writer.close()
"""

NO_END: Final = """
writer = wal.Writer(folder, wal.WalSettings(keep_free_mib=0, segment_age=soon))
ended = 0
while True:
    writer.append("traces", b"before").result(10)
    taken = take_all()
    if closed() == ended:
        break
    give_back(taken)  # its end was quicker than we
    ended = closed()
threading.Event().wait(1.5)
assert not writer.failed
assert closed() == ended
give_back(taken)
wait_for(ended + 1)
writer.close()
"""

NO_TICK: Final = """
settings = wal.WalSettings(keep_free_mib=0, segment_age=soon, tick_every=soon)
writer = wal.Writer(folder, settings)
writer.append("traces", b"before").result(10)
wait_for(1)
taken = take_all()
threading.Event().wait(1.5)
count, failed = closed(), writer.failed
give_back(taken)
assert not failed
wait_for(count + 1)
writer.append("traces", b"after").result(10)
writer.close()
"""


def run(story: str, folder: Path) -> list[bytes]:
    """What is in the log after the story, told in a process of its own."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(story), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [r.payload for segment in wal.segments(folder) for r in wal.read(segment)]


def test_a_segment_that_cannot_be_opened_refuses_the_batch_only(tmp_path: Path) -> None:
    assert run(NO_BEGIN, tmp_path) == [b"after"]


def test_a_segment_that_cannot_be_closed_yet_is_closed_later(tmp_path: Path) -> None:
    assert set(run(NO_END, tmp_path)) == {b"before"}


def test_ticks_wait_for_descriptors(tmp_path: Path) -> None:
    assert run(NO_TICK, tmp_path) == [b"before", b"after"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_neither_the_process_nor_the_machine_running_out_ends_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writer = wal.Writer(tmp_path, wal.WalSettings(keep_free_mib=0))

    def create(*_: object, **__: object) -> OpenSegment:
        raise wal.LogFailedError from OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(OpenSegment, "create", create)
        with pytest.raises(OSError, match="limit of open files") as caught:
            writer.append("traces", b"refused").result(10)
    assert caught.value.errno == number
    assert writer.append("traces", b"after").result(10) == 1
    writer.close()

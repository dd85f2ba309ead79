"""The open segment: appending so that it stays whole whatever the disk says."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evalspan.wal._errors import LogFailedError, LogFullError
from evalspan.wal._record import OPENING_BYTES, Flag, Opening, mark_of, pack_close, pack_opening
from evalspan.wal._segment import closed_path, open_path, sync_directory

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BUFFERS_PER_CALL: Final = 1024


class OpenSegment:
    """One segment being written. `size_bytes` is how much of it is good."""

    def __init__(self, directory: Path, number: int, descriptor: int, *, fsync: bool) -> None:
        self.directory = directory
        self.number = number
        self.size_bytes = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._fsync = fsync

    @classmethod
    def create(
        cls, directory: Path, opening: Opening, time_unix_ns: int, *, fsync: bool
    ) -> "OpenSegment":
        """Make the file with its OPEN record; leaves nothing behind where there is no room."""
        path = open_path(directory, opening.number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            segment = cls(directory, opening.number, os.open(path, flags, 0o640), fsync=fsync)
        except OSError as error:
            raise _reason(error, path) from error
        try:
            segment.append([pack_opening(opening, time_unix_ns)], sync=False)
            sync_directory(directory)
        except BaseException:
            segment.abandon()
            path.unlink()
            raise
        return segment

    @property
    def next_flags(self) -> Flag:
        """Flags of the next group's first record; the OPEN record is of the first group."""
        return Flag.FIRST if self.size_bytes > OPENING_BYTES else Flag.NONE

    @classmethod
    def resume(cls, directory: Path, number: int) -> "OpenSegment":
        """Open the file of a writer that died, to end it."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(open_path(directory, number), flags)
        return cls(directory, number, descriptor, fsync=True)

    def append(self, buffers: Sequence[bytes], *, sync: bool = True) -> None:
        """Write all of `buffers` and wait for the disk, or leave the file as it was.

        Raises `LogFullError` where there is no room; `LogFailedError` where what is on disk is
        not known any more.
        """
        try:
            _write_all(self._descriptor, buffers)
            if sync and self._fsync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            self.cut(self.size_bytes)
            raise _reason(error, open_path(self.directory, self.number)) from error
        self.size_bytes += sum(map(len, buffers))

    def cut(self, size_bytes: int) -> None:
        """Drop everything from `size_bytes` on."""
        try:
            os.ftruncate(self._descriptor, size_bytes)
            if self._fsync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            path = open_path(self.directory, self.number)
            message = f"{path}: a failed write could not be undone: {error.strerror}"
            raise LogFailedError(message) from error
        self.size_bytes = size_bytes

    def close(self, log_id: str, time_unix_ns: int) -> None:
        """End the segment and give it its final name: from now on it is read."""
        self.append([pack_close(mark_of(log_id), time_unix_ns, self.next_flags)])
        self.publish()

    def publish(self) -> None:
        """Rename a segment whose CLOSE record is on disk."""
        path = open_path(self.directory, self.number)
        try:
            path.rename(closed_path(self.directory, self.number))
            sync_directory(self.directory)
        except OSError as error:
            message = f"{path}: could not be closed: {error.strerror}"
            raise LogFailedError(message) from error
        self.abandon()

    def abandon(self) -> None:
        """Let go of the file and leave it as it is."""
        os.close(self._descriptor)


def _write_all(descriptor: int, buffers: Sequence[bytes]) -> None:
    """Write without joining: payloads are large and are not copied."""
    for start in range(0, len(buffers), _BUFFERS_PER_CALL):
        rest = [memoryview(buffer) for buffer in buffers[start : start + _BUFFERS_PER_CALL]]
        while rest:
            written = os.writev(descriptor, rest)
            while rest and written >= len(rest[0]):
                written -= len(rest.pop(0))
            if rest and written:
                rest[0] = rest[0][written:]


def _reason(error: OSError, path: Path) -> LogFullError | LogFailedError:
    if error.errno in _NO_ROOM:
        hint = f"{path}: {error.strerror}; make room on this disk, requests are kept by the sender"
        return LogFullError(hint)
    message = f"{path}: {error.strerror}; check the disk, then start the sidecar again"
    return LogFailedError(message)

"""What the writer thread does, without the thread: batches, ages, ticks, room."""

import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evalspan.wal._clock import Clock, LogClock
from evalspan.wal._errors import LogFullError
from evalspan.wal._file import OpenSegment
from evalspan.wal._record import HEADER_BYTES, Flag, Kind, Opening, digest_of, mark_of, pack_header
from evalspan.wal._recover import Recovery
from evalspan.wal._segment import files
from evalspan.wal._settings import WalSettings

_MIB: Final = 2**20
_GIB: Final = 2**30
_MEASURE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0


@dataclass(slots=True)
class Pending:
    """A record on its way, checksummed by the thread that brought it."""

    kind: Kind
    payload: bytes
    digest: int
    future: "Future[int]" = field(default_factory=Future)

    @classmethod
    def of(cls, kind: Kind, payload: bytes) -> "Pending":
        """Take a payload in."""
        return cls(kind, payload, digest_of(payload))


class Log:
    """The newest end of a log. Not thread-safe but for `bytes_on_disk` and `require_room`."""

    def __init__(
        self, directory: Path, settings: WalSettings, clock: Clock, recovery: Recovery
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._log_id = recovery.log_id
        self._mark = mark_of(recovery.log_id)
        self._number = recovery.next_number
        self._clock = LogClock(clock, recovery.last_time_unix_ns)
        self._segment: OpenSegment | None = None
        self._first_record_at = self._last_close_at = self._clock.seconds()
        # what waits from before a restart settles too: ticks begin at once
        self._last_record_at = self._clock.seconds() if recovery.next_number > 1 else float("-inf")
        self._retry_at = 0.0
        self.bytes_on_disk = 0
        self._disk_free_bytes = 0
        self._measured_at = float("-inf")
        self._measure()

    @property
    def segment_room_bytes(self) -> int:
        """Bytes until the open segment has its full size."""
        size = self._segment.size_bytes if self._segment else 0
        return int(self._settings.segment_size_mib * _MIB) - size

    def require_room(self, size_bytes: int) -> None:
        """Raise `LogFullError` where `size_bytes` more would break a limit."""
        if self._clock.seconds() - self._measured_at > _MEASURE_SECONDS:
            self._measure()
        limit = int(self._settings.max_size_gib * _GIB)
        if self.bytes_on_disk + size_bytes > limit:
            hint = (
                f"{self.bytes_on_disk} bytes wait to be stored, the limit wal.max_size_gib is "
                f"{limit} bytes; see whether the pipeline process runs and keeps up"
            )
            raise LogFullError(hint)
        keep = int(self._settings.keep_free_mib * _MIB)
        if self._disk_free_bytes - size_bytes < keep:
            hint = (
                f"{self._directory}: {self._disk_free_bytes} bytes free on the disk, "
                f"wal.keep_free_mib keeps {keep}; make room on this disk"
            )
            raise LogFullError(hint)

    def write(self, batch: Sequence[Pending]) -> int:
        """Write a batch, wait for the disk, return the segment's number; all or nothing."""
        segment = self._segment or self._open()
        time_unix_ns = self._clock.stamp_unix_ns()
        buffers: list[bytes] = []
        flags = segment.next_flags
        for record in batch:
            known = (len(record.payload), record.digest)
            buffers += (
                pack_header(self._mark, record.kind, known, time_unix_ns, flags),
                record.payload,
            )
            flags = Flag.NONE
        segment.append(buffers)
        self._grew(sum(map(len, buffers)))
        self._last_record_at = self._clock.seconds()
        return segment.number

    def tick(self) -> None:
        """Do what is due: close a full or old segment, write an empty one when idle.

        No room for an end is no failure: it is tried again until there is.
        """
        now = self._clock.seconds()
        if now < self._due():
            return
        try:
            if self._segment is None:
                self._open()
            self._close_segment()
        except LogFullError:
            self._retry_at = now + _RETRY_SECONDS

    def seconds_until_tick(self) -> float | None:
        """How long `tick` has nothing to do; None for ever (until the next record)."""
        due = self._due()
        return None if due == float("inf") else max(due - self._clock.seconds(), 0.0)

    def close(self) -> None:
        """End the open segment, if there is one."""
        if self._segment is not None:
            self._close_segment()

    def abandon(self) -> None:
        """Let go of the files after a failure."""
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None

    def _due(self) -> float:
        if self._segment is not None:
            if self.segment_room_bytes <= 0:
                return self._retry_at
            age = self._settings.segment_age.total_seconds()
            return max(self._first_record_at + age, self._retry_at)
        due = self._last_close_at + self._settings.tick_every.total_seconds()
        if due - self._last_record_at > self._settings.tick_for.total_seconds():
            return float("inf")
        return max(due, self._retry_at)

    def _open(self) -> OpenSegment:
        self._segment = OpenSegment.create(
            self._directory,
            Opening(self._log_id, self._number),
            self._clock.stamp_unix_ns(),
            fsync=self._settings.fsync,
        )
        self._number += 1
        self._first_record_at = self._clock.seconds()
        self._grew(self._segment.size_bytes)
        return self._segment

    def _close_segment(self) -> None:
        if self._segment is None:
            return
        self._segment.close(self._log_id, self._clock.stamp_unix_ns())
        self._segment = None
        self._last_close_at = self._clock.seconds()
        self._grew(HEADER_BYTES)

    def _grew(self, size_bytes: int) -> None:
        self.bytes_on_disk += size_bytes
        self._disk_free_bytes -= size_bytes

    def _measure(self) -> None:
        """Look at the disk again: another process deletes what is stored."""
        self.bytes_on_disk = sum(segment.size_bytes for segment in files(self._directory))
        disk = os.statvfs(self._directory)
        self._disk_free_bytes = disk.f_bavail * disk.f_frsize
        self._measured_at = self._clock.seconds()

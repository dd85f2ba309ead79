"""The writer: any thread hands records in, one thread writes them in groups."""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from evalspan.wal._clock import Clock, SystemClock
from evalspan.wal._errors import LogFailedError, LogFullError
from evalspan.wal._log import Log, Pending
from evalspan.wal._record import HEADER_BYTES, MAX_PAYLOAD_BYTES, Kind
from evalspan.wal._recover import locked, recover_locked
from evalspan.wal._settings import WalSettings

_SIGNALS: Final = frozenset({Kind.TRACES, Kind.LOGS})
_NO_DESCRIPTOR: Final = {errno.EMFILE, errno.ENFILE}
_RETRY_SECONDS: Final = 1.0


class Writer:
    """The one writer of a log.

    Creating it takes the lock (`LogLockedError`), ends what a killed writer left open
    (`Corruption`, see `recovery`) and starts the thread that writes.

    A log without segments is a new one: its first segment has the number after `above()`, the
    last one that whoever reads the log knows of from an earlier log.
    """

    def __init__(
        self,
        directory: Path,
        settings: WalSettings,
        clock: Clock | None = None,
        *,
        above: Callable[[], int] = lambda: 0,
    ) -> None:
        clock = clock or SystemClock()
        self._directory = directory
        self._held = ExitStack()
        self._held.enter_context(locked(directory))
        try:
            self.recovery = recover_locked(directory, clock, above)
            self._log = Log(directory, settings, clock, self.recovery)
        except BaseException:
            self._held.close()
            raise
        self._waiting: deque[Pending] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self.failed: LogFailedError | None = None
        """Why the writer gave up; None while it works. A restart is then the only way on."""
        self._thread = threading.Thread(target=self._run, name="evalspan-wal", daemon=True)
        self._thread.start()

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all segments that are not deleted yet."""
        return self._log.bytes_on_disk

    def append(self, kind: str, payload: bytes) -> "Future[int]":
        """Hand in a request (`traces` or `logs`); the future is done when it is on disk.

        It gives the number of the segment, or `LogFullError` or `LogFailedError`. Raises the
        same at once where the answer is already known. Thread-safe.
        """
        record = Pending.of(_signal(kind), payload)
        size_bytes = HEADER_BYTES + len(payload)
        if size_bytes > MAX_PAYLOAD_BYTES:
            message = f"a record of {size_bytes} bytes, at most {MAX_PAYLOAD_BYTES} can be written"
            raise ValueError(message)
        with self._changed:
            if self.failed or self._closing:
                raise self.failed or LogFailedError("the log is closed")
            self._log.require_room(self._waiting_bytes + size_bytes)
            self._waiting.append(record)
            self._waiting_bytes += size_bytes
            self._changed.notify()
        return record.future

    def close(self) -> None:
        """Write what was handed in, end the segment and release the lock.

        Raises the failure that left records unwritten, if there was one.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._held.close()
        if self.failed:
            raise self.failed

    def _run(self) -> None:
        try:
            while self._wait():
                self._write(self._take())
                self._tick()
            self._log.close()
        except Exception as error:  # noqa: BLE001 - whoever waits for an answer must get it
            self._fail(error)

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when all is done."""
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(self._log.seconds_until_tick())
            return bool(self._waiting) or not self._closing

    def _take(self) -> list[Pending]:
        """Take what waits, as far as the segment has room, at least one record."""
        batch: list[Pending] = []
        size_bytes = 0
        with self._changed:
            while self._waiting and size_bytes < max(self._log.segment_room_bytes, 1):
                record = self._waiting.popleft()
                taken = HEADER_BYTES + len(record.payload)
                self._waiting_bytes -= taken
                if record.future.set_running_or_notify_cancel():
                    batch.append(record)
                    size_bytes += taken
        return batch

    def _write(self, batch: list[Pending]) -> None:
        if not batch:
            return
        try:
            number = self._log.write(batch)
        except LogFullError as error:  # of this batch only: the log is whole and goes on
            _refuse(batch, error)
        except Exception as error:
            missing = _missing_descriptor(error)
            _refuse(batch, missing or error)
            if not missing:  # what a write opens is a new segment: without it the log is as it was
                raise
        else:
            for record in batch:
                record.future.set_result(number)

    def _tick(self) -> None:
        """Let the log do what is due; a second later where it could not open what that takes."""
        if self._log.seconds_until_tick() != 0:
            return
        if _can_open_two(self._directory):
            self._log.tick()
            return
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, _RETRY_SECONDS)

    def _fail(self, error: Exception) -> None:
        failure = LogFailedError(f"{self._directory}: the log has stopped: {error}")
        failure.__cause__ = error
        with self._changed:
            self.failed = failure
            left, self._waiting = self._waiting, deque()
        _refuse(
            [record for record in left if record.future.set_running_or_notify_cancel()], failure
        )
        self._log.abandon()


def _signal(kind: str) -> Kind:
    if kind not in _SIGNALS:
        message = f"a record is traces or logs, not {kind!r}"
        raise ValueError(message)
    return Kind(kind)


def _missing_descriptor(error: Exception) -> OSError | None:
    """Return what to tell the sender where `error` says that no file can be opened for now."""
    for reason in (error, error.__cause__):
        if isinstance(reason, OSError) and reason.errno in _NO_DESCRIPTOR:
            hint = f"{reason.strerror}: none is left for the log; raise the limit of open files"
            return OSError(reason.errno, hint)
    return None


def _can_open_two(directory: Path) -> bool:
    """Whether a segment and its folder can be open at once, as beginning or ending one takes."""
    with ExitStack() as opened:
        try:
            for _ in range(2):
                descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.callback(os.close, descriptor)
        except OSError as error:
            if error.errno not in _NO_DESCRIPTOR:
                raise
            return False
    return True


def _refuse(batch: list[Pending], error: BaseException) -> None:
    for record in batch:
        record.future.set_exception(error)

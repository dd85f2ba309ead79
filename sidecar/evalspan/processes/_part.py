"""What every part does around its work: be the only one, hear stop, say why it cannot start."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from evalspan import receive, wal
from evalspan.processes._alone import AlreadyRunsError, alone
from evalspan.processes._supervisor import EXIT_FATAL

log = structlog.get_logger()

POLL_SECONDS: Final = 0.1
# Starting again mends none of these.
_FATAL: Final = (AlreadyRunsError, receive.ListenError, wal.LogLockedError, wal.Corruption)


class Stop:
    """Set by SIGINT, SIGTERM, or when the parent process is gone."""

    def __init__(self, parent: int | None) -> None:
        """Listen for signals; `parent` is the process whose end means stop."""
        self._parent = parent
        self._set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._set = True

    def __bool__(self) -> bool:
        """Whether it is time to stop."""
        return self._set or (self._parent is not None and os.getppid() != self._parent)

    def wait(self, seconds: float) -> bool:
        """Sleep this long or until it is time to stop; returns whether it is."""
        end = time.monotonic() + seconds
        while not self and time.monotonic() < end:
            time.sleep(min(POLL_SECONDS, max(0.0, end - time.monotonic())))
        return bool(self)


def run(
    part: str, run_folder: Path, work: Callable[[Stop], int], *, parent: int | None = None
) -> int:
    """Do the work of a part in this process, alone on its data; returns the exit code."""
    log_as(part)
    stop = Stop(parent)
    try:
        with alone(run_folder, part, stop=lambda: bool(stop)):
            return work(stop)
    except _FATAL as error:
        if stop and isinstance(error, AlreadyRunsError):
            return 0  # told to stop before it was this one's turn
        log.error("cannot_start", why=str(error))
        return EXIT_FATAL


def log_as(part: str) -> None:
    """Write the log of this process to standard error, each line with the name of the part."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(part=part)

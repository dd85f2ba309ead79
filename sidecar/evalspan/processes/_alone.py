"""One process of each part on a data folder, whatever becomes of the parent.

A parent that was killed leaves its parts behind for a moment: they see it and
stop. Whoever starts meanwhile waits for them.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

WAIT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1


class AlreadyRunsError(RuntimeError):
    """Another process does the same work on this data folder; the text says which."""


@contextmanager
def alone(
    folder: Path,
    part: str,
    *,
    wait_seconds: float = WAIT_SECONDS,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the place of a part; the end of the process gives it back, however it ends.

    Waits while another one still holds it, until `stop`; raises AlreadyRunsError after
    `wait_seconds`.
    """
    descriptor = _take(folder, part, wait_seconds, stop)
    try:
        yield
    finally:
        os.close(descriptor)


def hold(folder: Path, part: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
    """Hold the place of a part until this process ends, whatever program it becomes meanwhile.

    Raises AlreadyRunsError after `wait_seconds`.
    """
    os.set_inheritable(_take(folder, part, wait_seconds, lambda: False), True)  # noqa: FBT003 - os


def _take(folder: Path, part: str, wait_seconds: float, stop: Callable[[], bool]) -> int:
    """Return the descriptor that holds the place of a part until it is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _wait_for(descriptor, path, wait_seconds, stop)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _wait_for(descriptor: int, path: Path, wait_seconds: float, stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace") or "unknown"
            if time.monotonic() >= deadline or stop():
                message = (
                    f"{path}: process {owner} does this work on the same data; stop it, or "
                    "give this sidecar a data folder of its own"
                )
                raise AlreadyRunsError(message) from error
            if not told:
                log.info(
                    "waiting_for_the_one_before",
                    process=owner,
                    lock=str(path),
                    why="that process works on the same data; this one starts when it has ended",
                    at_most_seconds=wait_seconds,
                )
                told = True
            time.sleep(_POLL_SECONDS)
        else:
            return

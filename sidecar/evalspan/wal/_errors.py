"""The ways in which a log says no."""

import errno


class Corruption(Exception):  # noqa: N818 - the word users read; it names a state of the disk
    """Bytes in a segment are not what was written: the segment's number, where, what to do."""

    def __init__(self, segment: int, offset: int, hint: str) -> None:
        super().__init__(f"segment {segment} is corrupt at byte {offset}: {hint}")
        self.segment = segment
        self.offset = offset
        self.hint = hint


class OtherVersionError(Corruption):
    """A segment is whole, but of another format version; nothing of it is touched."""

    def __init__(self, segment: int, version: int, known: int) -> None:
        super().__init__(segment, 0, f"log format {version}, this evalspan reads {known}")
        message = (
            f"segment {segment} is of log format {version}, this evalspan reads {known}: start the "
            "evalspan that wrote it until `evalspan ledger` says that nothing is pending, stop it, "
            "remove the folder wal/, and start this one"
        )
        self.args = (message,)


class LogFullError(OSError):
    """No room for a record; nothing of it was kept and the log is whole. `errno` is ENOSPC."""

    def __init__(self, hint: str) -> None:
        super().__init__(errno.ENOSPC, hint)
        self.hint = hint


class LogFailedError(RuntimeError):
    """The writer is closed, or the disk failed in a way that only a restart can judge."""


class LogLockedError(RuntimeError):
    """Another process writes this log."""

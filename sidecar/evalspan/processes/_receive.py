"""The receiver's work, and what a process of its own must be told to do it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, field_serializer

from evalspan import receive as room
from evalspan import wal
from evalspan.processes._descriptors import raise_descriptor_limit
from evalspan.processes._part import Stop

log = structlog.get_logger()

POLL_SECONDS: Final = 0.1


class Job(BaseModel):
    """What the receiver needs of the config, as it goes from one program to the next.

    `above`: the last segment that the tables know, where the log was seen to begin anew;
    None where it was seen to go on.
    """

    model_config = ConfigDict(frozen=True)

    receive: room.ReceiveSettings
    wal: wal.WalSettings
    log_folder: Path
    run_folder: Path
    above: int | None
    parent: int | None

    @field_serializer("receive", "wal")
    def _as_in_a_config(self, settings: BaseModel) -> dict[str, object]:
        given = settings.model_dump(exclude_defaults=True)
        return {
            k: f"{v.total_seconds():f}s" if hasattr(v, "total_seconds") else v
            for k, v in given.items()
        }

    def last_segment(self) -> int:
        """Return `above`; raises RuntimeError where the log has gone since it was looked at."""
        if self.above is None:
            message = f"{self.log_folder}: the log vanished while the receiver started"
            raise RuntimeError(message)
        return self.above


def receive(
    writer: wal.Writer,
    settings: room.ReceiveSettings,
    run_folder: Path,
    stop: Stop,
    annotate: Callable[[bytes], bytes] | None = None,
) -> int:
    """Take requests into the log until told to stop; returns the exit code. Closes `writer`."""
    raise_descriptor_limit()
    counters = room.Counters({"wal_bytes": lambda: float(writer.bytes_on_disk)})
    word = run_folder / "receiver.json"
    counters.count_on_from(word)
    try:
        asyncio.run(_serve(settings, writer, annotate, counters, word, stop))
    finally:
        writer.close()
    room.write_snapshot(counters, word)  # the last requests end after the stop
    return 0


async def _serve(
    settings: room.ReceiveSettings,
    writer: wal.Writer,
    annotate: Callable[[bytes], bytes] | None,
    counters: room.Counters,
    word: Path,
    stop: Stop,
) -> None:
    done = asyncio.Event()
    published = asyncio.create_task(room.publish(counters, word, done))

    async def watch() -> None:
        while not stop and not writer.failed:  # noqa: ASYNC110 - signals set no asyncio event
            await asyncio.sleep(POLL_SECONDS)
        done.set()

    watched = asyncio.create_task(watch())

    def listening(port: int) -> None:
        log.info("receiving", address=settings.listen, port=port)

    await room.serve(settings, writer.append, annotate, counters, done, listening=listening)
    await asyncio.gather(published, watched)

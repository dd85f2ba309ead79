"""What each process of the sidecar does."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from evalspan import metrics, receive, report, store, wal
from evalspan.pipeline._alone import AlreadyRunsError, alone
from evalspan.pipeline._build import (
    evaluator_of,
    metrics_of,
    store_of,
    write_side_of,
)
from evalspan.pipeline._check import require_sound
from evalspan.pipeline._gauges import gauges
from evalspan.pipeline._processes import EXIT_FATAL, PARTS, Supervisor
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._verdicts import JudgeCounts
from evalspan.pipeline._write import WriteSide

log = structlog.get_logger()

POLL_SECONDS: Final = 0.1
LONGEST_RETRY_SECONDS: Final = 30.0


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


def supervise(settings: Settings, config: Path | None, data: Path | None) -> int:
    """Run all parts as processes until told to stop; returns the exit code."""
    require_sound(settings)  # a wrong config is told once, here, before anything starts
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    options = [*(["--config", str(config)] if config else [])]
    options += ["--data", str(data)] if data else []
    return Supervisor(options, PARTS).run()


def run_part(name: str, settings: Settings, *, parent: int | None = None) -> int:
    """Run one part in this process; returns the exit code."""
    _log_as(name)
    stop = Stop(parent)
    try:
        with alone(settings.run_folder, name, stop=lambda: bool(stop)):
            return _run_part(name, settings, stop)
    except (AlreadyRunsError, receive.ListenError, wal.LogLockedError, wal.Corruption) as error:
        if stop and isinstance(error, AlreadyRunsError):
            return 0  # told to stop before it was this one's turn
        log.error("cannot_start", why=str(error))
        return EXIT_FATAL


def _run_part(name: str, settings: Settings, stop: Stop) -> int:
    if name == "receive":
        return _receive(settings, stop)
    if name == "pipeline":
        return _pipeline(settings, stop)
    from evalspan.pipeline._watch import watch  # noqa: PLC0415 - heavy; only this part

    return watch(settings, stop)


def _log_as(part: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(part=part)


def _receive(settings: Settings, stop: Stop) -> int:
    writer = wal.Writer(settings.log_folder, settings.wal)
    counters = receive.Counters({"wal_bytes": lambda: float(writer.bytes_on_disk)})
    word = settings.run_folder / "receiver.json"
    try:
        asyncio.run(_serve(settings, writer, counters, word, stop))
    finally:
        writer.close()
    receive.write_snapshot(counters, word)  # the last requests end after the stop
    return 0


async def _serve(
    settings: Settings,
    writer: wal.Writer,
    counters: receive.Counters,
    word: Path,
    stop: Stop,
) -> None:
    done = asyncio.Event()
    published = asyncio.create_task(receive.publish(counters, word, done))

    async def watch() -> None:
        while not stop and not writer.failed:  # noqa: ASYNC110 - signals set no asyncio event
            await asyncio.sleep(POLL_SECONDS)
        done.set()

    watched = asyncio.create_task(watch())

    def listening(port: int) -> None:
        log.info("receiving", address=settings.receive.listen, port=port)

    annotate = _annotate(settings)
    await receive.serve(
        settings.receive, writer.append, annotate, counters, done, listening=listening
    )
    await asyncio.gather(published, watched)


def _annotate(settings: Settings) -> Callable[[bytes], bytes] | None:
    """Return the function behind Annotate; None where no check is inline."""
    if not any(check.inline for check in settings.checks.values()):
        return None
    from evalspan.pipeline._annotate import Annotator  # noqa: PLC0415 - heavy; few use it

    annotate: Callable[[bytes], bytes] = Annotator(settings)
    return annotate


def _pipeline(settings: Settings, stop: Stop) -> int:
    tables = store_of(settings)
    evaluator = evaluator_of(settings)
    shown = metrics_of(settings)
    write = write_side_of(settings, tables, evaluator, shown)

    def read() -> Iterable[metrics.Gauge]:
        return gauges(settings, write, evaluator)

    shown.add_source(read)
    pages = {"/reports/": _reports(settings)}
    try:
        server = metrics.serve(settings.metrics.listen, shown, pages)
    except OSError as error:
        log.error("cannot_start", why=f"metrics.listen {settings.metrics.listen}: {error}")
        return EXIT_FATAL
    log.info("serving", metrics=f"http://{settings.metrics.listen}/metrics")
    judged = JudgeCounts(
        settings.log_folder,
        tables,
        shown,
        tuple(settings.checklists),
        tuple(settings.dimensions),
    )
    try:
        _loop(write, stop, judged.look)
    finally:
        server.shutdown()
        evaluator.close()
    return 0


def _reports(settings: Settings) -> Callable[[str, str], metrics.Page]:
    def answer(path: str, query: str) -> metrics.Page:
        if path == "/reports":  # the links of the pages are relative
            return metrics.Page(308, "text/plain", b"", {"Location": "/reports/"})
        below = path.removeprefix("/reports").lstrip("/") + (f"?{query}" if query else "")
        return metrics.Page(*report.page(below, settings.reports_folder))

    return answer


def _loop(write: WriteSide, stop: Stop, look: Callable[[], None]) -> None:
    """Take segments as they close; what the disk refuses is tried again, with growing waits.

    `look` counts what another process has committed.
    """
    wait = POLL_SECONDS
    while True:
        segments = write.waiting()
        for segment in segments:
            try:
                write.step(segment)
                wait = POLL_SECONDS
            except (store.StoreError, OSError) as error:
                log.error("not_stored", segment=segment.number, why=str(error), again_in=wait)
                if stop.wait(wait):
                    return  # the log keeps what the disk does not take
                wait = min(2 * wait, LONGEST_RETRY_SECONDS)
                break
        write.forget()
        look()
        if stop and not write.waiting():
            return
        if not segments:
            stop.wait(POLL_SECONDS)


def utc_now() -> datetime:
    """Return the wall clock."""
    return datetime.now(UTC)

"""What each process of the sidecar does."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import structlog

from evalspan import metrics, processes, report, store, wal
from evalspan.pipeline._build import (
    checklists_of,
    evaluator_of,
    metrics_of,
    store_of,
    write_side_of,
)
from evalspan.pipeline._check import require_sound
from evalspan.pipeline._gauges import ReceiverWord, gauges
from evalspan.pipeline._log import last_segment, open_log
from evalspan.pipeline._poison import SetAsideError
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._trial import StoppedError
from evalspan.pipeline._verdicts import JudgeCounts
from evalspan.pipeline._write import WriteSide
from evalspan.processes import EXIT_FATAL, Stop

log = structlog.get_logger()

POLL_SECONDS: Final = 0.1
LONGEST_RETRY_SECONDS: Final = 30.0
# Half of what the parent waits: a segment begun before and no longer than that ends in time.
DRAIN_SECONDS: Final = 15.0
# The part ends as it must; its parent starts it again.
EXIT_AGAIN: Final = 3


def supervise(settings: Settings, config: Path | None, data: Path | None) -> int:
    """Become the parent of all parts, which ends with the exit code of the command.

    Raises ConfigError, and AlreadyRunsError where a sidecar runs on the same data.
    """
    require_sound(settings)  # a wrong config is told once, here, before anything starts
    options = [*(["--config", str(config)] if config else [])]
    options += ["--data", str(data)] if data else []
    processes.supervise(options, settings.run_folder)


def run_part(name: str, settings: Settings, *, parent: int | None = None) -> int:
    """Run one part in this process; returns the exit code."""
    if name == "receive" and not _inline(settings):
        processes.receive_in_its_own(_job(settings, parent))
    return processes.run(
        name, settings.run_folder, lambda stop: _run_part(name, settings, stop), parent=parent
    )


def _run_part(name: str, settings: Settings, stop: Stop) -> int:
    """Do the work of a part; what a new start can mend is one line and not a fatal end."""
    try:
        return _work(name, settings, stop)
    except (SetAsideError, store.StoreError) as error:
        log.error("ends_and_begins_anew", why=str(error))
        return EXIT_AGAIN


def _work(name: str, settings: Settings, stop: Stop) -> int:
    if name == "receive":
        return _receive(settings, stop)
    if name == "pipeline":
        return _pipeline(settings, stop)
    from evalspan.pipeline._watch import watch  # noqa: PLC0415 - heavy; only this part

    return watch(settings, stop)


def _job(settings: Settings, parent: int | None) -> processes.Job:
    """Return what the receiver must know when it no longer has the config and the tables."""
    try:
        goes_on = bool(wal.segments(settings.log_folder))
    except wal.Corruption:
        goes_on = True  # who opens the log to write says what is wrong with it
    return processes.Job(
        receive=settings.receive,
        wal=settings.wal,
        log_folder=settings.log_folder,
        run_folder=settings.run_folder,
        above=None if goes_on else last_segment(store_of(settings)),
        parent=parent,
    )


def _receive(settings: Settings, stop: Stop) -> int:
    """Receive in this process, which knows the checks that Annotate asks."""
    from evalspan.pipeline._annotate import Annotator  # noqa: PLC0415 - heavy; few use it

    annotator = Annotator(settings)
    return processes.receive(
        open_log(settings), settings.receive, settings.run_folder, stop, annotator
    )


def _inline(settings: Settings) -> bool:
    return any(check.inline for check in settings.checks.values())


def _pipeline(settings: Settings, stop: Stop) -> int:
    tables = store_of(settings)
    evaluator = evaluator_of(settings)
    checklists = checklists_of(settings)
    shown = metrics_of(settings)
    write = write_side_of(
        settings, tables, evaluator, shown, checklists=checklists, stop=lambda: bool(stop)
    )

    receiver = ReceiverWord()

    def read() -> Iterable[metrics.Gauge]:
        failed_merges = dict(tables.failed_merges)
        return gauges(settings, write, evaluator, checklists, failed_merges, receiver)

    shown.add_source(read)
    pages = {"/reports/": _reports(settings)}
    try:
        server = metrics.serve(settings.metrics.listen, shown, pages)
    except metrics.ListenError as error:
        log.error("cannot_start", why=str(error))
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


def _loop(
    write: WriteSide,
    stop: Stop,
    look: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take segments as they close; what the disk refuses is tried again, with growing waits.

    `look` counts what another process has committed. When it is time to stop, segments are
    taken for `DRAIN_SECONDS` more; one that is left comes again at the next start.
    """
    wait = POLL_SECONDS
    drain = _Drain(stop, clock)
    while not drain.is_over():
        segments = write.waiting()
        for segment in segments:
            if drain.is_over():
                break
            try:
                write.step(segment)
                wait = POLL_SECONDS
            except (store.StoreError, OSError) as error:
                log.error("not_stored", segment=segment.number, why=str(error), again_in=wait)
                if stop.wait(wait):
                    return
                wait = min(2 * wait, LONGEST_RETRY_SECONDS)
                break
            except StoppedError:
                return
        write.forget()
        look()
        if stop and not write.waiting():
            return
        if not segments:
            stop.wait(POLL_SECONDS)
    log.info("stopped_behind", segments=len(write.waiting()), why="they wait for the next start")


class _Drain:
    """How long segments are taken after it became time to stop."""

    def __init__(self, stop: Stop, clock: Callable[[], float]) -> None:
        self._stop = stop
        self._clock = clock
        self._not_told_at = clock()

    def is_over(self) -> bool:
        """Ask before each segment: the time of the one that the stop came in counts."""
        if not self._stop:
            self._not_told_at = self._clock()
        return self._clock() - self._not_told_at >= DRAIN_SECONDS

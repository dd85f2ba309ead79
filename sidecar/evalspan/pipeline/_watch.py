"""The analysing process: judges, detection, causes and reports, on a schedule."""

import threading
import time
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import polars as pl
import structlog

from evalspan import report, store
from evalspan.pipeline._build import store_of, views_of
from evalspan.pipeline._gauges import write_word
from evalspan.pipeline._judge import Judging
from evalspan.pipeline._ledger import pending_judgements
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._report import flush, outbox_of, save_report
from evalspan.pipeline._settings import Settings

log = structlog.get_logger()

JOIN_SECONDS: Final = 5.0


class Stopping(Protocol):
    """Tells when to stop."""

    def __bool__(self) -> bool:
        """Whether it is time to stop."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep this long or until it is time to stop."""
        ...


def watch(settings: Settings, stop: Stopping) -> int:
    """Look again and again until told to stop; returns the exit code."""
    tables = store_of(settings)
    views = views_of(settings, tables)
    sides = [ReadSide(settings, tables, views[name]) for name in settings.analysis.views]
    judges = _Judges(settings, stop)
    outbox = outbox_of(settings)
    while not stop:
        started = time.monotonic()
        look(settings, tables, sides, outbox)
        judges.check()
        stop.wait(started + settings.analysis.every.total_seconds() - time.monotonic())
    judges.join()
    return 0


class _Judges:
    """Judges in a thread of their own: a slow model holds up no detection."""

    def __init__(self, settings: Settings, stop: Stopping) -> None:
        self._judging = Judging(settings, store_of(settings))
        self._stop = stop
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="judges", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop:
                if not self._judging.step():
                    self._stop.wait(1.0)
        except Exception as error:  # noqa: BLE001 - raised in the main thread, see check
            self._failure = error

    def check(self) -> None:
        """Raise what ended the judges: the process is started again, with a growing wait."""
        if self._failure is not None:
            raise self._failure

    def join(self) -> None:
        """Wait a moment for the calls in flight; what is not committed is asked again."""
        self._thread.join(JOIN_SECONDS)


def look(
    settings: Settings,
    tables: store.Store,
    sides: list[ReadSide],
    outbox: report.Outbox | None,
) -> None:
    """Look once through each view: detect, explain what changed, report, leave word."""
    now = datetime.now(UTC)
    current = []
    for side in sides:
        changes = side.changes(now)
        current.append(changes.current)
        for row in changes.changed.iter_rows(named=True):
            log.info("state", state=row["state"], direction=row["direction"], why=row["reason"])
            findings = side.causes(row, now)
            save_report(settings, side, row, findings, now, outbox=outbox)
    flush(outbox, now)
    write_word(settings.run_folder / "analysis.json", _word(settings, tables, current))


def _word(
    settings: Settings,
    tables: store.Store,
    current: list[pl.DataFrame],
) -> dict[str, Any]:
    frame = pl.concat(current) if current else pl.DataFrame()
    rows = frame.filter(pl.col("state") == "open") if frame.width else frame
    columns = ("id", "check", "kind", "direction", "slice", "effect")
    scores = ("baseline_score", "candidate_score")
    return {
        "time_unix_seconds": time.time(),
        "regressions": rows.select(*columns, *scores).to_dicts() if frame.width else [],
        "evaluations_pending": pending_judgements(tables, settings.checklists),
    }

"""The analysing process: judges, detection, causes and reports, on a schedule."""

import threading
import time
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import polars as pl
import structlog

from evalspan.pipeline._accounts import Accounts
from evalspan.pipeline._build import store_of, views_of
from evalspan.pipeline._judge import Judging
from evalspan.pipeline._key import warn_of_key
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._report import Post, flush, outbox_of
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._telling import Telling
from evalspan.pipeline._word import write_word

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
    warn_of_key(settings)
    tables = store_of(settings)
    views = views_of(settings, tables)
    sides = [ReadSide(settings, tables, views[name]) for name in settings.analysis.views]
    judges = _Judges(settings, stop)
    accounts = Accounts(settings.log_folder, tables, settings.checklists)
    post = outbox_of(settings)
    telling = Telling(settings, post)
    while not stop:
        started = time.monotonic()
        look(settings, sides, post, telling)
        write_word(settings.run_folder / "accounts.json", accounts.look(), sync=False)
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
    sides: list[ReadSide],
    post: Post | None,
    telling: Telling | None = None,
) -> None:
    """Look once through each view: detect, explain what changed, report, leave word."""
    now = datetime.now(UTC)
    telling = telling or Telling(settings, post)
    current = []
    damaged: set[str] = set()
    for side in sides:
        found = side.changes(now)
        current.append(found.current)
        damaged.update(found.damaged_mutes)
        telling.tell(side, now)
        telling.refresh(side, found.current, now)
    telling.tell_optimizations(now)
    telling.failures.note("mute", damaged)
    flush(post, now)
    word = {**_word(current), "errors": telling.failures.counts}
    write_word(settings.run_folder / "analysis.json", word, sync=False)


def _word(current: list[pl.DataFrame]) -> dict[str, Any]:
    """Return what a scrape shows: everything that is not resolved."""
    frame = pl.concat(current) if current else pl.DataFrame()
    rows = frame.filter(pl.col("state") != "resolved") if frame.width else frame
    columns = ("id", "check", "kind", "direction", "slice", "state", "effect")
    numbers = ("baseline_score", "candidate_score", "baseline_n", "candidate_n")
    seconds = pl.col("change_time").dt.timestamp("us") / 1e6
    shown = (*columns, *numbers, seconds.alias("change_time_unix_seconds"))
    return {
        "time_unix_seconds": time.time(),
        "regressions": rows.select(*shown).to_dicts() if frame.width else [],
    }

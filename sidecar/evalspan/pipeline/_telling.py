"""Tell every change of state at least once, whatever dies in between.

REGRESSIONS is the truth. A row of it that is not noted as told is told: its report is kept for
the pages, its log records and its annotation are put into their outboxes, and only then that is
noted. So whatever a crash interrupts is done again, with the same ids, by which a repeat is
recognised.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import polars as pl
import structlog

from evalspan import report
from evalspan.model import REGRESSIONS
from evalspan.pipeline._changes import FIRING
from evalspan.pipeline._failures import Failures
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._report import RECORDS, Post, make_report
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._told import Told

log = structlog.get_logger()

PAGE: Final = "page"
REFRESH: Final = timedelta(minutes=10)
_TOLD: Final = (
    "state",
    "state_time",
    "detected_time",
    "reason",
    "mute_reason",
    "mute_until",
)


@dataclass(frozen=True, slots=True)
class _Change:
    """A row of REGRESSIONS and to whom it was not told yet."""

    key: str
    row: Mapping[str, Any]
    missing: tuple[str, ...]


class Telling:
    """Tells changes of state to the pages, the log store and Grafana."""

    def __init__(self, settings: Settings, post: Post | None = None) -> None:
        """`post` is where is put what is sent; `failures` counts what could not be told."""
        self._settings = settings
        self._post = post
        self.failures = Failures()
        self._told = Told(settings.told_folder)
        self._looked = datetime.min.replace(tzinfo=UTC)

    def tell(self, side: ReadSide, now: datetime) -> None:
        """Tell what was not told yet, in order of time, and note each as it is done.

        One that fails does not hold up the others; it is tried again at a later look.
        """
        for changes in self._changes(side, now):
            for change in changes:
                if change.missing and not self.failures.waits("report", change.key, now):
                    with self.failures.kept("report", change.key, now, regression=change.row["id"]):
                        self._tell(side, change, changes[-1], now)

    def refresh(self, side: ReadSide, current: pl.DataFrame, now: datetime) -> None:
        """Bring the pages of what has not ended up to date, each once in a while.

        `current` are the figures of now in the form of REGRESSIONS; the state stays the told one.
        """
        if current.is_empty():
            return
        known = {row["id"]: row for row in side.regressions().iter_rows(named=True)}
        for row in current.filter(pl.col("state") != "resolved").iter_rows(named=True):
            told = known.get(row["id"])
            if told is None or self.failures.waits("page", row["id"], now):
                continue
            with self.failures.kept("page", row["id"], now, regression=row["id"]):
                self._refresh(side, row, told, now)

    def _refresh(
        self, side: ReadSide, row: Mapping[str, Any], told: Mapping[str, Any], now: datetime
    ) -> None:
        if self._is_stale(told, now):
            shown = {**row, **{name: told[name] for name in _TOLD}}
            report.save(self._report(side, shown, now, write=False), self._settings.reports_folder)

    def _is_stale(self, told: Mapping[str, Any], now: datetime) -> bool:
        made = report.load_one(self._settings.reports_folder, report.report_id(told["id"]))
        return made is not None and made.created_time <= now - REFRESH

    def tell_optimizations(self, now: datetime) -> None:
        """Put what reports tell of searches, where a crash came between report and outbox."""
        oldest = now - self._settings.report.look_back
        self._told.forget(oldest - self._settings.report.look_back)
        if self._post is None or self._post.records is None:
            return
        waiting = False
        for made in self._reports(max(self._looked, oldest)):
            search = made.optimization
            if search is not None and search.created_time >= oldest:
                self._tell_search(made, search.experiment, self._post, now)
                waiting |= not self._told.is_noted(search.experiment, RECORDS)
        if not waiting:  # else the same files are looked at again
            self._looked = now - timedelta(minutes=1)

    def _tell_search(self, made: report.Report, name: str, post: Post, now: datetime) -> None:
        if self._told.is_noted(name, RECORDS) or self.failures.waits("search", name, now):
            return
        with self.failures.kept("search", name, now, experiment=name):
            post.put_optimization(made)
            self._told.note(name, RECORDS)

    def _reports(self, since: datetime) -> list[report.Report]:
        files = self._settings.reports_folder.glob("*.json")
        fresh = [file for file in files if file.stat().st_mtime >= since.timestamp()]
        found = [report.load_one(file.parent, file.stem) for file in fresh]
        return [made for made in found if made is not None]

    def _changes(self, side: ReadSide, now: datetime) -> list[list[_Change]]:
        """Return the changes of each regression of which something was not told."""
        since = now - self._settings.report.look_back
        rows = side.view.scan(REGRESSIONS).filter(
            pl.col("view") == side.view.name, pl.col("detected_time") >= since
        )
        names = (PAGE, *(self._post.names if self._post else ()))
        found: dict[str, list[_Change]] = {}
        for row in rows.sort("detected_time").collect().iter_rows(named=True):
            key = _key(row)
            missing = tuple(name for name in names if not self._told.is_noted(key, name))
            found.setdefault(row["id"], []).append(_Change(key, row, missing))
        return [each for each in found.values() if any(change.missing for change in each)]

    def _tell(self, side: ReadSide, change: _Change, newest: _Change, now: datetime) -> None:
        row = change.row
        names = ("id", "check", "slice", "state", "direction")
        log.info("state", **{name: row[name] for name in names}, why=row["reason"])
        made = self._report(side, row, now)
        if PAGE in change.missing and change is newest:
            report.save(made, self._settings.reports_folder)
        for name in change.missing:
            if name != PAGE and self._post is not None:
                self._post.put(name, made)
        for name in change.missing:
            self._told.note(change.key, name)

    def _report(
        self, side: ReadSide, row: Mapping[str, Any], now: datetime, *, write: bool = True
    ) -> report.Report:
        if row["state"] in FIRING:  # the others keep the causes that they had
            findings = side.causes(row, now, write=write)
        else:
            known = side.view.findings().filter(pl.col("regression_id") == row["id"])
            findings = known.unique("rank", keep="any").collect()
        return make_report(self._settings, side, row, findings, now)


def _key(row: Mapping[str, Any]) -> str:
    parts = (row["view"], row["id"], row["state"], row["detected_time"].isoformat())
    return sha256(json.dumps(parts).encode()).hexdigest()[:24]

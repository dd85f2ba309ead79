"""The read side as the commands ask for it: plain values in, plain values out."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from evalspan import detect, optimize, report, stats
from evalspan.config import ConfigError, nearest
from evalspan.model import SCORES
from evalspan.pipeline._build import store_of, views_of
from evalspan.pipeline._changes import FIRING
from evalspan.pipeline._mutes import load_mutes
from evalspan.pipeline._optimize import Optimizing
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._report import flush, outbox_of, save_report
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.pipeline._tally import not_compared, tally
from evalspan.pipeline._when import before
from evalspan.views import View


class NotFoundError(ConfigError):
    """Nothing has this id; says what there is."""


class NothingYetError(Exception):
    """There is nothing to show, and nobody did anything wrong; says what to do."""


def read_side_of(settings: Settings, view: str) -> ReadSide:
    """Return the read side through a view; raises ConfigError."""
    tables = store_of(settings)
    views = views_of(settings, tables)
    if view not in views:
        raise ConfigError(_no_such("view", view, views))
    return ReadSide(settings, tables, views[view])


def pass_rates(
    settings: Settings,
    view: str,
    *,
    since: str,
    check: str | None,
    by: Sequence[str],
) -> list[dict[str, Any]]:
    """Return pass rate with its 95 % interval, n, values and errors per check and dimension."""
    require_dimensions(settings, by)
    seen = read_side_of(settings, view).view
    scores = seen.scores(since=before(datetime.now(UTC), "--since", since))
    if check is not None:
        require_check(settings, seen, check)
        scores = scores.filter(pl.col("check") == check)
    keys = {name: pl.col(BUILT_IN.get(name, name)) for name in by}
    return [_with_interval(row) for row in tally(scores, **keys)]


def require_check(settings: Settings, view: View, check: str) -> None:
    """Raise NotFoundError where neither the config nor the tables have a check of this name."""
    if check in settings.checks or check in settings.checklists:
        return
    stored = view.scan(SCORES).select("check").unique().collect()["check"].drop_nulls()
    known = sorted({*settings.checks, *settings.checklists, *stored})
    if check not in known:
        raise NotFoundError(_no_such("check", check, known))


def require_dimensions(settings: Settings, names: Iterable[str]) -> None:
    """Raise ConfigError where the config has no dimension of one of these names."""
    for name in names:
        if name not in settings.all_dimensions:
            raise ConfigError(_no_such("dimension", name, settings.all_dimensions))


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    hint = nearest(name, names)
    return f"there is no {what} {name!r}; known: {', '.join(names) or 'none'}{hint and '.'}{hint}"


def _with_interval(row: dict[str, Any]) -> dict[str, Any]:
    passed, n = row.pop("passed"), row["n"]
    if not n:
        return {**row, "pass_rate": None, "low": None, "high": None}
    rate = stats.wilson_interval(passed, n)
    return {**row, "pass_rate": rate.estimate, "low": rate.low, "high": rate.high}


def find_changes(
    settings: Settings,
    view: str,
    *,
    write: bool,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what changed with its state, and notes where there is too little to say.

    Raises ConfigError, before anything is kept, where the file of a mute is damaged.
    """
    side = read_side_of(settings, view)
    now = datetime.now(UTC)
    load_mutes(settings.data, now)
    found = side.changes(now, write=write).current
    order = (~pl.col("state").is_in(FIRING), pl.col("direction") != "regression", "effect")
    return found.sort(order).to_dicts(), _notes(side, now)


def _notes(side: ReadSide, now: datetime) -> list[str]:
    return [*not_compared(tally(side.scores(now))), *_too_little(side, now)]


def _too_little(side: ReadSide, now: datetime) -> list[str]:
    notes = []
    for check, item in side.checks(now):
        missing = detect.need(side.verdicts(check, item, now), side.detect_settings)
        wanted = [_more_verdicts(missing.rows)] if missing.rows else []
        if missing.baseline:
            wanted.append(f"{_more_verdicts(missing.baseline)} in the pinned baseline")
        if missing.history:
            wanted.append(f"{_days_and_hours(missing.history)} more history")
        if wanted:
            name = f"{check}/{item}" if item else check
            notes.append(f"{name}: too little to compare: {', '.join(wanted)}")
    return notes


def _more_verdicts(count: int) -> str:
    return f"{count} more verdict{'' if count == 1 else 's'}"


def _days_and_hours(span: timedelta) -> str:
    """Round up to hours: 2 d 23.9 h are 3 d 0 h."""
    days, hours = divmod(-(-span // timedelta(hours=1)), 24)
    return f"{days} d {hours} h"


def _open(side: ReadSide) -> pl.DataFrame:
    return side.regressions(only_open=True).filter(pl.col("direction") == "regression")


def _choose(side: ReadSide, start: str | None) -> dict[str, Any]:
    rows = _open(side) if start is None else side.regressions()
    if start is None:
        if rows.is_empty():
            msg = (
                "no regression is open, so there is nothing to explain or to mend. `evalspan "
                "detect` looks now and lists the ended ones too; name one of them by its id"
            )
            raise NothingYetError(msg)
    else:
        rows = rows.filter(pl.col("id").str.starts_with(start))
    if rows.is_empty():
        msg = f"no regression has an id that starts with {start!r}; see `evalspan detect`"
        raise NotFoundError(msg)
    return rows.sort("evidence_nats", descending=True, nulls_last=True).row(0, named=True)


def find_causes(
    settings: Settings,
    view: str,
    start: str | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a regression with what fails in it, and its causes, and keep its report.

    `also_open` are the other regressions that are open.
    """
    side = read_side_of(settings, view)
    now = datetime.now(UTC)
    regression = _choose(side, start)
    findings = side.causes(regression, now)
    made = save_report(settings, side, regression, findings, now)
    failures = made.failures.model_dump(mode="json") if made.failures else None
    also_open = [row for row in _open(side).to_dicts() if row["id"] != regression["id"]]
    return {**regression, "failures": failures, "also_open": also_open}, findings.to_dicts()


def improve(
    settings: Settings,
    view: str,
    start: str | None,
    progress: optimize.Progress,
) -> tuple[dict[str, Any], str]:
    """Look for a better prompt; returns the outcome and the report as text for a terminal."""
    side = read_side_of(settings, view)
    now = datetime.now(UTC)
    regression = _choose(side, start)
    findings = side.causes(regression, now)
    optimizing = Optimizing(settings, store_of(settings), side, progress=progress)
    done = asyncio.run(optimizing.run(regression, findings, now))
    outcome = done.outcome.model_dump()
    outbox = outbox_of(settings)
    made = save_report(settings, side, regression, findings, now, outcome=outcome, outbox=outbox)
    flush(outbox, datetime.now(UTC))
    return outcome, str(report.render(made, "terminal"))


def show_report(settings: Settings, start: str | None, form: str) -> str | bytes:
    """Return a stored report in a form; the newest one without an id."""
    stored = report.load_all(settings.reports_folder).reports
    found = [r for r in stored if start is None or _is_of(r, start)]
    if not found and start is None:
        msg = (
            "there are no reports yet: one is made for each regression that is found. `evalspan "
            "detect` looks now, `evalspan explain` makes the report of what is open"
        )
        raise NothingYetError(msg)
    if not found:
        msg = f"there is no report of {start!r}; `evalspan detect` shows the ids"
        raise NotFoundError(msg)
    newest = max(found, key=lambda r: r.created_time)
    if form == "json":
        return newest.model_dump_json(indent=2)
    return report.render(newest, form, settings.folder)


def _is_of(made: report.Report, start: str) -> bool:
    ids = [made.id, made.regression.id if made.regression else ""]
    return any(i.startswith(start) for i in ids)

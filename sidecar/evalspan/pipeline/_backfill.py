"""Verdicts that the tables hold, written as the metrics would have shown them."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

import polars as pl

from evalspan.config import ConfigError
from evalspan.metrics import History, Written
from evalspan.model import SCORES
from evalspan.pipeline._ask import read_side_of, require_check
from evalspan.pipeline._build import metrics_of
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.pipeline._when import before, duration
from evalspan.views import View

Tell = Callable[[str, float], None]
# So much time is read at once.
_CHUNK: Final = timedelta(hours=1)
_OF_SCORES: Final = ("check", "item", "verdict", "error", "skipped", "value", "cost_usd")


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What was written. `live_since`: what runs now counts since then, None if nothing runs."""

    since: datetime
    until: datetime
    verdicts: int
    written: Written
    live_since: datetime | None


def backfill(  # noqa: PLR0913 - one argument an option
    settings: Settings,
    out: TextIO,
    *,
    view: str = "prod",
    since: str = "30d",
    until: str | None = None,
    step: str = "1m",
    check: str | None = None,
    labels: Mapping[str, str] | None = None,
    tell: Tell = lambda _text, _share: None,
) -> Backfilled:
    """Write the verdicts and values of the past as OpenMetrics; raises ConfigError.

    `since` and `until`: a duration before now or a time; `until` is else the moment at
    which the sidecar that runs began to count, so that nothing is counted twice.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    live_since = counting_since(settings.run_folder)
    # Where nothing runs all that was made by now is in: what this second brought too.
    end = live_since or now + timedelta(seconds=1)
    if until is not None:
        end = before(now, "--until", until)
    start = before(now, "--since", since)
    if start >= end:
        msg = f"nothing is between --since ({start.isoformat()}) and the end ({end.isoformat()})"
        raise ConfigError(msg)
    seen = read_side_of(settings, view).view
    if check is not None:
        require_check(settings, seen, check)
    with tempfile.TemporaryDirectory(prefix="evalspan-backfill-") as folder:
        history = History(
            metrics_of(settings),
            Path(folder),
            until=end,
            step=_step(step),
            expire_after=settings.metrics.expire_after,
        )
        verdicts = _read(history, seen, check, (start, end), tell)
        written = _write(history, out, labels or {}, tell)
    return Backfilled(start, end, verdicts, written, live_since)


def _read(
    history: History,
    view: View,
    check: str | None,
    span: tuple[datetime, datetime],
    tell: Tell,
) -> int:
    start, end = span
    days = set(view.scan(SCORES).select("day").unique().collect()["day"])
    read = 0
    for first, last in _chunks(start, end):
        if days.isdisjoint({first.date(), last.date()}):
            continue
        rows = _rows(view, check, first, last, end)
        history.add(rows)
        read += rows.height
        tell(f"reading {first:%Y-%m-%d}", (last - start) / (end - start) / 2)
    return read


def _chunks(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        # Whole hours: no step of a minute, or of what an hour has whole ones of, is cut in two.
        following = (start + _CHUNK).replace(minute=0, second=0, microsecond=0)
        yield start, min(following, end)
        start = following


def _rows(
    view: View, check: str | None, first: datetime, last: datetime, end: datetime
) -> pl.DataFrame:
    """Return the verdicts on spans of this time that were made before the end.

    Later ones were counted by what runs since then.
    """
    scores = view.scores(since=first, until=last)
    if check is not None:
        scores = scores.filter(pl.col("check") == check)
    made = pl.col("evaluated_time").is_null() | (pl.col("evaluated_time") < end)
    dimensions = (name for name in view.dimensions if name not in BUILT_IN)
    columns = (*_OF_SCORES, *BUILT_IN.values(), *dimensions, "trace_id", "time")
    return scores.filter(made).select(columns).collect()


def _write(history: History, out: TextIO, labels: Mapping[str, str], tell: Tell) -> Written:
    written = Written(0, 0)
    for number, done in enumerate(history.write(out, labels), start=1):
        written = done
        tell("writing", 0.5 + number / history.series / 2)
    return written


def counting_since(run_folder: Path) -> datetime | None:
    """Return when the pipeline that runs on this folder began to count, None if none does."""
    try:
        descriptor = os.open(run_folder / "pipeline.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # its holder wrote its id into the file when it began
        return datetime.fromtimestamp(int(os.fstat(descriptor).st_mtime), UTC)
    finally:
        os.close(descriptor)
    return None


def _step(text: str) -> timedelta:
    step = duration("--step", text)
    if step < timedelta(seconds=1) or step % timedelta(seconds=1):
        msg = f"--step: expected whole seconds, not {text!r}"
        raise ConfigError(msg)
    return step

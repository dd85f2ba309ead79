"""Detect: did a score change, where, and since when?

In: a frame with one row per verdict of one check: ``time`` (Datetime µs UTC), ``score`` (0 to 1,
null is no verdict), ``weight`` (sampling weight, default 1), ``trace_id``, ``cluster`` (rows that
hang together, may be null), ``revision`` of the evaluator (may be left out) and one text column
per dimension. Out: one row per change with its state (open, worsening, recovered or resolved)
and the columns of :data:`SCHEMA`. Settings: :class:`DetectSettings`.

The detector walks over the history in batches and after each looks at every slice, compared
within strata, at candidate starts on a geometric grid, and at every new version against the one
it replaces. What it says after a batch is a function of the rows until then and of nothing else.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from evalspan.detect._backtest import (
    DROPS,
    Backtest,
    Planted,
    Together,
    Trial,
    backtest,
    largest_slices,
)
from evalspan.detect._memory import Memory
from evalspan.detect._rows import RANKING, SCHEMA, build, ranking
from evalspan.detect._segments import change_points
from evalspan.detect._settings import BaselineSettings, DetectSettings
from evalspan.detect._stream import encode, ordered
from evalspan.detect._walk import Walker

__all__ = [
    "DROPS",
    "RANKING",
    "SCHEMA",
    "Backtest",
    "BaselineSettings",
    "DetectSettings",
    "Memory",
    "Need",
    "Planted",
    "Step",
    "Together",
    "Trial",
    "backtest",
    "change_points",
    "detect",
    "largest_slices",
    "need",
    "rank",
    "walk",
]


class Need(NamedTuple):
    """What is missing before there can be a verdict: rows, history, rows of a pinned baseline."""

    rows: int
    history: timedelta
    baseline: int = 0


class Step(NamedTuple):
    """The states after one batch: ``ended`` its end, ``states`` a frame of :data:`SCHEMA`."""

    ended: datetime
    states: pl.DataFrame


def detect(
    scores: pl.DataFrame, settings: DetectSettings, name: str = "", memory: Memory | None = None
) -> pl.DataFrame:
    """States after the last batch of the history; an empty frame where there is too little.

    ``name`` (of the check) enters the ids. With the ``memory`` of an earlier look at the stream
    only the batches that are new are judged. Raises ValueError on scores outside 0 to 1.
    """
    rows = ordered(scores)
    walker = Walker(encode(rows, settings), settings)
    if memory is not None:
        memory.resume(walker, rows)
    for _ in walker.steps():
        pass
    if memory is not None:
        memory.keep(walker, rows)
    return build(walker, len(walker.stream.ends) - 1, name)


def walk(scores: pl.DataFrame, settings: DetectSettings, name: str = "") -> Iterator[Step]:
    """The states after each batch in turn, as they would have been said at its end."""
    walker = Walker(encode(scores, settings), settings)
    for batch in walker.steps():
        end = int(walker.stream.ends[batch])
        yield Step(
            datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=end),
            build(walker, batch, name),
        )


def rank(scores: pl.DataFrame, settings: DetectSettings) -> pl.DataFrame:
    """Slices by the evidence that they fell, most first, whether or not it makes an alarm.

    Each at its own best candidate start, minus one nat per attribute; a parent that falls
    without its child stands before the child. Columns of :data:`RANKING`.
    """
    walker = Walker(encode(scores, settings), settings)
    walker.look(len(walker.stream.ends) - 1)
    return ranking(walker)


def need(scores: pl.DataFrame, settings: DetectSettings) -> Need:
    """How many more verdicts and how much more history the first comparison of everything takes."""
    stream = encode(scores, settings)
    pinned = settings.baseline
    if not len(stream.time):
        wanted = settings.minimum_sample if pinned else 0
        return Need(2 * settings.minimum_sample, settings.minimum_history, wanted)
    rows = max(0, 2 * settings.minimum_sample - len(stream.time))
    base = max(0, settings.minimum_sample - int(stream.base.sum())) if pinned else 0
    span = timedelta(microseconds=int(stream.time[-1] - stream.time[0]))
    # who pins a time has chosen how much history is enough
    history = timedelta(0) if pinned and pinned.until else settings.minimum_history - span
    return Need(rows, max(timedelta(0), history), base)

"""What the tables lack of what was received, kept up to date at the cost of what is new.

`evalspan ledger` counts everything anew; this one is asked every minute and reads the rows
of the segments since it was asked last, so many segments at once as memory allows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from evalspan import store
from evalspan.model import LEDGER, QUARANTINE, SCORES, SPANS
from evalspan.pipeline._judge import Cursors
from evalspan.pipeline._log import last_done

# So many evaluations are compared at once, in at least one segment: about 60 MiB.
AT_ONCE: Final = 100_000
_VERDICT: Final = ("check", "trace_id", "span_id", "attempt", "segment")
_SPANS: Final = {"received": 1, "duplicate": -1}
# What a check itself says that it did, and what is left of a subject for a judge to do.
_MADE: Final = {"done": 1, "error": 1}
_ASKED: Final = {"expected": 1, "skipped": -1, "done": -1, "error": -1}


class Accounts:
    """Both equations of the ledger as differences, 0 in health, each as of one segment.

    A span is accounted for when its segment is counted and it can be read; the evaluation of
    a check when its verdict can be read; that of a judge when the judge has gone beyond the
    segment at which its trace settled. Of a judge that left the config nothing is asked.
    """

    def __init__(self, log_folder: Path, tables: store.Store, checklists: Iterable[str]) -> None:
        """Count from the first segment on at the first look."""
        self._log_folder = log_folder
        self._tables = tables
        self._cursors = Cursors(log_folder, tables)
        self._done = 0
        self._spans = 0
        self._checks: Counter[str] = Counter()
        self._judges = {name: _Judge() for name in checklists}

    def look(self) -> dict[str, Any]:
        """Return the differences and what judges have still to answer, for JSON."""
        # The judges first: they go no further than what is counted by then.
        until = {name: self._cursors.of(name) for name in self._judges}
        done = last_done(self._log_folder, self._tables)
        for last in self._parts(self._done, done):
            self._add(last)
            for name, judge in self._judges.items():
                judge.go_on(self._tables, name, min(last, until[name]))
        for name, judge in self._judges.items():  # what they answered since, of segments before
            judge.go_on(self._tables, name, until[name])
        unaccounted = dict(self._checks)
        for name, judge in self._judges.items():
            unaccounted[name] = unaccounted.get(name, 0) + judge.unaccounted
        return {
            "spans_unaccounted": self._spans,
            "evaluations_unaccounted": unaccounted,
            "evaluations_pending": {name: judge.pending for name, judge in self._judges.items()},
        }

    def _parts(self, begun: int, done: int) -> Iterator[int]:
        """Yield the last segments of parts that can be compared at once; they follow each other."""
        if begun >= done:
            return
        if done - begun > 1 and self._expected(begun, done) > AT_ONCE:
            middle = (begun + done) // 2
            yield from self._parts(begun, middle)
            yield from self._parts(middle, done)
        else:
            yield done

    def _expected(self, begun: int, done: int) -> int:
        counts = self._tables.scan(LEDGER).filter(*_within(begun, done), outcome="expected")
        return _number(counts.select(pl.col("count").sum()))

    def _add(self, done: int) -> None:
        """Add the segments up to `done`, all of which are written whole."""
        new = _within(self._done, done)
        counts = self._tables.scan(LEDGER).filter(*new)
        counts = counts.group_by("segment", "subject", "outcome").agg(pl.col("count").sum())
        of_traces = self._tables.scan(QUARANTINE).filter(*new, signal="traces")
        self._spans -= _height(self._tables.scan(SPANS).filter(*new)) + _height(of_traces)
        for segment, subject, outcome, count in counts.collect().iter_rows():
            name = subject.removeprefix("check:")
            if subject == "spans":
                self._spans += _SPANS.get(outcome, 0) * count
            elif subject != name:
                self._checks[name] += _MADE.get(outcome, 0) * count
                if name in self._judges:
                    self._judges[name].asked[segment] += _ASKED.get(outcome, 0) * count
        scores = self._tables.scan(SCORES).filter(*new, evaluator="check")
        made = scores.select(_VERDICT).unique().group_by("check").len().collect(engine="streaming")
        for name, count in made.iter_rows():
            self._checks[name] -= count
        self._done = done


class _Judge:
    """What one judge was left with by segment, and what it has answered."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.unaccounted = 0
        self._until = 0

    @property
    def pending(self) -> int:
        """What it has not come to."""
        return self.asked.total()

    def go_on(self, tables: store.Store, name: str, until: int) -> None:
        """Compare the segments that it has gone through since the last time."""
        if until <= self._until:
            return
        passed = [segment for segment in self.asked if segment <= until]
        new = _within(self._until, until)
        made = tables.scan(SCORES).filter(*new, evaluator="judge", check=name, item="")
        self.unaccounted += sum(self.asked.pop(segment) for segment in passed) - _height(made)
        self._until = until


def _within(begun: int, done: int) -> tuple[pl.Expr, pl.Expr]:
    return pl.col("segment") > begun, pl.col("segment") <= done


def _height(frame: pl.LazyFrame) -> int:
    return _number(frame.select(pl.len()))


def _number(frame: pl.LazyFrame) -> int:
    return int(frame.collect(engine="streaming").item())

"""What the tables lack of what was received, kept up to date at the cost of what is new.

`evalspan ledger` counts everything anew; this one is asked every minute and reads the rows
of the segments since it was asked last.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from evalspan import store
from evalspan.model import LEDGER, QUARANTINE, SCORES, SPANS
from evalspan.pipeline._judge import Cursors
from evalspan.pipeline._log import last_done

_VERDICT = ("check", "trace_id", "span_id", "attempt")


class Accounts:
    """Both equations of the ledger as differences, 0 in health, each as of one segment.

    A span is accounted for when its segment is counted and it can be read; the evaluation of
    a judge when the judge has gone beyond the segment at which its trace settled.
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
        if done > self._done:
            self._add(done)
        for name, judge in self._judges.items():
            judge.go_on(self._tables, name, until[name])
        judged = {name: judge.unaccounted for name, judge in self._judges.items()}
        return {
            "spans_unaccounted": self._spans,
            "evaluations_unaccounted": {**self._checks, **judged},
            "evaluations_pending": {name: judge.pending for name, judge in self._judges.items()},
        }

    def _add(self, done: int) -> None:
        """Add the segments up to `done`, all of which are written whole."""
        new = pl.col("segment") > self._done, pl.col("segment") <= done
        counts = self._tables.scan(LEDGER).filter(*new)
        counts = counts.group_by("segment", "subject", "outcome").agg(pl.col("count").sum())
        of_traces = self._tables.scan(QUARANTINE).filter(*new, signal="traces")
        spans = -_height(self._tables.scan(SPANS).filter(*new)) - _height(of_traces)
        checks: Counter[str] = Counter()
        asked: dict[str, Counter[int]] = {name: Counter() for name in self._judges}
        for segment, subject, outcome, count in counts.collect().iter_rows():
            sign = {"received": 1, "duplicate": -1, "expected": 1, "skipped": -1}.get(outcome, 0)
            name = subject.removeprefix("check:")
            if subject == "spans":
                spans += sign * count
            elif name in asked:
                asked[name][segment] += sign * count
            elif subject != name:
                checks[name] += sign * count
        scores = self._tables.scan(SCORES).filter(*new, evaluator="check")
        made = scores.select(_VERDICT).unique().group_by("check").len().collect()
        for name, count in made.iter_rows():
            checks[name] -= count
        for name, segments in asked.items():
            self._judges[name].asked += segments
        for name, count in checks.items():
            self._checks[name] += count  # one by one: a sum of counters leaves out what is below 0
        self._spans += spans
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
        new = pl.col("segment") > self._until, pl.col("segment") <= until
        made = tables.scan(SCORES).filter(*new, evaluator="judge", check=name, item="")
        self.unaccounted += sum(self.asked.pop(segment) for segment in passed) - _height(made)
        self._until = until


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())

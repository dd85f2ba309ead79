"""Count the verdicts of judges: another process commits them, this one shows the metrics."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from evalspan import store
from evalspan.metrics import Metrics
from evalspan.model import SCORES
from evalspan.pipeline._judge import Cursors
from evalspan.pipeline._write import widen

EVERY_SECONDS: Final = 1.0


class JudgeCounts:
    """Counts each commit of a judge once; what was committed before the start counts as seen."""

    def __init__(
        self,
        log_folder: Path,
        tables: store.Store,
        shown: Metrics,
        checklists: Sequence[str],
        dimensions: Sequence[str],
    ) -> None:
        """Begin where the judges are now."""
        self._cursors = Cursors(log_folder, tables)
        self._tables = tables
        self._shown = shown
        self._checklists = tuple(checklists)
        self._dimensions = dimensions
        self._seen: dict[str, int] = self._committed()
        self._next_look = 0.0

    def _committed(self) -> dict[str, int]:
        """Return checklist → last segment committed."""
        return {name: self._cursors.of(name) for name in self._checklists}

    def look(self) -> None:
        """Count what was committed since the last look, at most once a second."""
        if not self._checklists or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + EVERY_SECONDS
        for name, last in self._committed().items():
            seen = self._seen.get(name, 0)
            if last > seen:
                self._count(name, seen, last)
                self._seen[name] = last

    def _count(self, checklist: str, seen: int, last: int) -> None:
        rows = self._tables.scan(SCORES).filter(
            pl.col("segment") > seen,
            pl.col("segment") <= last,
            pl.col("evaluator") == "judge",
            pl.col("check") == checklist,
        )
        scores = rows.collect()
        with self._shown.whole():
            self._shown.count_scores(widen(scores, self._dimensions))
            for outcome, number in outcomes(scores).items():
                labels = {"check": checklist, "outcome": outcome, "reason": ""}
                self._shown.count("evalspan_evaluations", labels, number)


def outcomes(scores: pl.DataFrame) -> Mapping[str, int]:
    """Return how many spans a judge answered (done) and how many it could not (error)."""
    spans = scores.group_by("trace_id", "span_id", "attempt").agg(
        broken=pl.col("error").is_not_null().any(),
    )
    broken = int(spans["broken"].sum())
    return {k: n for k, n in (("done", spans.height - broken), ("error", broken)) if n}

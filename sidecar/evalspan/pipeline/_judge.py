"""Ask the judges, with a cursor of their own: they hold up neither storing nor checks.

What has settled since the last commit of a checklist is read back from the
tables and put together again as it settled.
"""

import asyncio
from typing import Final

import polars as pl
import pyarrow as pa

from evalspan import evaluate, llm, store, wal
from evalspan.model import EVENTS, SCORES, SETTLED, SPANS
from evalspan.pipeline._build import checklists_of, settler_of
from evalspan.pipeline._settings import Settings

# So many traces are put together and judged before their verdicts are committed.
TRACES_PER_STEP: Final = 200


class Judging:
    """Answers the checklists of the config for what has settled."""

    def __init__(
        self,
        settings: Settings,
        tables: store.Store,
        ask: llm.Ask | None = None,
    ) -> None:
        """Ask the model API of the settings unless `ask` is given."""
        self._settings = settings
        self._tables = tables
        self._checklists = checklists_of(settings)
        price = evaluate.Prices(settings.prices)
        self._ask = ask or llm.Anthropic(settings.llm, price=price)

    def step(self) -> bool:
        """Judge the next traces of each checklist; returns whether there were any."""
        if not self._checklists:
            return False
        app = wal.log_id(self._settings.log_folder)
        if app is None:
            return False
        judged = [self._judge(app, name) for name in self._checklists]
        return any(judged)

    def _judge(self, log_id: str, checklist: str) -> bool:
        app = f"{log_id}:judge:{checklist}"
        done = self._tables.committed(SCORES, app)
        settled = self._next(done)
        if settled.is_empty():
            return False
        last = int(settled["segment"][-1])
        judged = asyncio.run(
            evaluate.judge(
                self._frame(settled),
                self._checklists[checklist],
                self._ask,
                dimensions=tuple(self._settings.dimensions),
                segment=last,
            ),
        )
        self._tables.commit(SCORES, judged.scores, app, last)
        return True

    def _next(self, done: int) -> pl.DataFrame:
        """Return SETTLED of the next whole segments, about TRACES_PER_STEP traces."""
        later = self._tables.scan(SETTLED).filter(pl.col("segment") > done)
        rows = later.sort("segment").head(TRACES_PER_STEP + 1).collect()
        if rows.height <= TRACES_PER_STEP:
            return rows
        whole = rows.filter(pl.col("segment") < pl.col("segment").max())
        if not whole.is_empty():
            return whole
        segment = rows["segment"][0]
        return self._tables.scan(SETTLED).filter(pl.col("segment") == segment).collect()

    def _frame(self, settled: pl.DataFrame) -> pl.DataFrame:
        """Put the traces together again: content, dimensions, duplicates."""
        ids = settled["trace_id"].unique().to_list()
        last = int(settled["segment"][-1])
        wanted = pl.col("trace_id").is_in(ids) & (pl.col("segment") <= last)
        spans = self._rows(SPANS.schema, self._tables.scan(SPANS).filter(wanted))
        events = self._rows(EVENTS.schema, self._tables.scan(EVENTS).filter(wanted))
        settler = settler_of(self._settings, None)
        now_us = int(settled["settled_time"].dt.epoch("us").sort()[-1])
        first = settler.push(spans, events, now_us, last)
        rest = settler.flush(now_us, last)
        frame = pl.concat([first.spans, rest.spans]).drop("attempt")
        return self._of_attempt(frame, settled)

    def _of_attempt(self, frame: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
        """Keep the spans that belong to the attempts in `settled`, and say which attempt."""
        every = self._tables.scan(SETTLED).filter(
            pl.col("trace_id").is_in(settled["trace_id"].unique().to_list()),
        )
        attempts = every.select("trace_id", "attempt", settled_segment="segment").collect()
        first = (
            frame.select("trace_id", "span_id", "content", "segment")
            .join(attempts, on="trace_id")
            .filter(pl.col("segment") <= pl.col("settled_segment"))
            .group_by("trace_id", "span_id", "content")
            .agg(pl.col("attempt").min())
        )
        wanted = settled.select("trace_id", "attempt")
        first = first.join(wanted, on=["trace_id", "attempt"], how="semi")
        return frame.join(first, on=["trace_id", "span_id", "content"])

    @staticmethod
    def _rows(schema: pa.Schema, frame: pl.LazyFrame) -> pa.Table:
        return frame.select(schema.names).collect().to_arrow().cast(schema)

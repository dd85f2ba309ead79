"""Ask the judges, with a cursor of their own: they hold up neither storing nor checks.

What has settled since the last commit of a checklist is read back from the
tables and put together again as it settled.
"""

import asyncio
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from evalspan import evaluate, llm, store, wal
from evalspan.model import EVENTS, LEDGER, SCORES, SETTLED, SPANS, Table
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
        self._cursors = Cursors(settings.log_folder, tables)
        self._runner = asyncio.Runner()  # one loop for all steps: connections stay open

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
        app = judge_app(log_id, checklist)
        settled = self._next(checklist, self._cursors.of(checklist))
        if settled.is_empty():
            return False
        last = int(settled["segment"][-1])
        judged = self._runner.run(
            evaluate.judge(
                self._frame(settled),
                self._checklists[checklist],
                self._ask,
                dimensions=tuple(self._settings.dimensions),
                segment=last,
            ),
        )
        self._tables.commit(SCORES, _as_settled(judged.scores, settled), app, last)
        return True

    def _next(self, checklist: str, done: int) -> pl.DataFrame:
        """Return SETTLED of the next whole segments, about TRACES_PER_STEP traces.

        Only segments whose ledger expects something of this checklist: what settled
        before it was configured is not judged.
        """
        expected = self._tables.scan(LEDGER).filter(
            pl.col("segment") > done,
            pl.col("subject") == f"check:{checklist}",
            pl.col("outcome") == "expected",
        )
        later = self._tables.scan(SETTLED).filter(pl.col("segment") > done)
        later = later.join(expected.select("segment").unique(), on="segment", how="semi")
        rows = later.sort("segment", "trace_id").collect()
        if rows.height <= TRACES_PER_STEP:
            return rows
        last = max(rows["segment"][TRACES_PER_STEP - 1], rows["segment"][0])
        whole = rows.filter(pl.col("segment") < last)
        return whole if whole.height else rows.filter(pl.col("segment") == last)

    def _frame(self, settled: pl.DataFrame) -> pl.DataFrame:
        """Put the traces together again as they settled: content, dimensions, what counts."""
        ids = settled["trace_id"].unique().to_list()
        wanted = pl.col("trace_id").is_in(ids) & (pl.col("segment") <= settled["segment"].max())
        spans = self._tables.scan(SPANS).filter(wanted).collect()
        events = self._tables.scan(EVENTS).filter(wanted).collect()
        before = self._tables.scan(SETTLED).filter(wanted).select("trace_id", "segment").collect()
        parts = [
            self._of_segment(rows, spans, events, before)
            for rows in settled.partition_by("segment", maintain_order=True)
        ]
        return pl.concat(parts)

    def _of_segment(
        self,
        settled: pl.DataFrame,
        spans: pl.DataFrame,
        events: pl.DataFrame,
        before: pl.DataFrame,
    ) -> pl.DataFrame:
        """Return the spans of the attempts in `settled`, which settled at one segment."""
        segment = int(settled["segment"][0])
        now_us = int(settled["settled_time"].dt.epoch("us")[0])
        here = pl.col("segment") <= segment
        known = settled.select("trace_id")
        settler = settler_of(self._settings, None)
        first = settler.push(
            _arrow(spans.filter(here).join(known, on="trace_id", how="semi"), SPANS),
            _arrow(events.filter(here).join(known, on="trace_id", how="semi"), EVENTS),
            now_us,
            segment,
        )
        frame = pl.concat([first.spans, settler.flush(now_us, segment).spans]).drop("attempt")
        earlier = before.filter(pl.col("segment") < segment).group_by("trace_id").max()
        facts = settled.select("trace_id", "attempt", "duplicates").join(
            earlier.rename({"segment": "earlier"}),
            on="trace_id",
            how="left",
        )
        late = pl.col("segment") > pl.col("earlier").fill_null(0)
        doubled = pl.col("span_id").is_in(pl.col("duplicates"))
        chosen = (pl.len().over("trace_id", "span_id") == 1) | pl.col("counts")
        return (
            frame.join(facts, on="trace_id")
            .filter(late)
            .with_columns(counts=~doubled & chosen)
            .drop("earlier", "duplicates")
        )


class Cursors:
    """How far the judges have come, whatever log it was that they began with."""

    def __init__(self, log_folder: Path, tables: store.Store) -> None:
        """Look at these tables."""
        self._log_folder = log_folder
        self._tables = tables
        self._before: dict[tuple[str | None, str], int] = {}

    def of(self, checklist: str) -> int:
        """Return the last segment of which the verdicts of a checklist are committed; 0 if none.

        Under a new log none is yet; its segments count on from those of the log before.
        """
        log_id = wal.log_id(self._log_folder)
        done = self._tables.committed(SCORES, judge_app(log_id, checklist)) if log_id else 0
        if done:
            return done
        key = log_id, checklist  # a log may begin anew while this process lives
        if key not in self._before:
            of_judge = pl.col("evaluator") == "judge", pl.col("check") == checklist
            last = self._tables.scan(SCORES).filter(*of_judge).select(pl.col("segment").max())
            self._before[key] = int(last.collect().item() or 0)
        return self._before[key]


def judge_app(log_id: str, checklist: str) -> str:
    """Return the app id under which the verdicts of a checklist are committed."""
    return f"{log_id}:judge:{checklist}"


def _as_settled(scores: pa.Table, settled: pl.DataFrame) -> pa.Table:
    """Return the verdicts, each with the segment at which its trace settled."""
    keys = ["trace_id", "attempt"]
    segments = settled.select(*keys, "segment").unique(keys, keep="last", maintain_order=True)
    rows = pl.DataFrame(scores.select(keys)).join(
        segments, on=keys, how="left", maintain_order="left"
    )
    at = scores.schema.get_field_index("segment")
    return scores.set_column(at, SCORES.schema.field("segment"), rows["segment"].to_arrow())


def _arrow(frame: pl.DataFrame, table: Table) -> pa.Table:
    return frame.select(table.schema.names).to_arrow().cast(table.schema)

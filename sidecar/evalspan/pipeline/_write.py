"""The write side: closed segments in, committed tables and counted metrics out.

A plain loop over segments in order. What it does with a segment depends only on
the segments before it, so that replaying them after a crash gives the same
rows, and commits that were made are skipped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from evalspan import decode, evaluate, normalize, settle, store, wal
from evalspan.metrics import Metrics
from evalspan.model import EVENTS, LEDGER, QUARANTINE, SCORES, SETTLED, SPANS, Table
from evalspan.pipeline._held import Held
from evalspan.pipeline._poison import Poison

# The way of a segment, in order; a test compares it with the doors of the rooms.
STAGES = ("receive", "wal", "decode", "normalize", "store", "settle", "evaluate", "metrics")

Count = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one segment."""

    segment: int
    spans: int
    log_records: int
    scores: int
    settled: int


@dataclass(slots=True)
class _Taken:
    """The segment in hand: what is to be written of it, kept until all of it is."""

    number: int
    closed_us: int
    now: datetime
    quarantine: pa.Table
    spans: pa.Table
    events: pa.Table
    counts: list[Count]
    settlement: settle.Settlement | None = None
    evaluated: evaluate.Evaluated | None = None
    fresh: bool | None = None
    """Whether LEDGER did not have it before the first try to write it there."""

    @property
    def rows(self) -> tuple[tuple[Table, pa.Table], ...]:
        """What is written before anything settles."""
        return ((QUARANTINE, self.quarantine), (SPANS, self.spans), (EVENTS, self.events))


class WriteSide:
    """Turns closed segments into rows, in order, each exactly once."""

    def __init__(  # noqa: PLR0913 - one argument a room
        self,
        log_folder: Path,
        tables: store.Store,
        settler: Callable[[pa.Table | None, int], settle.Settler],
        evaluator: evaluate.Evaluator,
        *,
        dimensions: Sequence[str],
        cost_usd: Callable[[pl.DataFrame], pl.Series],
        duplicate_window: timedelta,
        remembered_traces: int,
        expect: Callable[[pl.DataFrame], list[Count]] = lambda _: [],
        metrics: Metrics | None = None,
        observe: Callable[[str], Any] | None = None,
        unread: Callable[[], Mapping[str, int]] = dict,
        poison: Poison,
    ) -> None:
        """Wire the rooms and remember what the tables hold from before the log.

        `remembered_traces`: how many settled traces the settler remembers. `expect`: settled
        spans → what judges will have to do with them. `unread`: how many log records gave
        their spans no content since it was asked last, by error. `poison` says what is left
        out of a segment.
        """
        self._log_folder = log_folder
        self._tables = tables
        self._evaluator = evaluator
        self._dimensions = dimensions
        self._cost_usd = cost_usd
        self._window = duplicate_window
        self._remembered_traces = remembered_traces
        self._expect = expect
        self._metrics = metrics
        self._observe = observe or _unobserved
        self._unread = unread
        self._poison = poison
        self._held = Held(poison)
        self._seen_spans = store.Duplicates(("trace_id", "span_id"), duplicate_window)
        self._seen_events = store.Duplicates(
            ("trace_id", "span_id", "time", "name", "index"),
            duplicate_window,
        )
        self._next = 0
        self._in_hand: _Taken | None = None
        self._new_settler = settler
        self._settler = settler(None, 0)
        self._begun = False
        there = wal.segments(log_folder)
        self._begin(next(iter(there), None))
        self._caught_up = there[-1].number + 1 if there else 0
        self._pending_spans = self._settler.waiting

    def _begin(self, first: wal.Segment | None) -> None:
        """Recover what was before the first segment, as soon as there is one."""
        if not self._begun and first is not None:
            written = (self._tables.committed(t, first.log_id) for t in (SETTLED, LEDGER))
            self._settler = self._new_settler(self._recover(first), max(written))
            self._begun = True

    def _recover(self, first: wal.Segment) -> pa.Table | None:
        """Remember the rows from before a segment; return SETTLED so far."""
        if not self._tables.exists(LEDGER):
            return None
        now = datetime.fromtimestamp(wal.close_time(first) / 1e9, UTC)
        for table, seen in ((SPANS, self._seen_spans), (EVENTS, self._seen_events)):
            self._remember(table, seen, first.number, now)
        return self._settled_before(first.number)

    def _settled_before(self, first: int) -> pa.Table:
        """Return SETTLED since a segment, and before it as much as a settler remembers.

        So a late span is one to a settler that began anew if it is one to a settler that did not.
        """
        settled = self._tables.scan(SETTLED)
        newest = settled.select("segment").top_k(self._remembered_traces, by="segment")
        since = newest.min().collect(engine="streaming").item()
        rows = settled.filter(pl.col("segment") >= min(first, since or first)).collect()
        return rows.select(SETTLED.schema.names).to_arrow().cast(SETTLED.schema)

    def _remember(self, table: Table, seen: store.Duplicates, below: int, now: datetime) -> None:
        """Remember the rows of earlier segments that the first one here may repeat."""
        # A second more than the window, which is cut to seconds.
        since = now - self._window - timedelta(seconds=1)
        rows = self._tables.scan(table).filter(
            pl.col("segment") < below,
            pl.col("received_time") >= since,
        )
        seen.remember(rows.select(*seen.ids, "content", "received_time").collect(), now)

    def waiting(self) -> list[wal.Segment]:
        """Return the closed segments that this process has not gone through."""
        return [s for s in wal.segments(self._log_folder) if s.number >= self._next]

    def step(self, segment: wal.Segment, *, flush: bool = False) -> Done:
        """Take one segment to its end; `flush` settles every trace with it.

        Raises StoreError or OSError where something could not be written or read;
        the same segment can then be given again and goes on from there.
        """
        self._begin(segment)
        app, number = segment.log_id, segment.number
        taken = self._taken(segment)
        with self._observe("store"):
            self._commit(taken.rows, app, number)
        settled = self._settled(taken, segment, flush=flush)
        evaluated = self._evaluated(taken, segment, settled)
        with self._observe("commit"):
            self._commit(((SETTLED, settled.settled), (SCORES, evaluated.scores)), app, number)
            counts = [*taken.counts, *_traces(settled), *evaluated.counts]
            counts += self._expect(settled.spans)
            if taken.fresh is None:  # a try that fails may have written it all the same
                taken.fresh = self._tables.committed(LEDGER, app) < number
            self._account(app, number, taken.now, counts)
        self._publish(counts if taken.fresh else (), settled, evaluated)
        self._next, self._in_hand = number + 1, None
        return Done(
            number,
            taken.spans.num_rows,
            _log_records(taken.events),
            evaluated.scores.num_rows,
            settled.settled.num_rows,
        )

    def _taken(self, segment: wal.Segment) -> _Taken:
        """Decode a segment and drop its repeats, once however often it is tried to be written.

        Whoever looks a second time finds that every row came before.
        """
        if self._in_hand is not None and self._in_hand.number == segment.number:
            return self._in_hand
        closed = wal.close_time(segment)
        now = datetime.fromtimestamp(closed / 1e9, UTC)
        aside = self._poison.aside(segment)
        with self._observe("decode"), self._poison.watch(segment, "decode"):
            decoded = decode.decode(list(wal.read(segment)), segment.number, aside)
        with self._observe("normalize"), self._poison.watch(segment, "normalize"):
            rows = normalize.normalize(decoded)
        with self._observe("store"):
            spans = _new(rows.spans, self._seen_spans, now)
            events = _new(rows.events, self._seen_events, now)
        self._in_hand = _Taken(
            segment.number,
            closed // 1000,
            now,
            decoded.quarantine,
            spans,
            events,
            _counts(decoded, rows, spans, events),
        )
        return self._in_hand

    def _settled(self, taken: _Taken, segment: wal.Segment, *, flush: bool) -> settle.Settlement:
        """Settle, once however often it is tried to be written."""
        if taken.settlement is None:
            closed_us, number = taken.closed_us, taken.number
            spans, events = self._held.hold(segment, taken.spans, taken.events, closed_us)
            with self._observe("settle"), self._poison.watch(segment, "settle"):
                settlement = self._settler.push(spans, events, closed_us, number)
                if flush:
                    settlement = _both(settlement, self._settler.flush(closed_us, number))
            unread = self._unread().items()
            taken.counts += (("log_records", "unread", why, n) for why, n in unread)
            taken.settlement = settlement
        return taken.settlement

    def _evaluated(
        self, taken: _Taken, segment: wal.Segment, settled: settle.Settlement
    ) -> evaluate.Evaluated:
        """Evaluate, once however often it is tried to be written."""
        if taken.evaluated is None:
            spans, context = settled.spans, settled.context
            why = self._poison.unevaluated(segment, spans, context)
            good = ~pl.col("trace_id").is_in(pl.Series(list(why), dtype=pl.String).implode())
            bad = spans.filter(~good) if why else spans.clear()
            if why:
                spans, context = spans.filter(good), context.filter(good)
            with self._observe("evaluate"), self._poison.watch(segment, "evaluate"):
                evaluated = self._evaluator.evaluate(spans, context, segment=taken.number)
            for left_out, reasons in (self._held.given_up(taken.number), (bad, why)):
                if left_out.height:
                    with self._poison.watch(segment, "refuse"):
                        evaluated += self._evaluator.refuse(left_out, reasons, segment=taken.number)
            taken.evaluated = evaluated
        return taken.evaluated

    def _commit(self, rows: Iterable[tuple[Table, pa.Table]], app: str, segment: int) -> None:
        for table, part in rows:
            if part.num_rows:
                self._tables.commit(table, part, app, segment)

    def forget(self) -> int:
        """Delete the segments that no pending trace needs; returns how many."""
        oldest = (self._settler.oldest_segment, self._held.oldest_segment, self._next)
        below = min(number for number in oldest if number is not None)
        self._poison.forget(below)
        return wal.remove(self._log_folder, below)

    @property
    def pending_spans(self) -> int | None:
        """Spans of traces that have not settled, as of the last segment that is counted.

        None while the segments that were there at the start are gone through: what waits in
        memory is less than what waits, or more than it was before the start.
        """
        return self._pending_spans if self._next >= self._caught_up else None

    def _account(self, app: str, segment: int, now: datetime, counts: Sequence[Count]) -> None:
        rows = [
            {
                "segment": segment,
                "time": now,
                "subject": subject,
                "outcome": outcome,
                "reason": reason,
                "count": count,
            }
            for subject, outcome, reason, count in counts
            if count
        ]
        table = pa.Table.from_pylist(rows, schema=LEDGER.schema)
        self._commit(((LEDGER, table),), app, segment)

    def _publish(
        self,
        counts: Sequence[Count],
        settled: settle.Settlement,
        evaluated: evaluate.Evaluated,
    ) -> None:
        """Show what became of a segment, all at once; without counts it was counted before.

        A scrape between would show that nothing is pending before it shows the verdicts.
        """
        if self._metrics is None:
            self._pending_spans = self._settler.waiting
            return
        with self._observe("metrics"), self._metrics.whole():
            if counts:
                self._count(counts, settled, evaluated)
            self._pending_spans = self._settler.waiting

    def _count(
        self,
        counts: Sequence[Count],
        settlement: settle.Settlement,
        evaluated: evaluate.Evaluated,
    ) -> None:
        assert self._metrics is not None  # noqa: S101 - the caller looked
        for subject, outcome, reason, count in counts:
            name, labels = _metric(subject, outcome, reason)
            self._metrics.count(name, labels, count)
        frame = settlement.spans
        self._metrics.count_calls(frame, self._cost_usd(frame))
        scores = pl.DataFrame(evaluated.scores)
        self._metrics.count_scores(widen(scores, self._dimensions))


def widen(scores: pl.DataFrame, dimensions: Sequence[str]) -> pl.DataFrame:
    """Return scores with a text column for each dimension."""
    names = [n for n in dimensions if n not in scores.columns]
    return scores.with_columns(pl.col("dimensions").map.get(n).alias(n) for n in names)


def _new(table: pa.Table, seen: store.Duplicates, now: datetime) -> pa.Table:
    """Return the rows that did not come before."""
    columns = [*seen.ids, "content", "received_time"]
    repeated = seen.mark(pl.DataFrame(table.select(columns)), now)
    return table.filter((~repeated).to_arrow()) if repeated.any() else table


def _counts(
    decoded: decode.Decoded,
    rows: normalize.Normalized,
    spans: pa.Table,
    events: pa.Table,
) -> list[Count]:
    logs, new_logs = _log_records(rows.events), _log_records(events)
    counts: list[Count] = [
        ("spans", "received", "", decoded.received_spans),
        ("spans", "stored", "", spans.num_rows),
        ("spans", "duplicate", "", rows.spans.num_rows - spans.num_rows),
        ("log_records", "received", "", decoded.received_log_records),
        ("log_records", "stored", "", new_logs),
        ("log_records", "duplicate", "", logs - new_logs),
    ]
    bad = pl.DataFrame(decoded.quarantine.select(["signal", "reason"]))
    for signal, reason, count in bad.group_by("signal", "reason").len().iter_rows():
        subject = "spans" if signal == "traces" else "log_records"
        counts.append((subject, "quarantined", reason, count))
    return counts


def _traces(settlement: settle.Settlement) -> list[Count]:
    """Return what settled, so that a segment of which something is counted has a LEDGER row."""
    reasons = pl.DataFrame(settlement.settled)["reason"].value_counts(sort=True)
    return [("traces", "settled", reason, count) for reason, count in reasons.iter_rows()]


def _both(first: settle.Settlement, second: settle.Settlement) -> settle.Settlement:
    return settle.Settlement(
        pl.concat([first.spans, second.spans]),
        pl.concat([first.context, second.context]),
        pa.concat_tables([first.settled, second.settled]),
        first.unused_log_records + second.unused_log_records,
    )


def _log_records(events: pa.Table) -> int:
    return pc.sum(pc.equal(events.column("source"), "log")).as_py() or 0


def _metric(subject: str, outcome: str, reason: str) -> tuple[str, Mapping[str, str]]:
    if subject.startswith("check:"):
        labels = {"check": subject.removeprefix("check:"), "outcome": outcome, "reason": reason}
        return "evalspan_evaluations", labels
    if subject == "traces":
        return "evalspan_traces_settled", {"reason": reason}
    return f"evalspan_{subject}", {"outcome": outcome}


class _unobserved:  # noqa: N801 - used as a context manager
    def __init__(self, _stage: str) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

"""Settle: wait until a trace is complete, then hand it over as a whole.

In: SPANS and EVENTS of one segment after the other, and the time each segment
was closed. Out: the spans of the traces that settled, and SETTLED.

What comes out depends on the sequence of pushes and on nothing else: "now" is
the time at which the segment was closed, so replaying the segments gives the
same settlements. A trace settles when none of its spans arrived for `idle`, or
when its first one arrived `max_age` ago. On the way out

- content that came as log records fills the empty columns of its span,
- prompt name and version, conversation, user and the configured dimensions come
  down from the spans above, cut to `model.LONGEST_LABEL` characters (see `_dimensions`),
- of the LLM spans that report one call, one counts (see `_duplicates`); reports in
  different traces are recognised only if both traces settle at the same push.

Spans that come after their trace settled make a new attempt: `spans` holds the
late ones, `context` the earlier ones of the same traces as far as they are still
kept (`max_age` long, at most `max_kept_spans` and `max_kept_mib`), for questions about the trace as
a whole. Log records that come after their span settled fill nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from evalspan import model
from evalspan.config import ConfigError, Dimension, Duration, Strict
from evalspan.settle._content import Messages, Records, fill
from evalspan.settle._dimensions import inherit
from evalspan.settle._duplicates import counts
from evalspan.settle._lineage import Lineage, Rows, lineage
from evalspan.settle._memory import Memory
from evalspan.settle._own import own_name, resource_name, with_own
from evalspan.settle._waiting import Most, Reason, Ripe, Waiting

__all__ = ["NOT_NEEDED", "Messages", "SettleSettings", "Settlement", "Settler"]

_ADDED: Final = ("attempt", "counts", "root")
# Of these settling asks whether they are there, not what they say.
_PRESENCE: Final = ("input_messages", "output_messages")
# What settling does without once a span has come: two thirds of what it takes in memory.
NOT_NEEDED: Final = ("attributes", "promoted", "links", "resource", "scope", *_PRESENCE)


class SettleSettings(Strict):
    """When a trace is taken as complete."""

    idle: Duration = Field(
        default=timedelta(seconds=10),
        description="A trace settles when none of its spans arrived for this long.",
    )
    max_age: Duration = Field(
        default=timedelta(minutes=5),
        description="A trace settles this long after its first span arrived, whatever still "
        "arrives. Settled spans are kept as long, as context for late ones.",
    )
    max_spans: int = Field(
        default=200_000,
        ge=1,
        description="Most spans that wait; beyond it the oldest traces settle at once.",
    )
    max_kept_spans: int = Field(
        default=50_000,
        ge=0,
        description="Most settled spans that are kept as context for late ones.",
    )
    max_waiting_mib: int = Field(
        default=512,
        ge=1,
        description="Most MiB of spans that wait, and of log records that wait for a span; "
        "beyond it the oldest traces settle at once, whatever their number of spans.",
    )
    max_kept_mib: int = Field(
        default=128,
        ge=0,
        description="Most MiB of settled spans that are kept as context for late ones.",
    )
    max_remembered_traces: int = Field(
        default=100_000,
        ge=1,
        description="Most settled traces whose attempt number is remembered.",
    )


@dataclass(frozen=True, slots=True)
class Settlement:
    """What settled at one push.

    `spans`: the columns of SPANS but `unread` ones, a String column per dimension, `attempt`
    (Int32), `counts` (False for the LLM span that another one stands for) and
    `root` (True at the one root of each trace, which may stand in `context`).
    `context`: earlier spans of the same traces, same columns; they were evaluated
    before. `settled`: SETTLED. `unused_log_records`: records with a span id that
    waited for `max_age`, or were more than `max_spans` or `max_waiting_mib`, and filled nothing.
    """

    spans: pl.DataFrame
    context: pl.DataFrame
    settled: pa.Table
    unused_log_records: int


class Settler:
    """Holds what has not settled yet. Not safe for use by two threads."""

    def __init__(
        self,
        settings: SettleSettings,
        dimensions: Mapping[str, Dimension],
        messages: Messages,
        earlier: pa.Table | None = None,
        done: int = 0,
        *,
        unread: Collection[str] = (),
    ) -> None:
        """Start with nothing waiting.

        `messages` turns EVENTS into columns of SPANS, see `_content.fill`.
        `earlier` is SETTLED as written so far, the segments to be pushed again
        included: a late span continues the count of attempts, and what has settled
        is settled at the same segment again. `done` is the last segment whose settlement
        is written: up to it exactly those traces settle that `earlier` names, since no
        other one could be written any more, whatever the settings are now. `unread`:
        those of NOT_NEEDED that nobody reads of a settled span; they take no memory
        while it waits. Raises ConfigError for a dimension that has the name of a column.
        """
        if taken := {*model.SPANS.schema.names, *_ADDED} & set(dimensions):
            msg = f"dimensions: {min(taken)!r} is a column of the spans already; take another name"
            raise ConfigError(msg)
        self._settings = settings
        self._dimensions = dict(dimensions)
        read = {d.column for d in dimensions.values()}
        unread = [name for name in NOT_NEEDED if name in unread and name not in read]
        self._blanked = [name for name in unread if name in _PRESENCE]
        self._dropped = [name for name in unread if name not in _PRESENCE]
        self._columns = [name for name in model.SPANS.schema.names if name not in self._dropped]
        attributes = [name for name, d in dimensions.items() if d.attribute is not None]
        self._own = [named(n) for n in attributes for named in (own_name, resource_name)]
        self._hidden = [*self._own, *self._blanked]
        self._messages = messages
        self._waiting = Waiting()
        self._records = Records()
        kept = Most(settings.max_kept_spans, settings.max_kept_mib << 20)
        self._memory = Memory(settings.max_remembered_traces, kept)
        self._most = Most(settings.max_spans, settings.max_waiting_mib << 20)
        self._now_us = 0
        self._done = done
        self._before: dict[int, dict[str, Reason]] = {}
        if earlier is not None:
            self._recall(earlier)

    def push(
        self, spans: pa.Table, events: pa.Table, closed_time_us: int, segment: int
    ) -> Settlement:
        """Take a segment's SPANS and EVENTS; return what has settled when it was closed.

        `closed_time_us`: UTC microseconds. Pushes come in the order of segments; an
        empty one lets time pass. Duplicates (same ids, same content) are gone already.
        """
        idle_us, max_age_us = _microseconds(self._settings)
        self._now_us = max(self._now_us, closed_time_us)
        self._waiting.add(self._slim(with_own(spans, self._dimensions)))
        self._records.add(pl.DataFrame(pl.from_arrow(events)))
        self._memory.expire(self._now_us - max_age_us)
        ripe = []
        if segment > self._done:
            ripe = self._waiting.ripe(self._now_us, idle_us, max_age_us, self._most)
        known = {trace.trace_id for trace in ripe}
        before = self._before.pop(segment, {})
        again = self._waiting.again({t: why for t, why in before.items() if t not in known})
        return self._settle([*ripe, *again], segment, self._now_us - idle_us - max_age_us)

    def _slim(self, spans: pa.Table) -> pa.Table:
        """Let go of what nobody reads; of `_PRESENCE`, what they say."""
        for name in self._blanked:
            there = spans.column(name).is_valid()
            nothing = pc.if_else(there, "", pa.scalar(None, pa.string()))
            spans = spans.set_column(spans.schema.get_field_index(name), name, nothing)
        return spans.drop_columns(self._dropped)

    def _blank(self, spans: pl.DataFrame) -> pl.DataFrame:
        """Let go of what log records have filled in of columns that nobody reads."""
        return spans.with_columns(
            pl.when(pl.col(name).is_not_null()).then(pl.lit("")).alias(name)
            for name in self._blanked
        )

    def flush(self, closed_time_us: int, segment: int) -> Settlement:
        """Settle everything that waits, with reason `shutdown`."""
        self._now_us = max(self._now_us, closed_time_us)
        return self._settle(self._waiting.shut(), segment, None)

    @property
    def waiting(self) -> int:
        """Spans whose trace has not settled yet."""
        return len(self._waiting)

    @property
    def oldest_segment(self) -> int | None:
        """First segment to push again after a restart to get to the same state; None if none.

        What these pushes settle once more is the same as before, attempt included.
        """
        parts = (self._waiting, self._records, self._memory)
        found = (part.oldest_segment for part in parts)
        return min((s for s in found if s is not None), default=None)

    def _recall(self, earlier: pa.Table) -> None:
        """Remember attempts, and at which segment each trace settled, whatever the reason.

        A replay begins where something still waits, so it may have only a part of a trace
        that has settled: by its own count that part would settle once more, and later.
        """
        columns = ["trace_id", "attempt", "segment", "reason"]
        rows = pl.DataFrame(pl.from_arrow(earlier.select(columns))).sort("segment", "attempt")
        for trace_id, attempt, segment, reason in rows.iter_rows():
            self._memory.recall(trace_id, attempt, segment)
            self._before.setdefault(segment, {})[trace_id] = reason

    def _settle(self, ripe: list[Ripe], segment: int, expire_us: int | None) -> Settlement:
        spans = self._waiting.take(ripe)
        if spans is None:
            gone = self._expired(expire_us) if expire_us is not None else 0
            return Settlement(self._empty(), self._empty(), model.SETTLED.empty(), gone)
        records = self._records.take([t.trace_id for t in ripe])
        gone = self._expired(expire_us) if expire_us is not None else 0
        spans = fill(spans, records, self._messages)
        attempts = {t.trace_id: self._memory.attempt(t.trace_id, segment) + 1 for t in ripe}
        context = self._memory.earlier([t for t, n in attempts.items() if n > 1])
        done, tree = self._finish(spans, context, attempts)
        new, old = done.head(spans.height), done.slice(spans.height)
        settled = _settled(ripe, attempts, done, tree.trace, spans.height)
        for trace_id, attempt in attempts.items():
            self._memory.note(trace_id, attempt, segment)
        kept = self._blank(new) if records is not None else new
        self._memory.keep(kept, self._now_us, old)
        new, old = new.drop(self._hidden), old.drop(self._hidden)
        return Settlement(new, old, _stamp(settled, self._now_us, segment), gone)

    def _expired(self, before_us: int) -> int:
        return self._records.expire(before_us, self._most)

    def _finish(
        self, spans: pl.DataFrame, context: pl.DataFrame | None, attempts: dict[str, int]
    ) -> tuple[pl.DataFrame, Lineage]:
        """Add dimensions, attempt, counts and root; the rows of `context` come last."""
        if context is not None:
            known = context.select(*self._columns, *self._own, counted="counts")
            spans = pl.concat([spans.with_columns(counted=pl.lit(None, pl.Boolean)), known])
        tree = lineage(spans)
        done = inherit(spans, tree, self._dimensions).select(
            *self._columns,
            *self._own,
            *self._dimensions,
            self._attempt(attempts),
            pl.Series("counts", counts(spans, tree)),
            pl.Series("root", tree.is_root),
        )
        return done, tree

    @staticmethod
    def _attempt(attempts: dict[str, int]) -> pl.Expr:
        later = {trace_id: number for trace_id, number in attempts.items() if number > 1}
        if not later:
            return pl.lit(1, pl.Int32).alias("attempt")
        numbers = pl.col("trace_id").replace_strict(later, default=1, return_dtype=pl.Int32)
        return numbers.alias("attempt")

    def _empty(self) -> pl.DataFrame:
        spans = pl.DataFrame(pl.from_arrow(model.SPANS.empty())).drop(self._dropped, self._blanked)
        return spans.with_columns(
            *(pl.lit(None, pl.String).alias(name) for name in self._dimensions),
            attempt=pl.lit(None, pl.Int32),
            counts=pl.lit(None, pl.Boolean),
            root=pl.lit(None, pl.Boolean),
        )


def _microseconds(settings: SettleSettings) -> tuple[int, int]:
    one = timedelta(microseconds=1)
    return settings.idle // one, settings.max_age // one


def _settled(
    ripe: list[Ripe], attempts: dict[str, int], done: pl.DataFrame, trace: Rows, new: int
) -> pl.DataFrame:
    """Return trace_id, attempt, reason, spans, late_spans, duplicates of each settled trace."""
    first = np.flatnonzero(np.diff(np.maximum.accumulate(trace), prepend=-1))
    counted = pl.DataFrame(
        {
            "trace_id": done["trace_id"].gather(first),
            "spans": np.bincount(trace),
            "new": np.bincount(trace[:new], minlength=len(first)),
        }
    )
    ids = ["trace_id", "span_id"]
    slim = done.select(*ids, "counts")  # picking rows of all columns would cost much more
    for_others = slim.filter(~slim["counts"]).select(ids).unique(maintain_order=True)
    # of two rows with the same ids one counts: their id is none that others stand for
    doubles = for_others.join(slim.filter("counts"), on=ids, how="anti", maintain_order="left")
    doubles = doubles.group_by("trace_id", maintain_order=True).all()
    rows = pl.DataFrame(
        {
            "trace_id": [t.trace_id for t in ripe],
            "attempt": pl.Series([attempts[t.trace_id] for t in ripe], dtype=pl.Int32),
            "reason": [t.reason for t in ripe],
        }
    )
    return (
        rows.join(counted, on="trace_id", how="left", maintain_order="left")
        .join(doubles, on="trace_id", how="left", maintain_order="left")
        .with_columns(
            late_spans=pl.when(pl.col("attempt") > 1).then("new").otherwise(0),
            duplicates=pl.col("span_id").fill_null([]),
        )
    )


def _stamp(settled: pl.DataFrame, now_us: int, segment: int) -> pa.Table:
    stamped = settled.with_columns(
        settled_time=pl.lit(now_us).cast(pl.Datetime("us", "UTC")),
        segment=pl.lit(segment, pl.Int64),
    )
    return stamped.select(model.SETTLED.schema.names).to_arrow().cast(model.SETTLED.schema)

"""One trace as a person looks at it: its spans as a tree, their texts, the verdicts."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Any, Final

import polars as pl

from evalspan import evaluate
from evalspan.config import ConfigError
from evalspan.model import SCORES, SETTLED, SPANS, STRAY_DAY, Table
from evalspan.pipeline._ask import NotFoundError, NothingYetError, read_side_of
from evalspan.pipeline._content import with_content
from evalspan.pipeline._settings import Settings
from evalspan.views import View

_START: Final = re.compile(r"[0-9a-f]{4,32}")
_WHOLE_ID: Final = 32
_LISTED: Final = 10
# Spans that a model is paid for; those around them often report the same tokens again.
_PAID: Final = ("llm", "embedding")
_COLUMNS: Final = (
    *("span_id", "parent_span_id", "role", "name", "agent_name", "tool_name", "service_name"),
    *("start_time", "start_nanos", "duration_ms", "time_to_first_token_ms"),
    *("status", "status_message", "error_type", "finish_reasons"),
    *("provider", "request_model", "response_model", "prompt_name", "prompt_version"),
    *("prompt_hash", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reported_cost_usd", "system_prompt", "input_text", "output_text", "trace_id"),
)
# Filled from log records as well, but not shown: not read.
_NOT_READ: Final = ("input_messages", "output_messages", "tool_definitions")
_VERDICT: Final = (
    *("span_id", "check", "item", "verdict", "value", "reason", "evidence", "error", "skipped"),
    *("evaluator", "about", "revision", "evaluated_time"),
)
_CHANGE: Final = ("id", "check", "direction", "state", "slice", "reason")


def show_trace(settings: Settings, view: str, start: str) -> dict[str, Any]:
    """Return the trace with this id, or the only one whose id starts so.

    `spans` are in the order of a tree, each with its `depth`; `verdicts` those of its spans;
    `regressions` those that name the trace as an example; `settled_time` null until it settled.
    Raises NotFoundError, NothingYetError, ConfigError.
    """
    seen = read_side_of(settings, view).view
    trace_id, days = _find(seen, start)
    narrow = replace(seen, scan=_only(seen.scan, trace_id, days))
    spans = _spans(narrow, evaluate.Prices(settings.prices))
    if spans.is_empty():
        msg = f"the view {view!r} lets nothing of the trace {trace_id} through; see --view prod"
        raise NotFoundError(msg)
    tree = _tree(spans.to_dicts())
    return {
        "trace_id": trace_id,
        "view": view,
        "settled_time": narrow.scan(SETTLED).select(pl.col("settled_time").max()).collect().item(),
        "spans": tree,
        "verdicts": _verdicts(narrow, [span["span_id"] for span in tree]),
        "regressions": _regressions(seen, trace_id),
    }


def _find(view: View, given: str) -> tuple[str, list[date]]:
    """Return the id that starts so, and the days on which its spans began."""
    start = given.strip().lower()
    if not _START.fullmatch(start):
        msg = f"expected the id of a trace, or at least 4 hex digits of its start, not {given!r}"
        raise ConfigError(msg)
    ids = pl.col("trace_id")
    spans = view.scan(SPANS)
    whole = len(start) == _WHOLE_ID
    # A range and not a prefix: the files know the lowest and the highest id in them.
    wanted = spans.filter(ids == start if whole else (ids >= start) & (ids < start + "g"))
    began = pl.col("start_time")
    found = wanted.group_by("trace_id").agg(began.min(), days=began.dt.date().unique())
    rows = found.sort("start_time", "trace_id", descending=True).collect().rows()
    if len(rows) == 1:
        return rows[0][0], rows[0][2]
    if not rows:
        raise _nothing(spans, start)
    newest = (f"\n  {trace_id} of {time:%Y-%m-%d %H:%M:%S}" for trace_id, time, _ in rows)
    listed = "".join(islice(newest, _LISTED))
    more = f"\n  and {len(rows) - _LISTED:,} more" if len(rows) > _LISTED else ""
    msg = f"{len(rows):,} traces have an id that starts with {start!r}, the newest:{listed}{more}"
    raise NotFoundError(msg)


def _nothing(spans: pl.LazyFrame, start: str) -> Exception:
    if spans.head(1).select("trace_id").collect().is_empty():
        return NothingYetError(
            "no span is stored yet: `evalspan ledger` shows what came in and what became of it; "
            "`evalspan serve` takes in what the Collector sends, `evalspan ingest` recorded files"
        )
    return NotFoundError(
        f"no trace has an id that starts with {start!r}; `evalspan explain` and the reports name "
        "traces that fail"
    )


def _only(
    scan: Callable[[Table], pl.LazyFrame], trace_id: str, days: Sequence[date]
) -> Callable[[Table], pl.LazyFrame]:
    """Read one trace; spans and scores are filed under the days on which the spans began."""

    def narrowed(table: Table) -> pl.LazyFrame:
        frame = scan(table).filter(pl.col("trace_id") == trace_id)
        if table.name not in {SPANS.name, SCORES.name}:
            return frame
        return frame.filter(pl.col("day").is_in([*days, STRAY_DAY]))

    return narrowed


def _spans(view: View, prices: evaluate.Prices) -> pl.DataFrame:
    """Return the spans with what came beside them as log records, and what they cost."""
    spans = view.spans().select(_COLUMNS).collect()
    empty = (pl.lit(None, pl.String).alias(name) for name in _NOT_READ)
    spans = with_content(view, spans.with_columns(empty)).drop(_NOT_READ)
    twice = view.duplicates().select("span_id").collect()["span_id"]
    reported = pl.when(pl.col("reported_cost_usd") > 0).then("reported_cost_usd")
    cost = pl.coalesce(prices.cost(spans).alias("cost"), reported)
    return spans.with_columns(
        cost_usd=pl.when(pl.col("role").is_in(_PAID)).then(cost),
        duplicate=pl.col("span_id").is_in(twice.implode()),
    ).drop("trace_id", "reported_cost_usd")


def _tree(spans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the spans, each after its parent and in order of time, with its depth.

    A span whose parent is not there stands at the top. So do children of a span that is its own
    ancestor: ids are what a sender makes of them.
    """
    below: dict[str | None, list[dict[str, Any]]] = {}
    ids = {span["span_id"] for span in spans}
    for span in sorted(spans, key=_time, reverse=True):
        parent = span["parent_span_id"]
        below.setdefault(parent if parent in ids else None, []).append(span)
    ordered: list[dict[str, Any]] = []
    waiting = [(span, 0) for span in below.pop(None, ())]
    while waiting or below:
        if not waiting:
            oldest = min(below, key=lambda parent: _time(below[parent][-1]))
            waiting = [(span, 0) for span in below.pop(oldest)]
        span, depth = waiting.pop()
        ordered.append({**span, "depth": depth})
        waiting += [(child, depth + 1) for child in below.pop(span["span_id"], ())]
    return ordered


def _time(span: Mapping[str, Any]) -> tuple[Any, int]:
    return span["start_time"], span["start_nanos"] or 0


def _verdicts(view: View, order: Sequence[str]) -> list[dict[str, Any]]:
    """Return the verdicts in the order of the spans."""
    place = {span_id: number for number, span_id in enumerate(order)}
    rows = view.scores().select(_VERDICT).collect().sort("check", "item", "evaluated_time")
    return sorted(rows.to_dicts(), key=lambda row: place.get(row["span_id"], len(place)))


def _regressions(view: View, trace_id: str) -> list[dict[str, Any]]:
    """Return the regressions that name the trace as an example, they or one of their causes."""
    names = pl.col("exemplars").list.contains(trace_id)
    causes = view.findings().filter(names).select("regression_id").collect()["regression_id"]
    named = view.regressions().filter(names | pl.col("id").is_in(causes.unique().implode()))
    return named.select(_CHANGE).collect().to_dicts()

"""Which of the LLM spans that report one call counts.

Two spans report the same call
1. if they carry the same response id and overlap in time, in whatever traces of
   the batch (some instrumentors put the second report into a trace of its own), or
2. if one is the nearest LLM ancestor of the other, they overlap in time, name
   the same model and the same tokens, or
3. if they have the same ids: not a repeat, which has the same content too, but what a
   broken sender makes, of LLM spans and others.

Of a group one span counts: one that was counted in an earlier attempt; else the
one with the most content (answer, question, system prompt, tokens); else the
instrumentor's rather than the one that a vendor's SDK makes by itself; else the
outer one, which started first and ended last; else the smaller span id; else the
one that came first.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evalspan.settle._lineage import NOWHERE, Lineage, Rows, codes, nearest

# Scopes of SDKs that make spans without any instrumentor.
NATIVE_SCOPES: Final = ("com.anthropic.sdk.python",)
_CONTENT: Final = ("output_messages", "input_messages", "system_prompt", "output_tokens")


def counts(spans: pl.DataFrame, tree: Lineage) -> NDArray[np.bool_]:
    """Return False for each span that another one of the batch stands for.

    Reads SPANS and, if it is there, the Boolean column `counted` of spans of an
    earlier attempt (null for new ones); what was decided then stays so.
    """
    answer = np.ones(spans.height, dtype=bool)
    calls = np.flatnonzero((spans["role"] == "llm").fill_null(value=False).to_numpy())
    pairs = np.concatenate(
        [_same_response(spans, calls), _nested(spans, tree, calls), _same_ids(spans, tree)]
    )
    if len(pairs):
        members = _groups(spans.height, pairs)
        rows = np.flatnonzero(members != NOWHERE)
        answer[rows] = False
        answer[_winners(spans, rows, members[rows])] = True
    if "counted" in spans.columns:
        decided = spans["counted"].is_not_null().to_numpy()
        answer[decided] = spans["counted"].fill_null(value=True).to_numpy()[decided]
    return answer


def _same_response(spans: pl.DataFrame, calls: Rows) -> Rows:
    """Return pairs of rows with one response id that overlap in time."""
    ids = spans["response_id"].gather(calls)
    (number,) = codes(ids.set(ids == "", None))
    several = np.bincount(number + 1)[number + 1] > 1
    chosen = several & (number != NOWHERE)
    rows, group = calls[chosen], number[chosen]
    start, end = _times(spans, rows)
    order = np.lexsort((rows, start, group))
    rows, group, start = rows[order], group[order], start[order]
    same = group[1:] == group[:-1]
    pairs = same & (start[1:] <= _latest(group, end[order])[:-1])
    return np.stack([rows[1:][pairs], rows[:-1][pairs]], axis=1)


def _same_ids(spans: pl.DataFrame, tree: Lineage) -> Rows:
    """Return pairs of rows with one trace id and span id."""
    (span,) = codes(spans["span_id"])
    key = tree.trace * (int(span.max(initial=0)) + 1) + span
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    return np.stack([order[1:][same], order[:-1][same]], axis=1)


def _times(spans: pl.DataFrame, rows: Rows) -> tuple[Rows, Rows]:
    times = spans.select("start_time", pl.coalesce("end_time", "start_time").alias("end"))[rows]
    start, end = (times[name].to_physical().to_numpy() for name in times.columns)
    return start, end


def _latest(group: Rows, end: Rows) -> Rows:
    """Return the latest end so far within each group; groups stand together.

    Ranks instead of times, so that adding a group's share cannot overflow.
    """
    in_order = np.sort(end)
    rank = np.searchsorted(in_order, end)
    base = (group - group.min(initial=0)) * (len(end) + 1)
    latest: Rows = in_order[np.maximum.accumulate(base + rank) - base]
    return latest


def _nested(spans: pl.DataFrame, tree: Lineage, calls: Rows) -> Rows:
    """Return pairs of an LLM span and its nearest LLM ancestor with the same model and tokens."""
    is_call = np.zeros(spans.height, dtype=bool)
    is_call[calls] = True
    inside = calls[tree.parent[calls] != NOWHERE]
    outer = nearest(is_call, tree.parent)[tree.parent[inside]]
    inside, outer = inside[outer != NOWHERE], outer[outer != NOWHERE]
    if not len(inside):
        return np.empty((0, 2), dtype=np.int64)
    facts = spans.select(
        pl.coalesce("response_model", "request_model").alias("model"),
        "request_model",
        "input_tokens",
        "output_tokens",
        "start_time",
        pl.coalesce("end_time", "start_time").alias("end"),
    )
    pair = pl.concat([facts[inside], facts[outer].rename(lambda c: f"outer_{c}")], how="horizontal")
    same = pair.select(
        (
            _equal("model")
            | _equal("request_model")
            | pl.col("model").is_null()
            | pl.col("outer_model").is_null()
        )
        & _equal("input_tokens", null_fits=True)
        & _equal("output_tokens", null_fits=True)
        & (pl.col("start_time") <= pl.col("outer_end"))
        & (pl.col("outer_start_time") <= pl.col("end"))
    ).to_series()
    chosen = same.fill_null(value=False).to_numpy()
    return np.stack([inside[chosen], outer[chosen]], axis=1)


def _equal(column: str, *, null_fits: bool = False) -> pl.Expr:
    return (pl.col(column) == pl.col(f"outer_{column}")).fill_null(null_fits)


def _groups(height: int, pairs: Rows) -> Rows:
    """Join pairs to groups: per row the smallest row of its group, -1 outside of any.

    Each round joins whole groups and halves the way to their smallest row, so that
    a chain of many thousands, which a constant response id makes, takes few rounds.
    """
    group = np.full(height, NOWHERE, dtype=np.int64)
    used = np.unique(pairs)
    group[used] = used
    while True:
        least = np.minimum(group[pairs[:, 0]], group[pairs[:, 1]])
        before = group.copy()
        for side in (pairs[:, 0], pairs[:, 1]):
            np.minimum.at(group, side, least)
            np.minimum.at(group, before[side], least)
        group[used] = group[group[used]]
        if (group == before).all():
            return group


def _winners(spans: pl.DataFrame, rows: Rows, group: Rows) -> Rows:
    counted = ["counted"] if "counted" in spans.columns else []
    needed = spans.select(*_CONTENT, "scope_name", "start_time", "end_time", "span_id", *counted)
    ranked = (
        needed[rows]
        .select(
            pl.Series("row", rows),
            pl.Series("group", group),
            (pl.col("counted").fill_null(value=False) if counted else pl.lit(value=False)).alias(
                "counted"
            ),
            pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int32) for c in _CONTENT).alias(
                "content"
            ),
            pl.col("scope_name").is_in(NATIVE_SCOPES).fill_null(value=False).alias("native"),
            "start_time",
            pl.col("end_time").fill_null(pl.col("start_time")),
            "span_id",
        )
        .sort(
            ["counted", "content", "native", "start_time", "end_time", "span_id", "row"],
            descending=[True, True, False, False, True, False, False],
        )
    )
    return ranked.unique("group", keep="first", maintain_order=True)["row"].to_numpy()

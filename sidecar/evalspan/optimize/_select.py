"""Pick cases from production: the holdout is put aside before anything is looked at."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from evalspan import model
from evalspan.optimize._case import Case
from evalspan.optimize._messages import read, write
from evalspan.optimize._settings import OptimizeError, OptimizeSettings

NEWEST_SPANS = 20_000
"""Cases are picked from this many of the newest LLM calls."""
_OUTPUT_LIMIT = 20_000


def build_cases(
    spans: pl.DataFrame,
    scores: pl.DataFrame,
    settings: OptimizeSettings,
    *,
    check: str,
    dataset: str,
    now: datetime,
    dimensions: Sequence[str] = (),
) -> pl.DataFrame:
    """Take cases from the spans of one prompt; returns CASES.

    `spans` has the columns of SPANS, `scores` those of SCORES and a String
    column for each of `dimensions`. An input is taken once and a conversation
    gives one case, so that pairs are independent. Which part a case belongs to
    is decided by the hash of its input alone; then each part takes failing and
    passing cases in equal numbers as far as there are, spread over the slices.
    Rates of such cases are therefore not the rates of production. Raises
    OptimizeError where nothing can be replayed.
    """
    found = _candidates(spans, _verdicts(scores, check, dimensions), check)
    parts: dict[str, list[dict[str, Any]]] = {"search": [], "holdout": []}
    for row in found:
        split = _split(row["case_id"], settings.holdout)
        parts[split].append({**row, "split": split})
    search = round(settings.cases * (1 - settings.holdout))
    picked = _spread(parts["search"], search, check, settings.seed) + _spread(
        parts["holdout"], settings.cases - search, check, settings.seed
    )
    for name, rows in parts.items():
        if not rows:
            msg = (
                f"no case for the {name} part of {check}: of {spans.height} spans "
                f"{len(found)} are LLM calls with a verdict and an input of text that can be "
                "replayed. Is content capture on? Is the view wide enough?"
            )
            raise OptimizeError(msg)
    fixed = {"dataset": dataset, "created_time": now, "reference": None, "redaction": ""}
    schema = pl.DataFrame(model.CASES.empty()).schema
    return pl.DataFrame([{**row, **fixed} for row in picked], schema=schema)


def cases_of(frame: pl.DataFrame) -> tuple[Case, ...]:
    """Read CASES rows; a row whose input cannot be read is an OptimizeError."""
    return tuple(_case(row) for row in frame.iter_rows(named=True))


def _case(row: Mapping[str, Any]) -> Case:
    messages = read(row["input_messages"], None)
    if messages is None:
        msg = f"the case {row['case_id']} has no input that can be replayed"
        raise OptimizeError(msg)
    return Case(
        case_id=row["case_id"],
        messages=messages,
        split=row["split"],
        production_output=row["output"] or "",
        failed=tuple(row["failed"] or ()),
        slice=json.loads(row["slice"] or "{}"),
        trace_id=row["trace_id"] or "",
        span_id=row["span_id"] or "",
    )


def _split(case_id: str, holdout: float) -> str:
    return "holdout" if _unit(f"split:{case_id}") < holdout else "search"


def _unit(text: str) -> float:
    """Return a number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _verdicts(scores: pl.DataFrame, check: str, dimensions: Sequence[str]) -> pl.DataFrame:
    """One row per span: the checks that failed, the verdict on `check`, its slice."""
    latest = scores.filter(pl.col("verdict").is_not_null()).filter(
        pl.col("attempt") == pl.col("attempt").max().over("trace_id")
    )
    mine = pl.col("verdict").filter(pl.col("check") == check)
    return latest.group_by("trace_id", "span_id").agg(
        pl.col("check").filter(pl.col("verdict") == "fail").unique().sort().alias("failed"),
        pl.when((mine == "fail").any()).then(pl.lit("fail")).otherwise(mine.first()).alias("own"),
        *(pl.col(name).drop_nulls().first() for name in dimensions),
    )


def _candidates(spans: pl.DataFrame, verdicts: pl.DataFrame, check: str) -> list[dict[str, Any]]:
    """One row per input and conversation, failing ones first, then the newest."""
    names = [c for c in verdicts.columns if c not in {"trace_id", "span_id", "failed", "own"}]
    rows = (
        spans.lazy()
        .filter(pl.col("role") == "llm")
        .select(*_SPAN_COLUMNS, "start_time")
        .sort("start_time", "trace_id", "span_id", descending=[True, False, False])
        .unique(["trace_id", "span_id"], keep="first", maintain_order=True)
        .head(NEWEST_SPANS)
        .join(verdicts.lazy(), on=["trace_id", "span_id"], how="inner", maintain_order="left")
        .filter(pl.col("own").is_not_null())
        .sort(pl.col("own") == "fail", descending=True, maintain_order=True)
        .collect()
    )
    seen: set[str] = set()
    found = []
    for row in rows.iter_rows(named=True):
        case = _row(row, names, check)
        keys = {case["case_id"], row["conversation_id"] or case["case_id"]} if case else set()
        if case and not keys & seen:
            seen |= keys
            found.append(case)
    return found


_SPAN_COLUMNS = [
    "trace_id",
    "span_id",
    "conversation_id",
    "input_messages",
    "input_text",
    "output_text",
]


def _row(row: Mapping[str, Any], names: Sequence[str], check: str) -> dict[str, Any] | None:
    messages = read(row["input_messages"], row["input_text"])
    if messages is None:
        return None
    text = write(messages)
    case_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {
        "case_id": case_id,
        "input_messages": text,
        "output": (row["output_text"] or "")[:_OUTPUT_LIMIT],
        "failed": sorted({*row["failed"], *([check] if row["own"] == "fail" else [])}),
        "slice": json.dumps(
            {name: row[name] for name in names if row[name] is not None}, sort_keys=True
        ),
        "trace_id": row["trace_id"],
        "span_id": row["span_id"],
    }


def _spread(
    rows: Sequence[dict[str, Any]], most: int, check: str, seed: int
) -> list[dict[str, Any]]:
    """Pick up to `most`: half of them failing as far as there are, slices in turn."""
    failing = _in_turn([row for row in rows if check in row["failed"]], seed)
    passing = _in_turn([row for row in rows if check not in row["failed"]], seed)
    bad = failing[: max(most // 2, most - len(passing))]
    return sorted(bad + passing[: most - len(bad)], key=lambda row: str(row["case_id"]))


def _in_turn(rows: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Order rows so that every prefix holds the slices as evenly as there are rows."""
    slices: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: _unit(f"pick:{seed}:{row['case_id']}")):
        slices[row["slice"]].append(row)
    ranked = [(place, key, row) for key, each in slices.items() for place, row in enumerate(each)]
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])]

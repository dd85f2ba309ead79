"""Replays as tables: spans to be scored, scores read back, TRIALS."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from evalspan import model
from evalspan.optimize._case import Case, Output, Tried
from evalspan.optimize._messages import write
from evalspan.optimize._settings import OptimizeError

Verdicts = Mapping[str, Mapping[str, str]]
"""Case id → check → word."""

_SPANS = pl.DataFrame(model.SPANS.empty()).schema
_TRIALS = pl.DataFrame(model.TRIALS.empty()).schema
_NEEDED = ("case_id", "check", "verdict", "reason")


def spans_frame(
    answered: Sequence[tuple[Case, Output]],
    *,
    prompt: str,
    variant: str,
    experiment: str,
    model_name: str,
    now: datetime,
) -> pl.DataFrame:
    """Answers as settled LLM spans, so that the checks of production read them."""
    fixed = {
        "content": 0,
        "name": "replay",
        "kind": "client",
        "start_time": now,
        "end_time": now,
        "received_time": now,
        "status": "unset",
        "role": "llm",
        "operation": "chat",
        "system_prompt": prompt,
        "prompt_hash": variant,
        "segment": 0,
        "attempt": 1,
        "counts": True,
        "root": True,
    }
    dimensions = sorted({name for case, _ in answered for name in case.slice} - set(_SPANS))
    rows = [
        {**fixed, **_answer(case, output, f"{experiment}:{variant}", model_name)}
        | {name: case.slice.get(name) for name in dimensions}
        for case, output in answered
    ]
    schema: dict[str, Any] = {
        **_SPANS,
        **dict.fromkeys(dimensions, pl.String),
        "attempt": pl.Int32,
        "counts": pl.Boolean,
        "root": pl.Boolean,
        "case_id": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)


def _answer(case: Case, output: Output, salt: str, model_name: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{salt}:{case.case_id}".encode()).hexdigest()
    parts = [{"type": "text", "content": output.text}]
    return {
        "case_id": case.case_id,
        "trace_id": digest[:32],
        "span_id": digest[32:48],
        "duration_ms": output.duration_ms,
        "request_model": model_name or output.model,
        "response_model": output.model or model_name or None,
        "input_tokens": output.input_tokens,
        "output_tokens": output.output_tokens,
        "finish_reasons": [output.finish_reason] if output.finish_reason else None,
        "input_messages": write(case.messages),
        "output_messages": json.dumps([{"role": "assistant", "parts": parts}], ensure_ascii=False),
        "input_text": case.input_text,
        "output_text": output.text,
    }


def read_scores(scores: pl.DataFrame) -> tuple[Verdicts, Verdicts]:
    """Return verdicts and reasons by case and check; several rows of one check: fail wins.

    A check with items has one entry per item, named `check/item`. Raises
    OptimizeError where a column is missing.
    """
    missing = [name for name in _NEEDED if name not in scores.columns]
    if missing:
        msg = f"the scores of a replay lack the columns {', '.join(missing)}"
        raise OptimizeError(msg)
    verdicts: dict[str, dict[str, str]] = defaultdict(dict)
    reasons: dict[str, dict[str, str]] = defaultdict(dict)
    for row in scores.iter_rows(named=True):
        check = f"{row['check']}/{row['item']}" if row.get("item") else row["check"]
        word = "error" if row.get("error") else row["verdict"]
        known = verdicts[row["case_id"]].get(check)
        if word is None or known == "fail" or (known == "error" and word == "pass"):
            continue
        verdicts[row["case_id"]][check] = word
        reasons[row["case_id"]].pop(check, None)
        if word != "pass" and row["reason"]:
            reasons[row["case_id"]][check] = row["reason"]
    return verdicts, reasons


def trials_frame(
    tried: Sequence[tuple[str, Tried]], experiment: str, now: datetime
) -> pl.DataFrame:
    """TRIALS of (variant, answer) pairs."""
    rows = [
        {
            "experiment": experiment,
            "variant": variant,
            "case_id": each.case.case_id,
            "repeat": 0,
            "time": now,
            "split": each.case.split,
            "output": each.output.text,
            "verdicts": dict(each.verdicts),
            "reasons": dict(each.reasons),
            "input_tokens": each.output.input_tokens,
            "output_tokens": each.output.output_tokens,
            "cost_usd": each.cost_usd,
            "duration_ms": each.output.duration_ms,
            "error": each.output.error,
        }
        for variant, each in tried
    ]
    return pl.DataFrame(rows, schema=_TRIALS)

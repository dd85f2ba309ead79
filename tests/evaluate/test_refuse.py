"""Errors for spans that no check was asked about: a row of SCORES each, and the ledger of them."""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest

from evalspan import model
from evalspan.evaluate import Evaluated, Evaluator, _evaluator
from evalspan.evaluate._frame import complete

Frame = Callable[..., pl.DataFrame]
Build = Callable[..., Evaluator]
ONE, TWO = "1".rjust(32, "0"), "2".rjust(32, "0")
WHY = {ONE: "stage settle raised KeyError", TWO: "stage settle ended the process"}
CHECKS = {"latency": {"max_ms": 1, "sample": 0.5}, "tool_loop": {"times": 2}}


def counts(evaluated: Evaluated) -> dict[tuple[str, str], int]:
    return {(line.subject, line.reason or line.outcome): line.number for line in evaluated.counts}


def unsettled(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the spans as they are before they settle."""
    return frame.select(model.SPANS.schema.names)


def test_each_span_and_each_trace_has_an_error(frame: Frame, ready: Build) -> None:
    checks = ready(("customer",), **CHECKS)
    facts = {"prompt_hash": "abc", "request_model": "asked", "service_name": "shop"}
    spans = frame(
        {"trace_id": ONE, "parent_span_id": "9" * 16, **facts, "customer": "acme"},
        {"trace_id": ONE, "customer": "acme"},
        {"trace_id": TWO, "counts": False},
        {"trace_id": TWO, "attempt": 2},
        dimensions=("customer",),
    )
    when = datetime(2026, 4, 1, tzinfo=UTC)
    refused = checks.refuse(spans, WHY, segment=7, evaluated_time=when)
    assert refused.scores.schema == model.SCORES.schema
    rows = {(row["check"], row["span_id"][-1]): row for row in refused.scores.to_pylist()}
    # The root of a trace, which came second, stands for it; one span counts for the other.
    assert set(rows) == {
        *(("latency", span) for span in "124"),
        *(("tool_loop", span) for span in "23"),
    }
    assert rows["latency", "1"] == {
        **dict.fromkeys(model.SCORES.schema.names),
        **{name: spans[name][0] for name in ("trace_id", "span_id", "service_name")},
        "time": spans["start_time"][0],
        "check": "latency",
        "item": "",
        "revision": checks.checks["latency"].revision,
        "attempt": 1,
        "evaluator": "check",
        "error": WHY[ONE],
        "weight": 1.0,
        "prompt_version": "abc",
        "model": "asked",
        "dimensions": [("customer", "acme")],
        "evaluated_time": when,
        "segment": 7,
        "about": "span",
    }
    assert rows["latency", "4"]["error"] == rows["tool_loop", "3"]["error"] == WHY[TWO]
    assert rows["tool_loop", "2"]["about"] == "trace"
    assert counts(refused) == {
        ("check:latency", "expected"): 4,
        ("check:latency", "duplicate"): 1,
        ("check:latency", "error"): 3,
        ("check:tool_loop", "expected"): 2,
        ("check:tool_loop", "error"): 2,
    }


def test_spans_that_never_settled_have_attempt_0_and_count_once(frame: Frame, ready: Build) -> None:
    same = {"trace_id": ONE, "span_id": "5" * 16}
    refused = ready(("customer",), **CHECKS).refuse(unsettled(frame(same, same)), WHY)
    assert refused.scores.column("attempt").to_pylist() == [0, 0]
    assert refused.scores.column("dimensions").to_pylist() == [[], []]
    assert counts(refused) == {
        ("check:latency", "expected"): 2,
        ("check:latency", "duplicate"): 1,
        ("check:latency", "error"): 1,
        ("check:tool_loop", "expected"): 1,
        ("check:tool_loop", "error"): 1,
    }


def test_what_is_refused_in_slices_is_what_is_refused_at_once(
    frame: Frame, ready: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"trace_id": t, "parent_span_id": "9" * 16} for t in (ONE, TWO, ONE, TWO, TWO)]
    spans = frame(*rows, {"trace_id": TWO}, {"trace_id": TWO, "counts": False})
    checks, when = ready(**CHECKS), datetime(2026, 4, 1, tzinfo=UTC)

    def refused() -> Evaluated:
        return checks.refuse(spans, WHY, segment=7, evaluated_time=when)

    def in_order(evaluated: Evaluated) -> list[dict[str, object]]:
        rows = evaluated.scores.to_pylist()
        return sorted(rows, key=lambda row: (row["check"], row["span_id"]))

    whole = refused()
    monkeypatch.setattr(_evaluator, "_MOST_SPANS", 2)
    sliced = refused()
    assert in_order(sliced) == in_order(whole)
    assert counts(sliced) == counts(whole)
    assert sliced.scores.schema == model.SCORES.schema


def test_content_that_no_row_of_an_error_has_is_not_looked_at(
    frame: Frame, ready: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a check died of may be what any work on that column dies of."""
    spans = frame({"trace_id": ONE, "prompt_name": "triage"}, dimensions=("customer",))
    seen: list[str] = []

    def noted(part: pl.DataFrame, dimensions: list[str]) -> pl.DataFrame:
        seen.extend(part.columns)
        return complete(part, dimensions)

    monkeypatch.setattr(_evaluator, "complete", noted)
    refused = ready(("customer",), **CHECKS).refuse(spans, WHY)
    assert refused.scores.column("prompt_name").to_pylist() == ["triage", "triage"]
    assert set(seen) == {
        *("trace_id", "span_id", "parent_span_id", "start_time", "attempt", "counts"),
        *("service_name", "prompt_name", "prompt_version", "prompt_hash", "conversation_id"),
        *("request_model", "response_model", "customer"),
    }


def test_nothing_is_said_of_no_spans_or_by_no_checks(frame: Frame, ready: Build) -> None:
    for checks, spans in ((ready(**CHECKS), frame()), (ready(), frame({"trace_id": ONE}))):
        refused = checks.refuse(spans, WHY)
        assert refused.scores.num_rows == 0
        assert refused.scores.schema == model.SCORES.schema
        assert refused.counts == []


def test_what_was_evaluated_and_what_was_refused_is_one_thing(frame: Frame, ready: Build) -> None:
    checks = ready(latency={"max_ms": 1})
    done = checks.evaluate(frame({"trace_id": TWO, "duration_ms": 5.0}))
    both = done + checks.refuse(frame({"trace_id": ONE}, {"trace_id": ONE}), WHY)
    assert both.scores.num_rows == 3
    assert counts(both) == {
        ("check:latency", "expected"): 3,
        ("check:latency", "done"): 1,
        ("check:latency", "error"): 2,
    }

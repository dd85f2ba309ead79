"""Which trace a series shows: at most one a second, one that failed rather than one that passed."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from metric_pages import Clock, family, metrics_with, scores

from evalspan.metrics import Metrics

VALUE = "evalspan_check_value"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return metrics_with({"customer": 10}, clock)


def shown(metrics: Metrics, name: str, **labels: str) -> list[tuple[str, float, float]]:
    """Scrape, and return trace, value and time of each exemplar of the series."""
    return [
        (s.exemplar.labels["trace_id"], s.exemplar.value, float(s.exemplar.timestamp))
        for s in family(metrics, name).samples
        if s.exemplar and labels.items() <= s.labels.items()
    ]


def measure(metrics: Metrics, trace: str, value: float, verdict: str = "pass") -> None:
    metrics.count_scores(scores({"trace_id": trace, "value": value, "verdict": verdict}))


def traces(metrics: Metrics, name: str = VALUE) -> list[str]:
    return [trace for trace, _, _ in shown(metrics, name)]


def test_a_series_takes_one_a_second(metrics: Metrics, clock: Clock) -> None:
    for number in range(10):
        measure(metrics, f"t{number}", 7.0)
        clock.forward(0.25)
    at = Clock().now
    assert shown(metrics, VALUE) == [("t8", 7.0, at + 2)]
    measure(metrics, "t10", 7.0)
    assert traces(metrics) == ["t8"]
    clock.forward(0.5)
    measure(metrics, "t11", 7.0)
    assert traces(metrics) == ["t11"]


def test_every_bucket_is_a_series(metrics: Metrics) -> None:
    for number, value in enumerate((0.05, 7.0, 5000.0)):
        measure(metrics, f"t{number}", value)
    assert [(trace, value) for trace, value, _ in shown(metrics, VALUE)] == [
        ("t0", 0.05),
        ("t1", 7.0),
        ("t2", 5000.0),
    ]


def test_a_failing_trace_takes_the_place_of_a_passing_one_at_once(
    metrics: Metrics, clock: Clock
) -> None:
    measure(metrics, "passed", 7.0)
    clock.forward(0.1)
    measure(metrics, "failed", 8.0, "fail")
    clock.forward(0.1)
    measure(metrics, "failed too", 8.0, "fail")
    assert shown(metrics, VALUE) == [("failed", 8.0, Clock().now + 0.1)]


def test_a_failing_trace_stays_until_it_was_shown(metrics: Metrics, clock: Clock) -> None:
    measure(metrics, "failed", 8.0, "fail")
    clock.forward(5)
    measure(metrics, "passed", 7.0)
    assert traces(metrics) == ["failed"]
    measure(metrics, "passed", 7.0)
    assert traces(metrics) == ["passed"]


@pytest.mark.parametrize("failing", [0, 3, 9])
def test_of_the_rows_of_one_frame_a_failing_one_is_shown(metrics: Metrics, failing: int) -> None:
    rows: Iterator[dict[str, Any]] = (
        {"trace_id": f"t{n}", "value": 6.0 + n / 10, "verdict": "fail" if n == failing else "pass"}
        for n in range(10)
    )
    metrics.count_scores(scores(*rows))
    assert [(trace, value) for trace, value, _ in shown(metrics, VALUE)] == [
        (f"t{failing}", 6.0 + failing / 10)
    ]


def test_fail_counters_have_one_and_the_others_none(metrics: Metrics) -> None:
    metrics.count_scores(
        scores(
            {"trace_id": "good", "verdict": "pass"},
            {"trace_id": "bad", "verdict": "fail"},
            {"trace_id": "broken", "error": "it broke"},
        )
    )
    at = Clock().now
    assert shown(metrics, "evalspan_verdicts") == [("bad", 1.0, at)]
    assert shown(metrics, "evalspan_verdicts", verdict="fail") == [("bad", 1.0, at)]


def test_of_the_calls_one_that_failed_is_shown(metrics: Metrics) -> None:
    names = ("operation", "provider", "request_model", "response_model", "service_name")
    base = dict.fromkeys((*names, "prompt_name", "prompt_version", "prompt_hash"), "x")
    base |= {"role": "llm", "counts": True, "duration_ms": 900.0, "time_to_first_token_ms": 1.0}
    base |= {"input_tokens": 5, "output_tokens": 5}
    calls = [base | {"trace_id": f"t{n}", "error_type": "e" if n == 1 else None} for n in range(4)]
    metrics.count_calls(pl.DataFrame(calls))
    assert set(traces(metrics, "gen_ai_client_token_usage")) == {"t1"}

"""Numbers that cannot be counted as they are: a sum never falls and never ends."""

import math

import pytest
from metric_pages import Clock, calls, metrics_with, scores, series
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from evalspan.metrics import Metrics

VALUE = "evalspan_check_value"
SPENT = "evalspan_judge_cost_usd"
COST = "evalspan_cost_usd"


def of_values(metrics: Metrics) -> dict[str, float]:
    """Return what the histogram of values shows, by the part of its name or by bound."""
    found = series(metrics, VALUE).items()
    return {
        dict(labels).get("le", name.removeprefix(f"{VALUE}_")): n for (name, labels), n in found
    }


def counted(metrics: Metrics, name: str) -> float:
    return sum(series(metrics, name).values())


def test_a_value_below_zero_is_in_the_lowest_bucket_and_the_sum_never_falls() -> None:
    metrics = metrics_with({"customer": 5}, Clock())
    before = 0.0
    for value in (5.0, -3.0, 0.25, -1e9, -0.0):
        metrics.count_scores(scores({"value": value}))
        found = of_values(metrics)
        assert found["sum"] >= before
        before = found["sum"]
    assert (found["0.0"], found["count"], found["sum"]) == (3, 5, 5.25)


def test_several_values_of_one_frame_are_added_as_those_of_several_are() -> None:
    whole, single = (metrics_with({"customer": 5}, Clock()) for _ in range(2))
    values = [5.0, -3.0, -4.0, 0.25, math.nan, math.inf, None]
    whole.count_scores(scores(*({"value": value} for value in values)))
    for value in values:
        single.count_scores(scores({"value": value}))
    assert of_values(whole) == of_values(single)
    assert of_values(whole)["sum"] == 5.25


def test_bounds_below_zero_have_no_sum_and_no_count_as_openmetrics_has_it() -> None:
    metrics = metrics_with({"customer": 5}, Clock(), bounds={"latency": (-1.0, 0.0, 1.0)})
    metrics.count_scores(scores(*({"value": value} for value in (-5.0, -0.5, 0.5, 5.0))))
    assert of_values(metrics) == {"-1.0": 1, "0.0": 2, "1.0": 3, "+Inf": 4}
    page = generate_latest(metrics).decode()  # type: ignore[arg-type]
    assert list(text_string_to_metric_families(page))  # refuses a sum here


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_numbers_that_nobody_measures_leave_the_sums_as_they_were(odd: float) -> None:
    metrics = metrics_with({"customer": 5}, Clock())
    for number in (odd, odd, 2.0):
        metrics.count_scores(scores({"value": number, "cost_usd": number}))
        row = {"duration_ms": number * 1000, "time_to_first_token_ms": number * 1000}
        frame = calls(row)
        metrics.count_calls(frame, frame["duration_ms"] / 1000)
    assert (of_values(metrics)["count"], of_values(metrics)["sum"]) == (1, 2)
    assert (counted(metrics, SPENT), counted(metrics, COST)) == (2, 2)
    for name in ("operation_duration_seconds", "operation_time_to_first_chunk_seconds"):
        full = f"gen_ai_client_{name}"
        found = {name: n for (name, _), n in series(metrics, full).items()}
        assert (found[f"{full}_count"], found[f"{full}_sum"]) == (1, 2)


def test_a_judge_that_says_it_earned_makes_no_cost_fall() -> None:
    metrics = metrics_with({"customer": 5}, Clock())
    metrics.count_scores(scores({"cost_usd": 0.5}, {"cost_usd": -9.0}, {"cost_usd": math.nan}))
    assert counted(metrics, SPENT) == 0.5

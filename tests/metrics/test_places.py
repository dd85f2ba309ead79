"""However many values labels have, and whatever they multiply to, a page stays small."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_pages import Clock, Series, calls, customers, metrics_with, scores, series, verdicts_of
from prometheus_client.openmetrics.exposition import generate_latest

from evalspan.metrics import OTHER, Metrics
from evalspan.pipeline import Settings, metrics_of

VERDICTS = "evalspan_verdicts"
VALUE = "evalspan_check_value"
DAY = 86_400
LABELS = ("service", "prompt", "prompt_version", "model", "customer", "item")
CALL_LABELS = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "service_name",
    "error_type",
)
WIDE = dict.fromkeys((*LABELS, *CALL_LABELS), 50)


def lines(metrics: Metrics, name: str) -> int:
    """Return how many series a metric shows, those that take what overflows aside."""
    return sum(OTHER not in dict(labels).values() for _, labels in series(metrics, name))


def summed(found: Series, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """Add up what a metric shows by some of its labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    for (sample, pairs), value in found.items():
        if sample == name and value:
            sums[tuple(dict(pairs)[label] for label in labels)] += int(value)
    return sums


def overflow(metrics: Metrics, name: str) -> float:
    found = series(metrics, "evalspan_series_overflow")
    return found["evalspan_series_overflow_total", (("metric", name),)]


def of_all(number: int) -> dict[str, str]:
    """Return values of which each is within its budget and their product is not."""
    return {
        "service_name": f"s{number % 47}",
        "prompt_name": f"p{number % 43}",
        "prompt_version": f"v{number % 41}",
        "model": f"m{number % 37}",
        "customer": f"c{number % 31}",
    }


def test_a_page_of_values_that_are_each_within_budget_is_small() -> None:
    metrics = metrics_with(WIDE, Clock(), series_budget=1000)
    rows = [of_all(n) | {"verdict": "pass", "value": 1.0} for n in range(5000)]
    metrics.count_scores(scores(*rows))
    metrics.count_calls(calls(*(of_all(n) for n in range(5000))))
    page = generate_latest(metrics).decode()  # type: ignore[arg-type]
    assert 500 < page.count("\n") < 6 * 1000
    for name in (VERDICTS, VALUE, "gen_ai_client_token_usage"):
        assert 0 < lines(metrics, name) <= 1000
        assert overflow(metrics, name) > 4000


def test_sums_stay_right_for_each_check_item_and_verdict() -> None:
    metrics = metrics_with(WIDE, Clock(), series_budget=200)
    words = [("pass", None), ("fail", None), (None, None), (None, "it broke")]
    rows = [
        of_all(n)
        | {"check": f"check {n % 3}", "item": ["", "polite"][n % 2]}
        | {"verdict": words[n % 4][0], "error": words[n % 4][1], "value": float(n % 7)}
        for n in range(3000)
    ]
    metrics.count_scores(scores(*rows))
    told = Counter(
        (r["check"], r["item"], "error" if r["error"] else r["verdict"] or "none") for r in rows
    )
    found = series(metrics, VERDICTS)
    assert summed(found, f"{VERDICTS}_total", "check", "item", "verdict") == told
    shown = {tuple(dict(labels)[name] for name in LABELS[:5]) for _, labels in found}
    assert (OTHER,) * 5 in shown
    assert all(OTHER not in labels for labels in shown if labels != (OTHER,) * 5)
    values = series(metrics, VALUE)
    of_check = [r for r in rows if not r["item"]]
    counted = Counter((r["check"],) for r in of_check)
    assert summed(values, f"{VALUE}_count", "check") == counted
    total: Counter[tuple[str, ...]] = Counter()
    for row in of_check:
        total[(row["check"],)] += int(row["value"])
    assert summed(values, f"{VALUE}_sum", "check") == total


def test_errors_and_kinds_of_tokens_are_told_apart_where_calls_overflow() -> None:
    metrics = metrics_with(WIDE, Clock(), series_budget=50)
    rows = [of_all(n) | {"error_type": ["timeout", None][n % 2]} for n in range(500)]
    metrics.count_calls(calls(*rows))
    name = "gen_ai_client_operation_duration_seconds"
    found = summed(series(metrics, name), f"{name}_count", "error_type")
    assert found == {("timeout",): 250, ("",): 250}
    name = "gen_ai_client_token_usage"
    found = summed(series(metrics, name), f"{name}_count", "gen_ai_token_type")
    assert found == {("input",): 500, ("output",): 500}
    assert {label for _, labels in series(metrics, name) for _, label in labels} >= {OTHER}


def test_one_label_set_more_than_there_are_places_for_overflows() -> None:
    metrics = metrics_with(WIDE, Clock(), series_budget=3 * 4)  # a verdict is four series
    first = [{"verdict": "pass", "customer": f"c{n}"} for n in range(3)]
    metrics.count_scores(scores(*first))
    assert (customers(metrics), overflow(metrics, VERDICTS)) == ({"c0", "c1", "c2"}, 0)
    metrics.count_scores(scores(*first, {"verdict": "fail", "customer": "c3"}, *first[:1]))
    assert customers(metrics) == {"c0", "c1", "c2", OTHER}
    assert overflow(metrics, VERDICTS) == 1
    assert series(metrics, "evalspan_label_overflow") == {}


def test_what_is_not_shown_holds_no_place_of_its_label() -> None:
    metrics = metrics_with({"service_name": 2}, Clock(), series_budget=20)  # one histogram
    metrics.count_calls(calls(*({"service_name": service} for service in "abc")))
    name = "gen_ai_client_operation_duration_seconds"
    shown = {dict(labels)["service_name"] for _, labels in series(metrics, name)}
    assert shown == {"a", OTHER}
    # b and c were not shown: d may have the second place.
    budgets = metrics.budgets
    found = [budgets.admit("service_name", service) for service in "dba"]
    assert found == ["d", OTHER, "a"]


def test_places_are_free_again_when_what_had_them_has_expired() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 9}, clock, series_budget=8, expire_after=timedelta(days=1))
    metrics.count_scores(verdicts_of("a", "b", "c"))
    clock.forward(DAY * 0.9)
    metrics.count_scores(verdicts_of("b", "c"))
    assert customers(metrics) == {"a", "b", OTHER}
    clock.forward(DAY * 0.2)
    assert customers(metrics) == {"b", OTHER}
    metrics.count_scores(verdicts_of("c", "d"))
    assert customers(metrics) == {"b", "c", OTHER}
    assert overflow(metrics, VERDICTS) == 3
    assert summed(series(metrics, VERDICTS), f"{VERDICTS}_total", "customer") == {
        ("b",): 2,
        ("c",): 1,
        (OTHER,): 3,
    }


def test_a_verdict_of_another_kind_has_the_place_of_its_label_set() -> None:
    metrics = metrics_with(WIDE, Clock(), series_budget=4)
    for row in ({"verdict": "pass"}, {"verdict": "fail"}, {}, {"error": "it broke"}):
        metrics.count_scores(scores(row | {"customer": "acme"}))
    assert set(series(metrics, VERDICTS).values()) == {1}
    assert customers(metrics) == {"acme"}


@pytest.mark.parametrize("text", ["x" * 200, "\N{PILE OF POO}" * 10_000, '"\\\n' * 70])
def test_long_labels_cost_more_places(text: str) -> None:
    metrics = metrics_with(WIDE, Clock(), series_budget=1000)
    rows = [
        {name: f"{number}{text}" for name, number in of_all(n).items()} | {"value": 1.0}
        for n in range(200)
    ]
    for first in range(0, len(rows), 20):
        metrics.count_scores(scores(*rows[first : first + 20]))
    assert overflow(metrics, VALUE) > 50
    page = generate_latest(metrics)  # type: ignore[arg-type]
    assert len(page) < 2 * 1000 * 2 * (256 + 200)  # two metrics, what is escaped is twice as long
    assert summed(series(metrics, VALUE), f"{VALUE}_count", "check") == {("latency",): 200}


def test_the_budget_is_that_of_the_config() -> None:
    shown = metrics_of(Settings.model_validate({"metrics": {"series_budget": 8}}))
    rows = scores(*({"verdict": "pass", "model": f"m{n}"} for n in range(5)))
    shown.count_scores(rows.drop("customer"))
    models = {dict(labels)["model"] for _, labels in series(shown, VERDICTS)}
    assert models == {"m0", "m1", OTHER}


MOMENTS = st.tuples(
    st.lists(st.tuples(*(st.integers(0, 3),) * 3), max_size=8),
    st.sampled_from([60, DAY // 3, DAY, 2 * DAY]),
)


@given(st.lists(MOMENTS, max_size=20))
@settings(deadline=None)
def test_over_time_no_more_series_are_shown_than_may_be_and_each_count_is_on_one(
    moments: list[tuple[list[tuple[int, int, int]], int]],
) -> None:
    clock = Clock()
    budgets = dict.fromkeys(("customer", "model", "service"), 3)
    metrics = metrics_with(budgets, clock, series_budget=20, expire_after=timedelta(days=1))
    counted, rose, before = 0, 0.0, Series()
    for arrived, seconds in moments:
        rows = [
            {"customer": f"c{c}", "model": f"m{m}", "service_name": f"s{s}", "verdict": "pass"}
            for c, m, s in arrived
        ]
        if rows:
            metrics.count_scores(scores(*rows))
        counted += len(rows)
        found = series(metrics, VERDICTS)
        assert len(found) <= 20 + 2
        rose += sum(value - before.get(key, 0.0) for key, value in found.items())
        assert rose == counted  # each is shown at once: what then goes away was seen
        clock.forward(seconds)
        before = series(metrics, VERDICTS)
        assert len(before) <= 20 + 2

"""Series of values that vanished go away, and what Prometheus adds up stays right."""

from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from metric_pages import Clock, Series, customers, metrics_with, scores, series, verdicts_of

from evalspan.metrics import OTHER, Budgets

VERDICTS = "evalspan_verdicts"
DAY = 86_400
BUDGET = 3
EXPIRE = {"expire_after": timedelta(days=1)}


def total(found: Series, customer: str) -> float:
    return sum(v for (_, labels), v in found.items() if ("customer", customer) in labels)


def test_a_series_that_is_not_counted_on_goes_away_and_comes_back_from_zero() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock, **EXPIRE)
    metrics.count_scores(verdicts_of("acme", "acme", "globex"))
    clock.forward(DAY / 2)
    metrics.count_scores(verdicts_of("globex"))
    assert customers(metrics) == {"acme", "globex"}
    clock.forward(DAY / 2 + 1)
    assert customers(metrics) == {"globex"}
    metrics.count_scores(verdicts_of("acme"))
    assert total(series(metrics, VERDICTS), "acme") == 1
    assert total(series(metrics, VERDICTS), "globex") == 2


def test_a_series_never_goes_down_without_a_scrape_that_does_not_show_it() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock, **EXPIRE)
    metrics.count_scores(verdicts_of("acme"))
    assert total(series(metrics, VERDICTS), "acme") == 1
    clock.forward(5 * DAY)  # nobody scrapes
    metrics.count_scores(verdicts_of("acme"))
    assert total(series(metrics, VERDICTS), "acme") == 2


def test_a_series_goes_only_when_its_last_count_was_shown() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock, **EXPIRE)
    metrics.count_scores(verdicts_of("acme"))
    clock.forward(5 * DAY)  # Prometheus was down
    assert total(series(metrics, VERDICTS), "acme") == 1
    assert series(metrics, VERDICTS) == {}


def test_pass_and_fail_stay_together() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock, **EXPIRE)
    metrics.count_scores(verdicts_of("acme", verdict="fail"))
    for _ in range(3):
        clock.forward(DAY * 0.9)
        metrics.count_scores(verdicts_of("acme"))
        found = {dict(labels)["verdict"]: n for (_, labels), n in series(metrics, VERDICTS).items()}
    assert found == {"pass": 3, "fail": 1}


def test_histograms_expire_and_begin_with_empty_buckets() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock, **EXPIRE)
    name = "evalspan_check_value"
    metrics.count_scores(scores({"value": 7.0, "customer": "acme"}))
    clock.forward(1)
    assert series(metrics, name)
    clock.forward(DAY + 1)
    assert series(metrics, name) == {}
    metrics.count_scores(scores({"value": 2000.0, "customer": "acme"}))
    found = {(n, dict(labels).get("le")): v for (n, labels), v in series(metrics, name).items()}
    assert found[f"{name}_bucket", "1000.0"] == 0
    assert found[f"{name}_count", None] == 1
    assert found[f"{name}_sum", None] == 2000


def test_a_place_that_was_freed_is_given_to_the_next_and_other_stays_what_it_was() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 2}, clock, **EXPIRE)
    metrics.count_scores(verdicts_of("a", "b", "c", "c"))
    clock.forward(1)
    assert customers(metrics) == {"a", "b", OTHER}
    clock.forward(DAY * 0.9)
    metrics.count_scores(verdicts_of("b", "c"))
    assert customers(metrics) == {"a", "b", OTHER}
    clock.forward(DAY * 0.2)
    assert customers(metrics) == {"b", OTHER}
    metrics.count_scores(verdicts_of("c", "d"))
    found = series(metrics, VERDICTS)
    assert customers(metrics) == {"b", "c", OTHER}
    assert total(found, "c") == 1
    assert total(found, OTHER) == 4


def test_a_place_is_kept_while_any_metric_shows_its_value() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 1, "model": 1}, clock, **EXPIRE)
    metrics.count_scores(scores({"verdict": "pass", "customer": "a", "model": "old"}))
    clock.forward(DAY * 0.9)
    metrics.count_scores(scores({"value": 1.0, "customer": "a", "model": "old"}))
    clock.forward(DAY * 0.2)
    assert customers(metrics) == {"a"}
    metrics.count_scores(verdicts_of("new"))
    assert customers(metrics) == {"a", OTHER}


def test_a_reserved_place_is_never_given_away() -> None:
    budgets = Budgets({"item": 2})
    budgets.reserve("item", "polite")
    budgets.keep([(("check", "item"), [("c", "x")])])
    assert [budgets.admit("item", value) for value in ("x", "y", "polite")] == [
        "x",
        OTHER,
        "polite",
    ]


def test_what_no_data_name_stays() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock, **EXPIRE)
    metrics.count("evalspan_evaluations", {"check": "latency", "outcome": "done"}, 3)
    metrics.count_scores(scores({"verdict": "pass", "cost_usd": 0.5}))
    clock.forward(1)
    assert series(metrics, VERDICTS)
    clock.forward(100 * DAY)
    assert set(series(metrics, "evalspan_evaluations").values()) == {3}
    assert set(series(metrics, "evalspan_judge_cost_usd").values()) == {0.5}
    assert series(metrics, VERDICTS) == {}


class Prometheus:
    """Adds up the increase of every series as Prometheus does: what is less is a restart."""

    def __init__(self) -> None:
        self.last: Series = {}
        self.increase = 0.0
        self.hidden = 0.0

    def scrape(self, found: Series, gone: set[object]) -> None:
        """Take a page; `gone` are the series that an earlier page no longer showed."""
        for key, value in found.items():
            before = self.last.get(key, 0.0)
            restarted = value < before
            self.increase += value if restarted else value - before
            if key in gone and not restarted:
                self.hidden += before  # it was back where it had been before it was seen again
            gone.discard(key)
            self.last[key] = value


NAMES = st.sampled_from([f"customer-{number}" for number in range(12)])
MOMENTS = st.tuples(
    st.lists(NAMES, max_size=6), st.sampled_from([60, DAY // 3, DAY, 2 * DAY]), st.booleans()
)


@given(st.lists(MOMENTS, max_size=30))
@settings(deadline=None)
def test_new_customers_over_time_never_add_more_series_and_nothing_counted_is_lost(
    moments: list[tuple[list[str], int, bool]],
) -> None:
    clock, prometheus, counted = Clock(), Prometheus(), Counter[str]()
    metrics = metrics_with({"customer": BUDGET}, clock, **EXPIRE)
    before: Series = {}
    gone: set[object] = set()
    for arrived, seconds, scraped in [*moments, ([], 1, True)]:
        if arrived:
            metrics.count_scores(verdicts_of(*arrived))
        counted.update(arrived)
        clock.forward(seconds)
        if not scraped:
            continue
        found = series(metrics, VERDICTS)
        shown = {dict(labels)["customer"] for _, labels in found}
        assert len(shown - {OTHER}) <= BUDGET
        assert len(found) <= 2 * (BUDGET + 1)
        assert all(found[key] >= value for key, value in before.items() if key in found)
        gone |= before.keys() - found.keys()
        prometheus.scrape(found, gone)
        before = found
    # A series that was idle for a day and rose past its old end between two scrapes looks as
    # if it had never gone: what it had when it went is all that can be missed.
    assert prometheus.increase + prometheus.hidden == counted.total()

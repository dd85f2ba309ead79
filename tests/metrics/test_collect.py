"""A scrape copies what there is at one moment; nothing waits for it to be written out."""

import threading
from collections.abc import Callable

from metric_pages import START, Clock, customers, metrics_with, scores, series, verdicts_of
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from evalspan.metrics import OTHER, Gauge

VERDICTS = "evalspan_verdicts"
VALUE = "evalspan_check_value"


def ends(work: Callable[[], None]) -> bool:
    """Do it in another thread, and say whether it came to its end."""
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(timeout=20)
    return not worker.is_alive()


def total(family: Metric, suffix: str) -> float:
    return sum(s.value for s in family.samples if s.name == f"{family.name}{suffix}")


def test_counting_does_not_wait_for_a_page_that_is_written_out() -> None:
    metrics = metrics_with({"customer": 5}, Clock())
    metrics.count_scores(scores({"verdict": "pass", "value": 1.0}))
    page = metrics.collect()
    first = next(page)
    assert ends(lambda: metrics.count_scores(scores({"verdict": "pass", "value": 1.0})))
    families = {family.name: family for family in (first, *page)}
    assert total(families[VERDICTS], "_total") == 1
    assert total(families[VALUE], "_count") == 1
    assert sum(series(metrics, VERDICTS).values()) == 2


def test_a_page_is_of_one_moment_its_buckets_and_exemplars_too() -> None:
    clock = Clock()
    metrics = metrics_with({"customer": 5}, clock)
    metrics.count_scores(scores({"verdict": "fail", "value": 1.0, "trace_id": "first"}))
    page = metrics.collect()
    clock.forward(60)
    metrics.count_scores(scores({"verdict": "fail", "value": 1.0, "trace_id": "second"}))
    metrics.count_scores(scores({"verdict": "fail", "value": 1.0, "customer": "new"}))
    families = {family.name: family for family in page}
    assert {s.value for s in families[VALUE].samples if s.name.endswith("_bucket")} == {0, 1}
    exemplars = {
        (s.exemplar.labels["trace_id"], s.exemplar.timestamp)
        for name in (VERDICTS, VALUE)
        for s in families[name].samples
        if s.exemplar
    }
    assert exemplars == {("first", START)}


def test_a_page_that_is_not_read_to_its_end_holds_up_nobody() -> None:
    metrics = metrics_with({"customer": 5}, Clock())
    left = metrics.collect()
    next(left)
    assert ends(lambda: metrics.count("evalspan_spans", {"outcome": "stored"}, 1))
    assert ends(lambda: list(metrics.collect()) and None)
    del left


def test_what_is_counted_together_is_on_the_same_page_while_pages_are_made() -> None:
    metrics = metrics_with({"customer": 5}, Clock())

    def count() -> None:
        for _ in range(100):
            with metrics.whole():
                metrics.count_scores(scores({"verdict": "pass", "value": 1.0}))
                metrics.count("evalspan_spans", {"outcome": "stored"}, 1)

    def shown() -> float:
        families = {family.name: family for family in metrics.collect()}
        verdicts = total(families[VERDICTS], "_total")
        assert total(families[VALUE], "_count") == verdicts
        assert total(families["evalspan_spans"], "_total") == verdicts
        return verdicts

    worker = threading.Thread(target=count)
    worker.start()
    seen = [0.0]
    while worker.is_alive():
        seen.append(shown())
    assert seen == sorted(seen)
    assert shown() == 100


def test_text_of_any_kind_and_length_is_a_page_that_can_be_read() -> None:
    metrics = metrics_with({"customer": 50, "model": 50}, Clock())
    odd = [
        "\0",
        "\x1b[2J",
        "\r\n",
        "\x85\u2028",
        "\uffff",
        '"} 1 # {',
        "\\",
        "\N{PILE OF POO}" * 999,
    ]
    for customer in [*odd, "x" * 1_000_000, OTHER, "", None]:
        metrics.count_scores(scores({"verdict": "pass", "customer": customer, "model": customer}))
    told = {"id": "1", "slice": "customer=" + "y" * 1_000_000}
    metrics.add_source(lambda: [Gauge("evalspan_regression_open", 1, told)])
    page = generate_latest(metrics).decode()  # type: ignore[arg-type]
    assert max(map(len, page.split("\n"))) < 1000
    families = {f.name: f for f in text_string_to_metric_families(page)}
    assert total(families[VERDICTS], "_total") == 12
    shown = {s.labels.get("customer", "") for s in families[VERDICTS].samples}
    assert shown == {text[:200] for text in [*odd, "x" * 200, OTHER, ""]}


def test_a_hundred_thousand_customers_are_few_series_and_each_verdict_is_counted() -> None:
    metrics = metrics_with({"customer": 3}, Clock())
    names = [f"customer-{number}" for number in range(100_000)]
    for first in range(0, len(names), 25_000):
        rows = names[first : first + 25_000]
        metrics.count_scores(verdicts_of(*rows, *names[:2], "x" * 300, OTHER))
    metrics.count_scores(scores({"verdict": "pass"}, {"verdict": "pass", "customer": ""}))
    assert customers(metrics) == {*names[:3], OTHER, ""}
    shown = ((dict(labels), value) for (_, labels), value in series(metrics, VERDICTS).items())
    found = {labels["customer"]: value for labels, value in shown if labels["verdict"] == "pass"}
    assert found[names[0]] == found[names[1]] == 5
    assert (found[names[2]], found[""]) == (1, 2)
    # All but three, one long one a time, and the one that says it is what it became.
    assert found[OTHER] == 99_997 + 4 + 4
    over = series(metrics, "evalspan_label_overflow")
    assert list(over.values()) == [99_997 + 4]

"""What a scrape shows: counts, buckets, exemplars, and labels within their budget."""

import math
import re
import socket
import threading
import urllib.request
from datetime import UTC, datetime

import polars as pl
import pytest
from metric_pages import scores
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from pydantic import ValidationError

from evalspan.metrics import DECLARED, Budgets, Gauge, Metrics, MetricsSettings, Page, serve


def page(metrics: Metrics) -> dict:
    server = serve("127.0.0.1:0", metrics, {"/reports/": lambda p, _q: Page(200, "t", p.encode())})
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=accept)) as r:
            text = r.read().decode()
        with urllib.request.urlopen(f"{url}/metrics") as r:
            list(text_families(r.read().decode()))
        with urllib.request.urlopen(f"{url}/reports/x?y=1") as r:
            assert r.read() == b"/reports/x"
            assert r.headers["X-Content-Type-Options"] == "nosniff"
    finally:
        server.shutdown()
    return {f.name: f.samples for f in text_string_to_metric_families(text)}


def value(samples: list, name: str, **labels: str) -> float:
    found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_a_scrape_sees_what_is_counted_together_as_a_whole_or_not_at_all() -> None:
    metrics = Metrics([], Budgets({}))
    seen: list[list[float]] = []

    def scrape() -> None:
        spans = next(m for m in metrics.collect() if m.name == "evalspan_spans")
        seen.append([s.value for s in spans.samples if s.value])

    with metrics.whole():
        metrics.count("evalspan_spans", {"outcome": "received"}, 7)
        reader = threading.Thread(target=scrape)
        reader.start()
        reader.join(0.2)
        metrics.count("evalspan_spans", {"outcome": "stored"}, 7)
    reader.join()
    assert seen == [[7.0, 7.0]]


def test_verdicts_are_counted_by_check_and_dimension_with_the_failing_trace() -> None:
    metrics = Metrics(["customer"], Budgets({"customer": 10}), {"latency": (100.0, 1000.0)})
    metrics.count_scores(
        scores(
            {"verdict": "pass", "value": 50.0, "customer": "acme"},
            {"verdict": "fail", "value": 5000.0, "customer": "acme", "trace_id": "bad"},
            {"error": "broken", "customer": "acme"},
            {"customer": "acme"},
            {"skipped": "sampled", "customer": "acme"},
        ),
    )
    found = page(metrics)
    verdicts = found["evalspan_verdicts"]
    for verdict in ("pass", "fail", "error", "none"):
        assert value(verdicts, "evalspan_verdicts_total", verdict=verdict, customer="acme") == 1
    failing = next(s for s in verdicts if s.labels["verdict"] == "fail")
    assert failing.exemplar.labels == {"trace_id": "bad"}
    values = found["evalspan_check_value"]
    assert value(values, "evalspan_check_value_bucket", le="100.0") == 1
    assert value(values, "evalspan_check_value_bucket", le="1000.0") == 1
    assert value(values, "evalspan_check_value_bucket", le="+Inf") == 2
    assert value(values, "evalspan_check_value_sum") == 5050


def test_new_customers_never_add_more_series_than_declared() -> None:
    metrics = Metrics(["customer"], Budgets({"customer": 3}))
    metrics.count_scores(scores(*({"verdict": "pass", "customer": f"c{n}"} for n in range(100))))
    found = page(metrics)
    shown = {s.labels["customer"] for s in found["evalspan_verdicts"]}
    assert len(shown) == 4
    assert "__other__" in shown
    total = sum(s.value for s in found["evalspan_verdicts"] if s.name.endswith("_total"))
    assert total == 100
    assert value(found["evalspan_label_overflow"], "evalspan_label_overflow_total") == 97


def test_a_label_is_never_longer_than_a_person_reads() -> None:
    budgets = Budgets({"customer": 3})
    assert budgets.admit("customer", "x" * 1_000_000) == "x" * 200
    assert budgets.admit("check", "y" * 1_000_000) == "y" * 200


def test_only_model_calls_that_count_are_measured() -> None:
    metrics = Metrics([], Budgets({}))
    base = {
        "role": "llm",
        "counts": True,
        "operation": "chat",
        "provider": "openai",
        "request_model": "m",
        "response_model": "m-1",
        "service_name": "shop",
        "prompt_name": "extract",
        "prompt_version": None,
        "prompt_hash": "abc",
        "error_type": None,
        "duration_ms": 1500.0,
        "time_to_first_token_ms": None,
        "input_tokens": 400,
        "output_tokens": 90,
        "trace_id": "t",
        "start_time": datetime(2026, 3, 1, tzinfo=UTC),
    }
    spans = pl.DataFrame(
        [base, base | {"counts": False}, base | {"role": "agent"}],
        schema_overrides={"time_to_first_token_ms": pl.Float64, "error_type": pl.String},
    )
    metrics.count_calls(spans, pl.Series([0.25, 0.25, None], dtype=pl.Float64))
    found = page(metrics)
    tokens = found["gen_ai_client_token_usage"]
    assert value(tokens, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 400
    assert value(tokens, "gen_ai_client_token_usage_count", gen_ai_token_type="output") == 1
    name = "gen_ai_client_operation_duration_seconds"
    assert value(found[name], f"{name}_sum", gen_ai_response_model="m-1") == 1.5
    cost = found["evalspan_cost_usd"]
    assert value(cost, "evalspan_cost_usd_total", prompt_version="abc") == 0.25


def test_counts_that_cannot_be_never_make_a_sum_fall() -> None:
    metrics = Metrics([], Budgets({}))
    call = dict.fromkeys(
        ("operation", "provider", "request_model", "response_model", "service_name"), "x"
    )
    call |= dict.fromkeys(("prompt_name", "prompt_version", "prompt_hash", "error_type"), "x")
    odd = [(-5, math.inf), (2**63 - 1, -1.0), (2**63 - 1, 10.0)]
    spans = pl.DataFrame(
        [
            call
            | {"role": "llm", "counts": True, "trace_id": "t", "duration_ms": first}
            | {"input_tokens": tokens, "output_tokens": 1, "time_to_first_token_ms": first}
            for tokens, first in odd
        ]
    )
    metrics.count_calls(spans, pl.Series([-1.0, 0.5, None], dtype=pl.Float64))
    found = page(metrics)
    assert value(found["evalspan_cost_usd"], "evalspan_cost_usd_total") == 0.5
    tokens = found["gen_ai_client_token_usage"]
    assert value(tokens, "gen_ai_client_token_usage_count", gen_ai_token_type="input") == 2
    assert value(tokens, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 2.0**64
    chunk = "gen_ai_client_operation_time_to_first_chunk_seconds"
    assert value(found[chunk], f"{chunk}_sum") == 0.01


def test_what_other_processes_know_is_read_at_the_scrape() -> None:
    metrics = Metrics([], Budgets({}))
    metrics.add_source(lambda: [Gauge("evalspan_wal_bytes", 7), Gauge("evalspan_requests", 3)])
    found = page(metrics)
    assert value(found["evalspan_wal_bytes"], "evalspan_wal_bytes") == 7
    assert value(found["evalspan_requests"], "evalspan_requests_total") == 3


def test_a_page_that_fails_is_an_answer_and_the_server_goes_on() -> None:
    def broken(_path: str, _query: str) -> Page:
        raise ZeroDivisionError

    server = serve("127.0.0.1:0", Metrics([], Budgets({})), {"/reports/": broken})
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        for path, status in (
            ("/reports/", 500),
            ("/nothing", 404),
            ("/reportsx", 404),
        ):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(url + path)
            assert caught.value.code == status
        assert urllib.request.urlopen(f"{url}/healthz").status == 200
    finally:
        server.shutdown()


def test_a_target_that_is_no_address_is_an_answer() -> None:
    server = serve("127.0.0.1:0", Metrics([], Budgets({})), {})
    try:
        address = ("127.0.0.1", server.server_port)
        with socket.create_connection(address, timeout=10) as asked:
            asked.sendall(b"GET http://[ HTTP/1.0\r\n\r\n")
            assert b" 400 " in asked.makefile("rb").readline()
    finally:
        server.shutdown()


def test_every_metric_has_a_help_text_and_follows_the_naming_rules() -> None:
    names = [declared.name for declared in DECLARED]
    assert len(names) == len(set(names))
    for declared in DECLARED:
        assert declared.help.endswith(".")
        assert re.fullmatch(r"(evalspan|gen_ai)_[a-z_]*[a-z]", declared.name)
        assert not declared.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
        assert declared.name.endswith("_info") == (declared.kind == "info")
        assert not re.search("milli|micro|minute|_ms|kilo|percent|dollar", declared.name)
        assert list(declared.buckets) == sorted(set(declared.buckets))
        assert bool(declared.buckets) == (declared.kind == "histogram")


def test_the_metrics_of_the_conventions_are_named_as_the_exporter_of_the_collector_does() -> None:
    # Name and unit of the conventions: dots become _, s becomes seconds, {token} nothing.
    units = {"s": "_seconds", "{token}": ""}
    conventions = {
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.operation.time_to_first_chunk": "s",
        "gen_ai.client.token.usage": "{token}",
    }
    named = {name.replace(".", "_") + units[unit] for name, unit in conventions.items()}
    assert named == {d.name for d in DECLARED if d.name.startswith("gen_ai_")}


def test_units_and_infos_are_told_as_openmetrics_has_them() -> None:
    metrics = Metrics([], Budgets({}))
    metrics.add_source(lambda: [Gauge("evalspan_build_info", 1, {"version": "1.2"})])
    text = generate_latest(metrics).decode()  # type: ignore[arg-type]
    told = {f.name: f for f in text_string_to_metric_families(text)}
    assert told.keys() == {declared.family for declared in DECLARED}
    for declared in DECLARED:
        assert told[declared.family].unit == declared.unit
        assert told[declared.family].type == declared.kind
    assert told["evalspan_wal_bytes"].unit == "bytes"
    assert 'evalspan_build_info{version="1.2"} 1.0' in text


@pytest.mark.parametrize("bounds", [(10, 5), (1, 1), (-1, 0, -2)])
def test_bounds_of_buckets_that_do_not_rise_are_a_mistake_of_the_config(bounds: tuple) -> None:
    with pytest.raises(ValidationError, match="expected numbers that rise"):
        MetricsSettings(buckets={"latency": bounds})


def test_bounds_of_buckets_that_rise_are_taken() -> None:
    assert MetricsSettings(buckets={"latency": (-1, 0, 2.5)}).buckets == {"latency": (-1, 0, 2.5)}

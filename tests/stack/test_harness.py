"""The real servers do what the other stack tests rely on."""

import subprocess
from urllib.parse import urlsplit

import pytest
from otlp_logs import TRACE_ID, send_log
from processes import ROOT, call, program, wait_for
from servers import Loki, Prometheus, Stack

from evalspan.testing import plain_span, request, span

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

COUNTER_WITH_EXEMPLAR = f"""# TYPE answers counter
answers_total{{verdict="fail"}} 3.0 # {{trace_id="{TRACE_ID}"}} 1.0
# TYPE duration_seconds histogram
duration_seconds_bucket{{le="0.5"}} 1.0
duration_seconds_bucket{{le="+Inf"}} 2.0 # {{trace_id="{TRACE_ID}"}} 0.9
duration_seconds_count 2.0
duration_seconds_sum 1.2
# EOF
"""
RULE = """groups:
  - name: test
    rules:
      - alert: TooManyFails
        expr: answers_total{verdict="fail"} > 2
        annotations:
          summary: "{{ $value }} answers failed"
"""


def test_loki_finds_an_otlp_record_by_its_attributes(stack: Stack) -> None:
    loki: Loki = stack.loki()
    send_log(loki, "score fell", {"check.name": "json_valid"})

    found = wait_for(
        lambda: loki.lines('{service_name="evalspan"} | check_name="json_valid"'),
        "Loki finds the record",
    )

    [(labels, line)] = found
    assert line == "score fell"
    assert labels["trace_id"] == TRACE_ID
    assert labels["severity_text"] == "WARN"
    assert loki.lines('{service_name="evalspan"} | check_name="other"') == []


def test_prometheus_keeps_the_trace_ids_of_exemplars(stack: Stack) -> None:
    page = stack.exposition(lambda: COUNTER_WITH_EXEMPLAR)
    prometheus: Prometheus = stack.prometheus({"test": page.url})

    wait_for(lambda: prometheus.value("answers_total"), "Prometheus scrapes")
    [series] = prometheus.exemplars('answers_total{job="test"}')

    assert series["exemplars"][0]["labels"] == {"trace_id": TRACE_ID}
    [bucket] = prometheus.exemplars("duration_seconds_bucket")
    assert bucket["seriesLabels"]["le"] == "+Inf"


def test_an_alert_reaches_the_webhook_and_is_resolved(stack: Stack) -> None:
    text = [COUNTER_WITH_EXEMPLAR]
    page = stack.exposition(lambda: text[0])
    webhook = stack.webhook()
    rules = stack.folder / "rules.yaml"
    alertmanager = stack.alertmanager(webhook.url)
    rules.write_text(RULE)
    stack.prometheus({"test": page.url}, rules=[rules], alertmanager=alertmanager)

    assert webhook.alert("TooManyFails")["annotations"]["summary"] == "3 answers failed"
    text[0] = COUNTER_WITH_EXEMPLAR.replace(" 3.0", " 1.0")
    webhook.alert("TooManyFails", "resolved")


def test_prometheus_scrapes_the_host(stack: Stack) -> None:
    node = stack.node_exporter()
    prometheus = stack.prometheus({"node": node.url()})

    memory = wait_for(lambda: prometheus.value("node_memory_MemTotal_bytes"), "host is scraped")

    assert memory > 0
    assert prometheus.query('node_cpu_seconds_total{mode="idle"}')


def test_the_collector_passes_spans_on_and_copies_them_to_the_sidecar(stack: Stack) -> None:
    backend, sidecar = stack.span_sink(), stack.span_sink()
    collector = stack.collector(
        ROOT / "collector-config" / "collector.yaml",
        environment={
            "EVALSPAN_BACKEND_ENDPOINT": urlsplit(backend.endpoint).netloc,
            "EVALSPAN_SIDECAR_ENDPOINT": urlsplit(sidecar.endpoint).netloc,
        },
    )
    address = collector.url("EVALSPAN_OTLP_HTTP_ENDPOINT")
    spans = request(span(), plain_span("GET /", number=2), scope="shop").SerializeToString()

    call(f"{address}/v1/traces", spans, {"Content-Type": "application/x-protobuf"})

    wait_for(lambda: len(backend.spans) == 2, "both spans reach the backend")
    wait_for(lambda: len(sidecar.spans) == 1, "the GenAI span reaches the sidecar")


def test_promtool_is_there() -> None:
    answer = subprocess.run(
        [program("promtool"), "--version"], check=True, capture_output=True, timeout=30
    )
    assert b"promtool" in answer.stdout + answer.stderr


def test_a_server_that_does_not_start_shows_its_log(stack: Stack) -> None:
    rules = stack.folder / "rules.yaml"
    rules.write_text("groups: 7")

    with pytest.raises(AssertionError, match="prometheus ended with") as caught:
        stack.prometheus({}, rules=[rules])

    assert "cannot unmarshal" in caught.value.__notes__[0]


def test_a_missing_program_fails_where_the_stack_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVALSPAN_REQUIRE_STACK", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not here"):
        program("no-such-server")
    monkeypatch.setenv("EVALSPAN_REQUIRE_STACK", "0")
    with pytest.raises(pytest.skip.Exception, match="make stack"):
        program("no-such-server")

"""The whole way, every server real: an app's spans become scores, an alert and a report.

App with real SDKs and instrumentors → Collector with the processor → sidecar →
Prometheus (scrape, rule) → Alertmanager → webhook; reports → Loki. Only the model
provider and the tracing backend are stand-ins.
"""

from collections.abc import Iterator

import pytest
from panel_queries import empty
from processes import NotReady, call, wait_for
from servers import Stack
from story import BROKEN_CHECK, BROKEN_CUSTOMER, World, improve, story, tell

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

PASSED = 'sum(evalspan_verdicts_total{{item="",verdict="pass",{0}}})'
DECIDED = 'sum(evalspan_verdicts_total{{item="",verdict=~"pass|fail",{0}}})'
SELECTED = "sum(otelcol_processor_evalspan_selected_spans)"
LOST = "sum(otelcol_processor_evalspan_not_queued_spans) or vector(0)"
SPANS_UNACCOUNTED = "sum(evalspan_spans_unaccounted)"
EVALUATIONS_UNACCOUNTED = "max(abs(evalspan_evaluations_unaccounted))"
SETTLING_SECONDS = 240


@pytest.fixture(scope="module")
def world(module_stack: Stack) -> Iterator[World]:
    with story(module_stack) as started:
        yield started


def pass_rate(world: World, selector: str) -> float:
    rate = f"{PASSED.format(selector)} / {DECIDED.format(selector)}"
    return wait_for(lambda: world.prometheus.value(rate), rate)


def is_settled(world: World, selected: float) -> bool:
    """Prometheus has seen that everything the Collector selected is stored and settled."""
    stored = world.prometheus.value('sum(evalspan_spans_total{outcome="stored"})')
    pending = world.prometheus.value("sum(evalspan_pending_spans)")
    if (stored, pending) != (selected, 0) or world.prometheus.value(SELECTED) != selected:
        msg = f"stored {stored:.0f} of {selected:.0f}, {pending:.0f} not settled"
        raise NotReady(msg)
    return True


@pytest.fixture(scope="module")
def settled(world: World) -> World:
    wait_for(
        lambda: len(world.backend.spans) >= world.spans_sent,
        "all spans reach the backend",
        seconds=SETTLING_SECONDS,
    )
    selected = world.selected_spans()
    wait_for(lambda: is_settled(world, selected), "everything is scored", seconds=SETTLING_SECONDS)
    return world


def test_the_backend_gets_every_span_once(settled: World) -> None:
    ids = [(span.trace_id, span.span_id) for _, span in settled.backend.spans]

    assert all(run.spans_failed == 0 for run in settled.runs.values())
    assert len(ids) == len(set(ids)) == settled.spans_sent


def test_nothing_is_lost_between_collector_and_tables(settled: World) -> None:
    prometheus = settled.prometheus

    assert prometheus.value(LOST) == 0
    assert settled.selected_spans() == prometheus.value(
        'sum(evalspan_spans_total{outcome="received"})'
    )
    wait_for(lambda: prometheus.value(SPANS_UNACCOUNTED) == 0, "every span is accounted for")
    assert not prometheus.query('evalspan_spans_total{outcome="quarantined"} > 0')


def test_every_evaluation_is_accounted_for(settled: World) -> None:
    wait_for(
        lambda: settled.prometheus.value(EVALUATIONS_UNACCOUNTED) == 0,
        "expected = done + skipped + error + pending",
        seconds=SETTLING_SECONDS,
    )


def test_the_second_prompt_breaks_one_customer(settled: World) -> None:
    check = f'check="{BROKEN_CHECK}"'
    slice_ = f'{check},customer="{BROKEN_CUSTOMER}"'
    others = f'{check},customer!="{BROKEN_CUSTOMER}",prompt_version="v2"'

    before = pass_rate(settled, f'{slice_},prompt_version="v1"')
    after = pass_rate(settled, f'{slice_},prompt_version="v2"')
    rest = pass_rate(settled, others)

    tell(f"{BROKEN_CHECK}: {BROKEN_CUSTOMER} {before:.1%} → {after:.1%}, all others {rest:.1%}")
    assert before > 0.9
    assert after < 0.8
    assert rest > 0.9


def test_a_call_is_counted_once(settled: World) -> None:
    """The anthropic SDK's own span and the instrumentor's are two spans of one call."""
    counted = settled.prometheus.value("sum(gen_ai_client_operation_duration_seconds_count)")
    verdicts = settled.prometheus.value(DECIDED.format(f'check="{BROKEN_CHECK}"'))

    assert counted == settled.models.requests["answer"]
    assert verdicts == sum(run.calls for run in settled.runs.values())


def test_a_judge_answers_the_questions_for_every_support_run(settled: World) -> None:
    labels = 'check="support_manners",item="names_order"'
    answers = f"sum(evalspan_verdicts_total{{{labels}}})"
    decided = f'sum(evalspan_verdicts_total{{{labels},verdict=~"pass|fail"}})'
    runs = sum(run.support_runs for run in settled.runs.values())

    wait_for(lambda: settled.prometheus.value(answers) == runs, answers, seconds=SETTLING_SECONDS)
    assert settled.prometheus.value(decided) > 0.9 * runs


def test_an_exemplar_leads_to_a_trace_of_the_backend(settled: World) -> None:
    series = settled.prometheus.exemplars(
        f'evalspan_verdicts_total{{check="{BROKEN_CHECK}",verdict="fail"}}', seconds=3600
    )
    shown = {e["labels"]["trace_id"] for one in series for e in one["exemplars"]}
    known = {span.trace_id.hex() for _, span in settled.backend.spans}

    assert shown
    assert shown <= known


def test_the_alert_fires_for_the_broken_customer(settled: World) -> None:
    alert = settled.webhook.alert("EvalspanScoreRegression", seconds=SETTLING_SECONDS)

    wait_for(
        lambda: [
            found
            for found in settled.prometheus.alerts("EvalspanScoreRegression")
            if found["labels"]["check"] == BROKEN_CHECK
            and BROKEN_CUSTOMER in found["annotations"]["slice"]
        ],
        f"an alert names {BROKEN_CUSTOMER}",
    )
    tell(f"alert: {alert['annotations']['summary']}")
    assert "instead of" in alert["annotations"]["summary"]
    assert "<no value>" not in str(alert["annotations"])


def test_the_report_is_found_in_loki_with_its_traces(settled: World) -> None:
    query = f'{{service_name="evalspan"}} |= "{BROKEN_CUSTOMER}"'
    found = wait_for(
        lambda: settled.loki.lines(query), "the report is in Loki", seconds=SETTLING_SECONDS
    )
    known = {span.trace_id.hex() for _, span in settled.backend.spans}
    traces = {labels["trace_id"] for labels, _ in found if labels.get("trace_id")}

    for _, line in settled.loki.lines(
        f'{query} | json title="title" | line_format "{{{{.title}}}}"'
    ):
        tell(f"Loki: {line}")
    assert any(BROKEN_CHECK in str(labels) + line for labels, line in found)
    assert traces
    assert traces <= known


def test_the_report_page_is_served(settled: World) -> None:
    page = wait_for(
        lambda: call(f"{settled.sidecar.url()}/reports/").decode(),
        "the list of reports",
        seconds=SETTLING_SECONDS,
    )
    assert BROKEN_CHECK in page


def test_no_panel_of_the_dashboards_is_empty(settled: World) -> None:
    """Every query of every panel answers; GPUs and the like are asked for in tests/grafana."""
    settled.webhook.alert("EvalspanScoreRegression", seconds=SETTLING_SECONDS)
    search = improve(settled)
    tell(f"search for a better prompt: accepted {search['accepted'] is not None}")

    def all_answer() -> bool:
        silent = empty(settled.prometheus, settled.loki)
        if silent:
            raise NotReady("\n".join(silent))
        return True

    wait_for(all_answer, "every panel has data")

"""No panel says "No data": every query of the dashboards is run against real servers."""

import json

import pytest
from exposition_double import ExpositionDouble
from otlp_logs import send_log
from panel_queries import DASHBOARDS, ELSEWHERE, PanelQuery, empty, panel_queries
from processes import NotReady, wait_for
from servers import Loki, Stack

pytestmark = pytest.mark.stack

COMMON = {"regression_id": "r1", "title": "it fell", "report_url": "https://evalspan.example/1"}
RATES = {"before": 0.9, "after": 0.6, "before_n": 100, "after_n": 90}
COMPARED = {"before": 0.6, "after": 0.9, "difference": 0.3, "low": 0.2, "high": 0.4, "n": 50}
PROPOSAL = {
    "mutator": "rewrite",
    "rationale": "a rule was missing",
    "diff": "+ a rule",
    "reason": "no better",
    "judgement": {"reasons": ["+30 points"], "checks": [COMPARED]},
}
RECORDS = {
    "evalspan.regression": {
        "summary": "from 90% to 60%",
        "failures": {"reasons": [{"words": "no JSON", "count": 30}]},
    },
    "evalspan.root_cause": {"rank": 1, "kind": "slice", "share": 0.8, "rates": RATES},
    "evalspan.optimization": {
        "verdict": "accepted",
        "summary": "proven",
        "accepted": PROPOSAL,
        "rejected": [PROPOSAL],
        "rejected_count": 1,
        "worse": 0,
        "proposals": 2,
        "holdout_cases": 50,
    },
}


def send_records(loki: Loki) -> None:
    for name, body in RECORDS.items():
        attributes = {
            "event.name": name,
            "evalspan.check": "json_valid",
            "evalspan.view": "prod",
            "evalspan.verdict": "accepted",
        }
        send_log(loki, json.dumps({**COMMON, **body}), attributes)


def test_every_query_of_every_panel_returns_something(stack: Stack) -> None:
    """Against the double of the metrics page; the story asks the real sidecar."""
    loki = stack.loki()
    send_records(loki)
    node = stack.node_exporter()
    page = stack.exposition(ExpositionDouble())
    prometheus = stack.prometheus({"evalspan": page.url, "node": node.url()})

    def all_answer() -> bool:
        silent = [
            line
            for line in empty(prometheus, loki, everywhere=True)
            if "service_slo:" not in line  # of the rules, which look once a minute
        ]
        if silent:
            raise NotReady("\n".join(silent))
        return True

    wait_for(all_answer, "every panel has data", seconds=60)


def test_a_panel_without_data_is_named(stack: Stack) -> None:
    double = ExpositionDouble()

    def some() -> str:
        kept = [line for line in double().splitlines() if "evalspan_spans_total" not in line]
        return "\n".join([*kept, ""])

    page = stack.exposition(some)
    prometheus = stack.prometheus({"evalspan": page.url})
    loki = stack.loki()
    wait_for(lambda: prometheus.query("evalspan_wal_bytes"), "the page is scraped")

    silent = "\n".join(empty(prometheus, loki))

    assert "pipeline: panel 'Spans by outcome', query A: nothing" in silent
    assert "regression: panel 'Report', query A: nothing" in silent
    assert "overview: panel 'CPU busy', query A: nothing" in silent
    assert "overview: panel 'GPU busy'" not in silent


def test_without_any_series_the_variables_are_named(stack: Stack) -> None:
    prometheus = stack.prometheus({"evalspan": stack.exposition(lambda: "# EOF\n").url})

    silent = "\n".join(empty(prometheus, stack.loki()))

    assert "overview: variable customer: no values" in silent
    assert "regression: a variable has no value" in silent


def test_a_variable_without_a_value_is_named() -> None:
    query = PanelQuery("panel 'X'", "prometheus", 'up{job="$nobody"}', instant=True)
    with pytest.raises(AssertionError, match=r"no value for \$nobody"):
        query.filled({})


def test_only_panels_of_machines_are_left_to_the_double() -> None:
    queries = [query for path in DASHBOARDS for query in panel_queries(path)]
    left = {query.where.partition("'")[2].partition("'")[0] for query in queries if query.elsewhere}

    assert left == {
        "GPU busy",
        "GPU memory used",
        "Model server: cache used",
        "Model server: requests",
        "TPU busy",
        "TPU memory used",
    }
    assert all(any(mark in query.expression for query in queries) for mark in ELSEWHERE)

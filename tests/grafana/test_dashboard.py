"""The committed dashboard: made by its code, complete, and naming only what exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboard import OUTPUT, text
from exposition_double import LABELS, label_names
from panel_queries import panel_queries, variable_queries
from processes import ROOT

from evalspan.metrics import DECLARED

RULES = sorted((ROOT / "grafana" / "rules").glob("*.yaml"))
# Written by the Python client, by node-exporter and by Prometheus itself.
FOREIGN = re.compile(r"process_\w+|node_\w+|up")
NAME = re.compile(r"\b(?:evalspan|gen_ai|process|node)_\w+\b(?!:)")
SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
}
SERIES = {
    metric.name + suffix: {*label_names(metric), "le", "job", "instance"}
    for metric in DECLARED
    for suffix in SUFFIXES[metric.kind]
}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(OUTPUT.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def rule_expressions() -> list[tuple[str, str]]:
    return [
        (rule.get("alert") or rule["record"], rule["expr"])
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def all_expressions() -> list[tuple[str, str]]:
    shown = [(q.where, q.expression) for q in panel_queries() if q.source == "prometheus"]
    chosen = [(name, f"{metric}{{{label}=~''}}") for name, metric, label in variable_queries()]
    return [*shown, *chosen, *rule_expressions()]


def test_the_committed_json_is_what_the_code_makes() -> None:
    assert OUTPUT.read_text(encoding="utf-8") == text(), "run: python grafana/dashboard.py"


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert len(panel["description"].split()) >= 8
    assert panel["targets"]
    if panel["type"] != "logs":
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            assert x < 24
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_panel_ids_are_unique() -> None:
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(("where", "expression"), all_expressions())
def test_every_metric_and_label_is_declared(where: str, expression: str) -> None:
    for name in NAME.findall(expression):
        assert name in SERIES or name in LABELS or FOREIGN.fullmatch(name), (where, name)
    for name, selector in SELECTOR.findall(expression):
        if name in SERIES:
            assert set(LABEL.findall(selector)) <= SERIES[name], (where, name)


def test_every_declared_metric_is_shown_or_alerted() -> None:
    asked = " ".join(expression for _, expression in all_expressions())
    silent = {metric.name for metric in DECLARED if metric.name not in asked}
    assert silent == NOT_SHOWN


# Metrics for which the page of the reference and an ad-hoc query are enough.
NOT_SHOWN = {
    "evalspan_build_info",
    "evalspan_check_info",
    "evalspan_judge_cost_usd",
    "evalspan_log_records",
    "evalspan_pending_segments",
    "evalspan_request_bytes",
    "evalspan_requests",
    "evalspan_traces_settled",
}


def test_provisioning_names_the_dashboard_and_both_sources() -> None:
    folder: Path = ROOT / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "evalspan.yaml").read_text())
    provider = yaml.safe_load((folder / "dashboards" / "evalspan.yaml").read_text())

    assert {source["type"] for source in sources["datasources"]} == {"prometheus", "loki"}
    assert provider["providers"][0]["type"] == "file"
    assert provider["providers"][0]["options"]["path"].startswith("/")

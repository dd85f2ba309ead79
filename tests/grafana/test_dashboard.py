"""The committed dashboards: made by their code, complete, and naming only what exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboard import FOLDER, PAGES, text
from exposition_double import ELSEWHERE, LABELS, label_names
from panel_queries import DASHBOARDS, panel_queries, query_variables
from processes import ROOT

from evalspan.metrics import DECLARED

RULES = sorted((ROOT / "grafana" / "rules").glob("*.yaml"))
# Written by the Python client, by node-exporter and by Prometheus itself.
FOREIGN = re.compile(r"process_\w+|node_\w+|up")
NAME = re.compile(r"\b(?:evalspan|gen_ai|process|node)_\w+\b(?!:)|\b(?:DCGM_FI|vllm:)\w+")
SELECTOR = re.compile(r"([\w:]+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
}
SERIES = {
    metric.family + suffix: {*label_names(metric), "le", "job", "instance"}
    for metric in DECLARED
    for suffix in SUFFIXES[metric.kind]
} | ELSEWHERE
KINDS = {"stat", "table", "timeseries", "logs"}
FILTERS = {"service", "prompt", "version", "model", "customer", "view"}


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in load(path)["panels"] if panel["type"] != "row"]


ALL_PANELS = [(path.stem, panel) for path in DASHBOARDS for panel in panels(path)]


def rule_expressions() -> list[tuple[str, str]]:
    return [
        (rule.get("alert") or rule["record"], rule["expr"])
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def all_expressions() -> list[tuple[str, str]]:
    queries = [query for path in DASHBOARDS for query in panel_queries(path)]
    shown = [(q.where, q.expression) for q in queries if q.source == "prometheus"]
    variables = [each for path in DASHBOARDS for each in query_variables(path)]
    chosen = [(each.where, f"{each.series}") for each in variables]
    return [*shown, *chosen, *rule_expressions()]


def test_there_are_the_five_dashboards() -> None:
    assert {path.stem for path in DASHBOARDS} == set(PAGES)
    assert set(PAGES) == {"overview", "prompt", "regression", "optimization", "pipeline"}
    assert {load(path)["uid"] for path in DASHBOARDS} == {f"evalspan-{name}" for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_json_is_what_the_code_makes(name: str) -> None:
    committed = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert committed == text(name), "run: python grafana/dashboard.py"


@pytest.mark.parametrize(
    ("page", "panel"), ALL_PANELS, ids=[f"{page}-{panel['title']}" for page, panel in ALL_PANELS]
)
def test_a_panel_says_what_it_shows_and_what_is_missing(page: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["type"] in KINDS, page
    assert len(panel["description"].split()) >= 8
    assert panel["targets"]
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"]
    assert len(defaults["noValue"]) > 10


def test_panels_of_machines_say_what_to_install() -> None:
    shown = {
        panel["title"]: panel["fieldConfig"]["defaults"]["noValue"]
        for _, panel in ALL_PANELS
        if any(mark in str(panel["targets"]) for mark in ("node_", "DCGM", "vllm", "cloud-tpu"))
    }
    assert len(shown) == 8
    assert all("let Prometheus scrape" in words for words in shown.values())


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels(path):
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            assert x < 24
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panel_ids_are_unique(path: Path) -> None:
    numbers = [panel["id"] for panel in panels(path)]
    assert len(numbers) == len(set(numbers))


def test_every_filter_that_was_promised_is_there() -> None:
    offered = {v["name"] for path in DASHBOARDS for v in load(path)["templating"]["list"]}
    assert offered >= FILTERS


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_variable_that_is_asked_for_is_offered(path: Path) -> None:
    offered = {v["name"] for v in load(path)["templating"]["list"]} | {"__rate_interval", "__range"}
    offered |= {"__value", "__data", "__field", "__url_time_range"}
    asked = set(re.findall(r"\$\{?(\w+)", json.dumps(load(path)["panels"])))
    assert asked <= offered


def test_traces_and_reports_are_a_click_away() -> None:
    links = [
        (page, link["url"])
        for page, panel in ALL_PANELS
        for override in panel["fieldConfig"].get("overrides", [])
        for each in override["properties"]
        if each["id"] == "links"
        for link in each["value"]
    ]
    for store in ("tempo", "jaeger"):
        to_store = {page for page, url in links if "/explore?" in url and store in url}
        assert to_store == {"prompt", "regression", "optimization"}
    assert {page for page, url in links if "/d/evalspan-regression" in url} == {
        "overview",
        "optimization",
    }


def test_exemplars_are_asked_for_on_charts_of_scores_and_times() -> None:
    asked = {
        panel["title"]
        for _, panel in ALL_PANELS
        for target in panel["targets"]
        if target.get("exemplar")
    }
    assert {"Pass rate per check", "Latency", "Pass rate per check and version"} <= asked


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
NOT_SHOWN = {"evalspan_request_bytes"}


def test_provisioning_names_the_dashboards_and_the_sources() -> None:
    folder: Path = ROOT / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "evalspan.yaml").read_text())
    provider = yaml.safe_load((folder / "dashboards" / "evalspan.yaml").read_text())
    [prometheus] = [s for s in sources["datasources"] if s["type"] == "prometheus"]

    assert {s["type"] for s in sources["datasources"]} == {"prometheus", "loki", "tempo"}
    assert prometheus["jsonData"]["exemplarTraceIdDestinations"][0]["name"] == "trace_id"
    assert provider["providers"][0]["type"] == "file"
    assert provider["providers"][0]["options"]["path"].startswith("/")

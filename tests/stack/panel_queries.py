"""Run every query of the Grafana dashboard and name the panels that would say "No data"."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients import LokiApi, PrometheusApi
from processes import ROOT

DASHBOARD = ROOT / "grafana" / "dashboards" / "evalspan.json"
# What Grafana puts in for "All", and for traffic that has run for a minute or more.
VALUES: Mapping[str, str] = {
    **dict.fromkeys(("service", "check", "prompt", "customer"), ".*"),
    **dict.fromkeys(("window", "__rate_interval", "__range"), "5m"),
}
LABEL_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel, of a variable or of the marks on all panels."""

    where: str
    source: str
    expression: str
    instant: bool

    def filled(self, values: Mapping[str, str]) -> str:
        """Put the variables in; AssertionError names one that has no value."""

        def value(match: "re.Match[str]") -> str:
            name = match[1]
            assert name in values, f"{self.where}: no value for ${name}"
            return values[name]

        return re.sub(r"\$(\w+)", value, self.expression)


def panel_queries(path: Path = DASHBOARD) -> list[PanelQuery]:
    """List the queries of all panels and marks of a dashboard's JSON."""
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    marks = [
        PanelQuery(f"annotation {mark['name']!r}", "prometheus", mark["expr"], instant=False)
        for mark in dashboard["annotations"]["list"]
    ]
    return [*_of_panels(dashboard["panels"]), *marks]


def _of_panels(panels: list[dict[str, Any]]) -> Iterator[PanelQuery]:
    for panel in panels:
        yield from _of_panels(panel.get("panels", []))
        for target in panel.get("targets", []):
            where = f"panel {panel['title']!r}, query {target['refId']}"
            source = target["datasource"]["type"]
            yield PanelQuery(where, source, target["expr"], bool(target.get("instant")))


def variable_queries(path: Path = DASHBOARD) -> list[tuple[str, str, str]]:
    """List (variable, metric, label) of the variables that Prometheus fills."""
    variables = json.loads(path.read_text(encoding="utf-8"))["templating"]["list"]
    queries = [(v["name"], v["query"]) for v in variables if v["type"] == "query"]
    found = [(name, LABEL_VALUES.fullmatch(query)) for name, query in queries]
    assert all(match for _, match in found), queries
    return [(name, match[1], match[2]) for name, match in found if match]


def empty(
    prometheus: PrometheusApi,
    loki: LokiApi,
    *,
    values: Mapping[str, str] = VALUES,
    path: Path = DASHBOARD,
) -> list[str]:
    """Say which queries of the dashboard return nothing, with the query; [] is good."""
    silent = [
        f"{query.where}: {query.filled(values)}"
        for query in panel_queries(path)
        if not _answers(query, query.filled(values), prometheus, loki)
    ]
    silent += [
        f"variable {name}: no values of {label} on {metric}"
        for name, metric, label in variable_queries(path)
        if not prometheus.label_values(metric, label)
    ]
    return silent


def _answers(query: PanelQuery, expression: str, prometheus: PrometheusApi, loki: LokiApi) -> bool:
    if query.source == "loki":
        return bool(loki.query(expression))
    if query.instant:
        samples = [series["value"] for series in prometheus.query(expression)]
    else:
        series = prometheus.query_range(expression)
        samples = [sample for one in series for sample in one["values"]]
    return any(not math.isnan(float(number)) for _, number in samples)

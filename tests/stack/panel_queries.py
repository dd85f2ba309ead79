"""Run every query of the Grafana dashboards and name the panels that would say "No data"."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from clients import LokiApi, PrometheusApi
from processes import ROOT

FOLDER = ROOT / "grafana" / "dashboards"
DASHBOARDS = sorted(FOLDER.glob("*.json"))
ALL = ".*"
# What Grafana puts in for traffic that has run for a minute or more.
BUILT_IN: Mapping[str, str] = dict.fromkeys(("__rate_interval", "__range"), "5m")
CHOSEN: Mapping[str, str] = {"window": "5m", "target": "0.95", "view": ALL}
# Sources that no machine of a test has: what they measure → why. A double stands in for them.
ELSEWHERE: Mapping[str, str] = {
    "DCGM_FI_": "needs a GPU and dcgm-exporter",
    "vllm:": "needs a model server with a GPU",
    'make="cloud-tpu"': "needs a TPU",
}
LABEL_VALUES = re.compile(r"label_values\((\w+(?:\{.*\})?), (\w+)\)")
EXTRACTED = re.compile(r'[ ,](\w+)="[\w.\[\]]+"')
# Fields of a record that are empty where all is well, or where a setting is not made.
OPTIONAL = frozenset({"error", "advice", "report", "usd", "diff"})


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel or of the marks on all panels."""

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

    @property
    def elsewhere(self) -> str | None:
        """Why its source cannot be here; None where it must be."""
        return next((why for mark, why in ELSEWHERE.items() if mark in self.expression), None)


@dataclass(frozen=True)
class Variable:
    """A variable that Prometheus fills; `single` has one value at a time."""

    where: str
    name: str
    series: str
    label: str
    single: bool

    def values(self, prometheus: PrometheusApi, known: Mapping[str, str]) -> list[str]:
        """Values that it offers, given those of the variables before it."""
        series = PanelQuery(self.where, "prometheus", self.series, instant=True).filled(known)
        return prometheus.label_values(series, self.label)


def panel_queries(path: Path) -> list[PanelQuery]:
    """List the queries of all panels and marks of a dashboard's JSON."""
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    name = path.stem
    marks = [
        PanelQuery(
            f"{name}: annotation {mark['name']!r}", "prometheus", mark["expr"], instant=False
        )
        for mark in dashboard.get("annotations", {}).get("list", [])
    ]
    return [*_of_panels(name, dashboard["panels"]), *marks]


def _of_panels(name: str, panels: list[dict[str, Any]]) -> Iterator[PanelQuery]:
    for panel in panels:
        yield from _of_panels(name, panel.get("panels", []))
        for target in panel.get("targets", []):
            where = f"{name}: panel {panel['title']!r}, query {target['refId']}"
            source = target["datasource"]["type"]
            yield PanelQuery(where, source, target["expr"], bool(target.get("instant")))


def query_variables(path: Path) -> list[Variable]:
    """List the variables of a dashboard that Prometheus fills, in order."""
    listed = json.loads(path.read_text(encoding="utf-8"))["templating"]["list"]
    return [
        Variable(f"{path.stem}: variable {each['name']}", each["name"], *_parts(each["query"]),
                 single=not each.get("includeAll"))
        for each in listed
        if each["type"] == "query"
    ]  # fmt: skip


def _parts(query: str) -> tuple[str, str]:
    match = LABEL_VALUES.fullmatch(query)
    assert match, query
    return match[1], match[2]


def empty(prometheus: PrometheusApi, loki: LokiApi, *, everywhere: bool = False) -> list[str]:
    """Say which queries of the dashboards return nothing, with the query; [] is good.

    A page about one thing (a prompt, a regression) is asked about each there is; a query that
    answers for one of them is not empty. Sources that are ELSEWHERE are left out unless
    `everywhere` is said.
    """
    return list(chain.from_iterable(_empty(p, prometheus, loki, everywhere) for p in DASHBOARDS))


def _empty(
    path: Path,
    prometheus: PrometheusApi,
    loki: LokiApi,
    everywhere: bool,  # noqa: FBT001 - handed on
) -> Iterator[str]:
    variables = query_variables(path)
    settings = list(_settings(variables, prometheus, {**BUILT_IN, **CHOSEN}))
    if not settings:
        yield f"{path.stem}: a variable has no value"
        return
    for variable in variables:
        if not any(variable.values(prometheus, values) for values in settings):
            yield f"{variable.where}: no values of {variable.label} on {variable.series}"
    for query in panel_queries(path):
        if query.elsewhere and not everywhere:
            continue
        asked = [query.filled(values) for values in settings]
        why = _silence(query, asked, prometheus, loki)
        if why:
            yield f"{query.where}: {why}: {asked[0]}"


def _settings(
    variables: Sequence[Variable], prometheus: PrometheusApi, known: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """Yield every way to fill the variables in."""
    if not variables:
        yield known
        return
    first, *rest = variables
    values = first.values(prometheus, known) if first.single else [ALL]
    for value in values:
        yield from _settings(rest, prometheus, {**known, first.name: value})


def _silence(
    query: PanelQuery, asked: Sequence[str], prometheus: PrometheusApi, loki: LokiApi
) -> str | None:
    """Say what is missing of the answers; None where one of them is whole."""
    if query.source == "prometheus":
        known = any(_has_numbers(query, one, prometheus) for one in asked)
        return None if known else "nothing"
    fields: set[str] = set()
    answers = [answer for one in asked for answer in loki.query(one)]
    for answer in answers:
        labels = answer.get("stream", {})
        fields |= {name for name, text in labels.items() if text}
    if not answers:
        return "nothing"
    if "count_over_time" in query.expression or "sum_over_time" in query.expression:
        return None
    wanted = set(EXTRACTED.findall(query.expression)) - OPTIONAL
    missing = sorted(name for name in wanted if name not in fields)
    return f"no record has {', '.join(missing)}" if missing else None


def _has_numbers(query: PanelQuery, expression: str, prometheus: PrometheusApi) -> bool:
    if query.instant:
        samples = [series["value"] for series in prometheus.query(expression)]
    else:
        series = prometheus.query_range(expression)
        samples = [sample for one in series for sample in one["values"]]
    return any(not math.isnan(float(number)) for _, number in samples)

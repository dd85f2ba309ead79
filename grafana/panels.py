"""The kinds of panels that the dashboards have, each made by one call.

A panel needs a title, a description that says how to read it, a unit, thresholds and its
queries, and says in words what is missing where it has nothing to show.
"""  # noqa: INP001 - a folder of scripts, no package

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = logs.Panel | stat.Panel | table.Panel | timeseries.Panel
Section = tuple[str, Sequence[Panel]]
Steps = Sequence[tuple[float | None, str]]
METRICS = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
LOGS = dashboard.DataSourceRef(type_val="loki", uid="${logs}")
REF_IDS = "ABCDEFGHIJ"
HEIGHT = 8
STAT_HEIGHT = 4
GREEN, YELLOW, RED = "green", "yellow", "red"
FINE: Steps = ((None, GREEN),)
NONE_IS_FINE: Steps = ((None, GREEN), (1, RED))
SHARE: Steps = ((None, RED), (0.8, YELLOW), (0.95, GREEN))
BUSY: Steps = ((None, GREEN), (0.8, YELLOW), (0.95, RED))
NOTHING_YET = "Nothing in this time range."


@dataclass(frozen=True)
class Query:
    """An expression and how its series are named; `exemplars` shows trace ids on the chart."""

    expression: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class Words:
    """What stands on a panel: title, description, unit (Grafana's name of it).

    `missing` stands there instead of "No data"; `steps` are (lower bound, colour).
    """

    title: str
    description: str
    unit: str = "short"
    missing: str = NOTHING_YET
    steps: Steps = FINE


@dataclass(frozen=True)
class Link:
    """Where a click on a value leads."""

    title: str
    url: str

    def content(self) -> Mapping[str, object]:
        """Return it as Grafana keeps it."""
        return {"title": self.title, "url": self.url, "targetBlank": False}


def _explore(variable: str, kind: str) -> str:
    """Address of a trace store's view of the trace whose id was clicked."""
    query = {"refId": "A", "datasource": {"type": kind, "uid": "${" + variable + "}"}}
    query["query"] = "${__value.raw}"
    if kind == "tempo":
        query["queryType"] = "traceql"
    pane = {"datasource": "${" + variable + "}", "queries": [query]}
    panes = quote(json.dumps({"t": pane}, separators=(",", ":")), safe="${}_.:,")
    return f"/explore?schemaVersion=1&panes={panes}"


TRACES = (
    Link("Open the trace in Tempo", _explore("tempo", "tempo")),
    Link("Open the trace in Jaeger", _explore("jaeger", "jaeger")),
)
REGRESSION = Link(
    "Open the regression", "/d/evalspan-regression?var-id=${__data.fields.id}&${__url_time_range}"
)
PROMPT = Link(
    "Open the prompt",
    "/d/evalspan-prompt?var-prompt=${__field.labels.prompt}&${__url_time_range}",
)
REPORT = Link("Open the report", "${__value.raw}")


def series(
    words: Words,
    *queries: Query,
    width: int = 12,
    stacked: bool = False,
    share: bool = False,
    links: Sequence[Link] = (),
) -> timeseries.Panel:
    """Lines over time; `share` fixes the axis to 0..1."""
    panel = (
        timeseries.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .no_value(words.missing)
        .thresholds(_thresholds(words.steps))
        .datasource(METRICS)
        .height(HEIGHT)
        .span(width)
        .min(0)
        .line_width(2)
        .fill_opacity(30 if stacked else 5)
        .show_points(common.VisibilityMode.AUTO)
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .legend(
            options.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
    )
    if share:
        panel.max(1)
    if len(words.steps) > 1:
        style = options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(style)
    if stacked:
        panel.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if links:
        panel.data_links([_data_link(link) for link in links])
    for name, query in zip(REF_IDS, queries, strict=False):
        panel.with_target(_target(query, name).range())
    return panel


def number(words: Words, query: Query, *, width: int = 4, named: bool = False) -> stat.Panel:
    """One number, coloured by its thresholds; `named` shows the name of the series instead."""
    shown = common.BigValueTextMode.NAME if named else common.BigValueTextMode.AUTO
    return _stat(words, width).text_mode(shown).with_target(_target(query, "A").instant())


def counted(words: Words, expression: str, *, width: int = 4) -> stat.Panel:
    """One number that Loki counts."""
    target = loki.Dataquery().expr(expression).ref_id("A").datasource(LOGS).query_type("instant")
    return _stat(words, width).datasource(LOGS).with_target(target)


def _stat(words: Words, width: int) -> stat.Panel:
    return (
        stat.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .no_value(words.missing)
        .datasource(METRICS)
        .height(STAT_HEIGHT)
        .span(width)
        .thresholds(_thresholds(words.steps))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def rows(
    words: Words,
    columns: Sequence[tuple[Query, str, str]],
    *,
    hidden: Sequence[str] = (),
    width: int = 12,
    links: Mapping[str, Sequence[Link]] | None = None,
) -> table.Panel:
    """Table with one row per group of labels; each (query, title, unit) is a column.

    `hidden` names labels that the queries have and the reader does not need; `links` are column
    → where a click on it leads.
    """
    names = {f"Value #{name}": title for name, (_, title, _) in zip(REF_IDS, columns, strict=False)}
    panel = _table(words, width).datasource(METRICS)
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(_organized(dict.fromkeys(("Time", *hidden), True), names))
    for name, (query, title, unit) in zip(REF_IDS, columns, strict=False):
        panel.with_target(_target(query, name).instant().format(PromQueryFormat.TABLE))
        panel.override_by_name(title, [dashboard.DynamicConfigValue(id_val="unit", value=unit)])
    return _linked(panel, links or {})


def found(
    words: Words,
    expression: str,
    columns: Mapping[str, str],
    *,
    units: Mapping[str, str] | None = None,
    width: int = 24,
    links: Mapping[str, Sequence[Link]] | None = None,
) -> table.Panel:
    """Table of log records: one row each; columns are field of the record → title, in order.

    `units` are title → unit of the columns that are numbers, `links` title → where a click leads.
    """
    panel = _table(words, width).datasource(LOGS).height(HEIGHT + 2)
    target = loki.Dataquery().expr(expression).ref_id("A").datasource(LOGS).max_lines(200)
    panel.with_target(target)
    extract = {"source": "labels", "format": "json", "replace": False}
    panel.with_transformation(
        dashboard.DataTransformerConfig(id_val="extractFields", options=extract)
    )
    order = {field: place for place, field in enumerate(("Time", *columns))}
    chosen = {"include": {"names": list(order)}}
    panel.with_transformation(
        dashboard.DataTransformerConfig(id_val="filterFieldsByName", options=chosen)
    )
    panel.with_transformation(_organized({}, columns, order))
    numbers = [{"targetField": title, "destinationType": "number"} for title in units or {}]
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="convertFieldType", options={"fields": {}, "conversions": numbers}
        )
    )
    for title, unit in (units or {}).items():
        numeric = dashboard.DynamicConfigValue(id_val="unit", value=unit)
        panel.override_by_name(title, [numeric])
    return _linked(panel, links or {})


def lines(words: Words, expression: str, *, width: int = 24) -> logs.Panel:
    """Log records from Loki as text, newest first."""
    return (
        logs.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .no_value(words.missing)
        .thresholds(_thresholds(words.steps))
        .datasource(LOGS)
        .height(HEIGHT + 2)
        .span(width)
        .show_time(show_time=True)
        .wrap_log_message(wrap_log_message=True)
        .enable_log_details(enable_log_details=True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .with_target(loki.Dataquery().expr(expression).ref_id("A").datasource(LOGS).max_lines(200))
    )


def _table(words: Words, width: int) -> table.Panel:
    return (
        table.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .no_value(words.missing)
        .thresholds(_thresholds(words.steps))
        .height(HEIGHT)
        .span(width)
    )


def _organized(
    hidden: Mapping[str, bool], names: Mapping[str, str], order: Mapping[str, int] | None = None
) -> dashboard.DataTransformerConfig:
    settings = {"excludeByName": hidden, "renameByName": names, "indexByName": order or {}}
    return dashboard.DataTransformerConfig(id_val="organize", options=settings)


def _linked(panel: table.Panel, links: Mapping[str, Sequence[Link]]) -> table.Panel:
    for column, places in links.items():
        value = [link.content() for link in places]
        panel.override_by_name(column, [dashboard.DynamicConfigValue(id_val="links", value=value)])
    return panel


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=low, color=color) for low, color in steps])
    )


def _data_link(link: Link) -> build.DashboardLink:
    return build.DashboardLink(link.title).url(link.url).type(dashboard.DashboardLinkType.LINK)


def _target(query: Query, name: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(name).datasource(METRICS)
    if query.legend:
        target.legend_format(query.legend)
    return target.exemplar(exemplar=True) if query.exemplars else target

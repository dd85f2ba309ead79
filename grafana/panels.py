"""The kinds of panels that the dashboard has, each made by one call.

A panel needs a title, a description that says how to read it, a unit and its
queries: none of them can be left out.
"""  # noqa: INP001 - a folder of scripts, no package

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = logs.Panel | stat.Panel | table.Panel | timeseries.Panel
Section = tuple[str, Sequence[Panel]]
METRICS = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
LOGS = dashboard.DataSourceRef(type_val="loki", uid="${logs}")
REF_IDS = "ABCDEFGHIJ"
HEIGHT = 8
STAT_HEIGHT = 4
GREEN, YELLOW, RED = "green", "yellow", "red"


@dataclass(frozen=True)
class Query:
    """An expression and how its series are named; `exemplars` shows trace ids on the chart."""

    expression: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class Words:
    """What stands on a panel: title, description, unit (Grafana's name of it)."""

    title: str
    description: str
    unit: str


def series(
    words: Words, *queries: Query, width: int = 12, stacked: bool = False, share: bool = False
) -> timeseries.Panel:
    """Lines over time; `share` fixes the axis to 0..1."""
    panel = (
        timeseries.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
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
    if stacked:
        panel.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for name, query in zip(REF_IDS, queries, strict=False):
        panel.with_target(_target(query, name).range())
    return panel


def number(
    words: Words, query: Query, *steps: tuple[float | None, str], width: int = 4
) -> stat.Panel:
    """One number, coloured by the steps (lower bound, colour)."""
    return (
        stat.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .datasource(METRICS)
        .height(STAT_HEIGHT)
        .span(width)
        .thresholds(
            build.ThresholdsConfig()
            .mode(dashboard.ThresholdsMode.ABSOLUTE)
            .steps([dashboard.Threshold(value=low, color=color) for low, color in steps])
        )
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target(query, "A").instant())
    )


def rows(
    words: Words,
    columns: Sequence[tuple[Query, str, str]],
    *,
    hidden: Sequence[str] = (),
    width: int = 12,
) -> table.Panel:
    """Table with one row per group of labels; each (query, title, unit) is a column.

    `hidden` names labels that the queries have and the reader does not need.
    """
    names = {f"Value #{name}": title for name, (_, title, _) in zip(REF_IDS, columns, strict=False)}
    panel = (
        table.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .datasource(METRICS)
        .height(HEIGHT)
        .span(width)
        .with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": dict.fromkeys(("Time", *hidden), True),
                    "renameByName": names,
                },
            )
        )
    )
    for name, (query, title, unit) in zip(REF_IDS, columns, strict=False):
        panel.with_target(_target(query, name).instant().format(PromQueryFormat.TABLE))
        panel.override_by_name(title, [dashboard.DynamicConfigValue(id_val="unit", value=unit)])
    return panel


def lines(words: Words, query: Query, *, width: int = 24) -> logs.Panel:
    """Log records from Loki, newest first."""
    return (
        logs.Panel()
        .title(words.title)
        .description(words.description)
        .datasource(LOGS)
        .height(HEIGHT + 2)
        .span(width)
        .show_time(show_time=True)
        .wrap_log_message(wrap_log_message=True)
        .enable_log_details(enable_log_details=True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .with_target(
            loki.Dataquery().expr(query.expression).ref_id("A").datasource(LOGS).max_lines(200)
        )
    )


def _target(query: Query, name: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(name).datasource(METRICS)
    if query.legend:
        target.legend_format(query.legend)
    return target.exemplar(exemplar=True) if query.exemplars else target

"""The variables on top of the dashboards."""  # noqa: INP001 - a folder of scripts, no package

from collections.abc import Callable, Iterator, Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard
from panels import METRICS

Variable = (
    build.QueryVariable | build.DatasourceVariable | build.CustomVariable | build.TextBoxVariable
)
WINDOWS = "5m,15m,1h,6h,1d,7d"
# Name → (label on the page, plugin).
SOURCES = {
    "datasource": ("Prometheus", "prometheus"),
    "logs": ("Loki", "loki"),
    "tempo": ("Tempo", "tempo"),
    "jaeger": ("Jaeger", "jaeger"),
}
# Name → (label on the page, metric and label whose values it offers).
CHOICES = {
    "service": ("Service", "label_values(evalspan_verdicts_total, service)"),
    "check": ("Check", "label_values(evalspan_verdicts_total, check)"),
    "prompt": ("Prompt", "label_values(evalspan_verdicts_total, prompt)"),
    "version": (
        "Version",
        'label_values(evalspan_verdicts_total{prompt=~"$prompt"}, prompt_version)',
    ),
    "model": ("Model", "label_values(evalspan_verdicts_total, model)"),
    "customer": ("Customer", "label_values(evalspan_verdicts_total, customer)"),
}
# One value at a time: the page is about it.
SUBJECTS = {
    "prompt": ("Prompt", 'label_values(evalspan_verdicts_total{prompt!=""}, prompt)'),
    "id": ("Regression", "label_values(evalspan_regression_effect, id)"),
    "check": ("Check", 'label_values(evalspan_regression_effect{id="$id"}, check)'),
}


def variables(chosen: Sequence[str], subjects: Sequence[str] = ()) -> Iterator[Variable]:
    """Yield the sources of data, the subjects of the page, then the named filters."""
    for name, (label, kind) in SOURCES.items():
        yield build.DatasourceVariable(name).label(label).type(kind)
    for name in subjects:
        yield _query(name, *SUBJECTS[name])
    for name in chosen:
        yield _FIXED[name]() if name in _FIXED else _choice(name)


def _query(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(METRICS)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _choice(name: str) -> build.QueryVariable:
    return (
        _query(name, *CHOICES[name])
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(dashboard.VariableOption(text="All", value="$__all"))
    )


def _window() -> build.CustomVariable:
    return (
        build.CustomVariable("window")
        .label("Window")
        .description("How much time stands behind each point of a pass rate.")
        .values(WINDOWS)
        .current(dashboard.VariableOption(text="15m", value="15m"))
    )


def _view() -> build.CustomVariable:
    return (
        build.CustomVariable("view")
        .label("View")
        .description("Through which view the reports looked; write the name of your own.")
        .values("prod")
        .include_all(include_all=True)
        .all_value(".*")
        .allow_custom_value(allow_custom_value=True)
        .current(dashboard.VariableOption(text="All", value="$__all"))
    )


def _target() -> build.TextBoxVariable:
    return (
        build.TextBoxVariable("target")
        .label("Target")
        .description("Pass rate that you want, 0 to 1: a line on the charts of scores.")
        .default_value("0.95")
    )


_FIXED: Mapping[str, Callable[[], Variable]] = {"window": _window, "view": _view, "target": _target}

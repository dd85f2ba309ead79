"""Write the Grafana dashboard as JSON: `python grafana/dashboard.py [--check]`.

The words stand in `quality.py` and `sections.py`, the queries in `queries.py`. With `--check`
nothing is written and the exit code is 1 when the committed file differs.
"""  # noqa: INP001 - a folder of scripts, no package

import sys
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard
from panels import METRICS
from sections import SECTIONS

OUTPUT = Path(__file__).with_name("dashboards") / "evalspan.json"
WINDOWS = "5m,15m,1h,6h,1d,7d"
# Variable → (label on the page, metric and label whose values it offers).
CHOICES = {
    "service": ("Service", "label_values(evalspan_verdicts_total, service)"),
    "check": ("Check", "label_values(evalspan_verdicts_total, check)"),
    "prompt": ("Prompt", "label_values(evalspan_verdicts_total, prompt)"),
    "customer": ("Customer", "label_values(evalspan_verdicts_total, customer)"),
}


def make() -> dashboard.Dashboard:
    """Return the whole dashboard."""
    made = (
        build.Dashboard("evalspan")
        .uid("evalspan")
        .description(
            "Quality of LLM features beside latency, tokens, cost and the host: scores, what "
            "regressed, why, and whether everything was seen."
        )
        .tags(["evalspan", "genai"])
        .editable()
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .annotation(_regression_marks())
    )
    for variable in _variables():
        made.with_variable(variable)
    for section in SECTIONS:
        title, panels = section()
        made.with_row(build.Row(title))
        for panel in panels:
            made.with_panel(panel)
    return _numbered(made.build())


def text() -> str:
    """Return the JSON text of the dashboard, the same at every call."""
    return JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False).encode(make()) + "\n"


def _variables() -> list[build.QueryVariable | build.DatasourceVariable | build.CustomVariable]:
    sources = [
        build.DatasourceVariable(name).label(label).type(kind)
        for name, label, kind in (
            ("datasource", "Prometheus", "prometheus"),
            ("logs", "Loki", "loki"),
        )
    ]
    window = (
        build.CustomVariable("window")
        .label("Window")
        .description("How much time stands behind each point of a pass rate.")
        .values(WINDOWS)
        .current(dashboard.VariableOption(text="15m", value="15m"))
    )
    return [*sources, *(_choice(name, *what) for name, what in CHOICES.items()), window]


def _choice(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(METRICS)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(dashboard.VariableOption(text="All", value="$__all"))
    )


def _regression_marks() -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name("Open regressions")
        .datasource(METRICS)
        .enable(enable=True)
        .icon_color("red")
        .expr('evalspan_regression_open{check=~"$check",direction="regression"} == 1')
    )


def _numbered(made: dashboard.Dashboard) -> dashboard.Dashboard:
    """Give every panel an id, so that a link to a panel stays valid."""
    for number, panel in enumerate(made.panels or [], start=1):
        panel.id_val = number
    return made


def main() -> int:
    """Write the file, or compare it."""
    wanted = text()
    if "--check" not in sys.argv[1:]:
        OUTPUT.write_text(wanted, encoding="utf-8")
        return 0
    if OUTPUT.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write(f"{OUTPUT.name} is not what dashboard.py makes: run it without --check\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

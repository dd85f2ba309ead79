"""Write the Grafana dashboards as JSON: `python grafana/dashboard.py [--check]`.

The words of each stand in its own file, the queries in `queries.py`, the variables in
`variables.py`. With `--check` nothing is written and the exit code is 1 when a committed file
differs.
"""  # noqa: INP001 - a folder of scripts, no package

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import queries as ask
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard
from optimization_page import optimization
from overview_page import overview
from panels import METRICS, Section
from pipeline_page import pipeline
from prompt_page import prompt
from regression_page import regression
from variables import variables

FOLDER = Path(__file__).with_name("dashboards")


@dataclass(frozen=True)
class Page:
    """A dashboard: what it is for, its rows, its subjects and its filters."""

    title: str
    about: str
    sections: Callable[[], Sequence[Section]]
    chosen: Sequence[str]
    subjects: Sequence[str] = ()


PROMPT_FILTERS = ("service", "prompt", "version", "model", "customer", "check")
PAGES: Mapping[str, Page] = {
    "overview": Page(
        "Overview",
        "Scores per prompt and version, what regressed, and tokens, cost, latency, errors and the "
        "machines beside them on one axis of time.",
        overview,
        (*PROMPT_FILTERS, "window", "target"),
    ),
    "prompt": Page(
        "Prompt",
        "One prompt: its versions side by side, their tokens and cost, and what fails.",
        prompt,
        ("service", "version", "model", "customer", "check", "view", "window", "target"),
        ("prompt",),
    ),
    "regression": Page(
        "Regression",
        "One proven drop: before and after, where, what moved with it, what the report says.",
        regression,
        ("window",),
        ("id", "check"),
    ),
    "optimization": Page(
        "Optimization",
        "Searches for a better prompt: before and after with intervals, accepted or not and why.",
        optimization,
        ("check", "view"),
    ),
    "pipeline": Page(
        "Pipeline",
        "What became of every span and every evaluation, how late, and what judges cost.",
        pipeline,
        ("check", "window"),
    ),
}


def make(name: str) -> dashboard.Dashboard:
    """Return one whole dashboard."""
    page = PAGES[name]
    made = (
        build.Dashboard(f"evalspan {page.title}")
        .uid(f"evalspan-{name}")
        .description(page.about)
        .tags(["evalspan", "genai"])
        .editable()
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(_others())
    )
    for mark in _marks(page):
        made.annotation(mark)
    for variable in variables(page.chosen, page.subjects):
        made.with_variable(variable)
    for title, panels in page.sections():
        made.with_row(build.Row(title))
        for panel in panels:
            made.with_panel(panel)
    return _numbered(made.build())


def text(name: str) -> str:
    """Return the JSON text of a dashboard, the same at every call."""
    return JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False).encode(make(name)) + "\n"


def _others() -> build.DashboardLink:
    return (
        build.DashboardLink("evalspan")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(["evalspan"])
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )


def _marks(page: Page) -> list[build.AnnotationQuery]:
    """Return the marks of deployments, and of regressions, where the filters are there."""
    named = {*page.chosen, *page.subjects}
    marks = []
    if {"service", "prompt", "version", "model"} <= named:
        marks.append(_mark("Deployed", "blue", ask.DEPLOYED))
    if "check" in named and "window" in named:
        regressed = f"evalspan_regression_open{{{ask.REGRESSIONS}}} == 1"
        marks.append(_mark("Open regressions", "red", regressed))
    return marks


def _mark(name: str, color: str, expression: str) -> build.AnnotationQuery:
    mark = build.AnnotationQuery().name(name).datasource(METRICS).enable(enable=True)
    return mark.icon_color(color).expr(expression)


def _numbered(made: dashboard.Dashboard) -> dashboard.Dashboard:
    """Give every panel an id, so that a link to a panel stays valid."""
    for number, panel in enumerate(made.panels or [], start=1):
        panel.id_val = number
    return made


def main() -> int:
    """Write the files, or compare them."""
    differing = [name for name in PAGES if not _is_written(name, text(name))]
    if "--check" not in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for name in differing:
            (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
        return 0
    for name in differing:
        sys.stderr.write(f"{name}.json is not what dashboard.py makes: run it without --check\n")
    return 1 if differing else 0


def _is_written(name: str, wanted: str) -> bool:
    file = FOLDER / f"{name}.json"
    return file.exists() and file.read_text(encoding="utf-8") == wanted


if __name__ == "__main__":
    sys.exit(main())

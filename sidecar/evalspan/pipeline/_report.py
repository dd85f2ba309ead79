"""Make the report of a regression, keep it, and send it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl
import structlog

from evalspan import report
from evalspan.model import REGRESSIONS, SCORES
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._settings import BUILT_IN, Settings
from evalspan.pipeline._told import Told

log = structlog.get_logger()

OPTIMIZATION: Final = "evalspan.optimization"
RECORDS: Final = "records"
ANNOTATIONS: Final = "annotations"


@dataclass(frozen=True, slots=True)
class Post:
    """Where changes of state wait until they are sent; None where nothing is to be sent."""

    records: report.Outbox[report.OtlpSettings] | None
    annotations: report.Outbox[report.GrafanaSettings] | None

    @property
    def names(self) -> tuple[str, ...]:
        """Return what is sent."""
        known = {RECORDS: self.records, ANNOTATIONS: self.annotations}
        return tuple(name for name, outbox in known.items() if outbox is not None)

    def put(self, name: str, made: report.Report) -> None:
        """Put the state that a report tells into an outbox; the same one waits once."""
        if name == ANNOTATIONS and self.annotations is not None:
            self.annotations.put(report.annotation(made), report.state_id(made))
        elif name == RECORDS and self.records is not None:
            alone = made.model_copy(update={"optimization": None})
            self.records.put(_bytes(report.render(alone, "otlp")), report.state_id(made))

    def put_optimization(self, made: report.Report) -> None:
        """Put the search for a better prompt into the outbox of log records."""
        if self.records is not None and made.optimization is not None:
            self.records.put(_bytes(report.render(made, "otlp", only=(OPTIMIZATION,))))


def _bytes(request: str | bytes) -> bytes:
    assert isinstance(request, bytes)  # noqa: S101 - what this renderer makes
    return request


def outbox_of(settings: Settings) -> Post | None:
    """Return where changes of state wait until they are sent; None where nothing is to be sent."""
    otlp, grafana, folder = settings.report.otlp, settings.grafana, settings.reports_folder
    annotated = grafana.url is not None and grafana.annotations
    if otlp is None and not annotated:
        return None
    return Post(
        report.Outbox(folder / "outbox", otlp) if otlp else None,
        report.outbox_of_annotations(folder / "annotations", grafana) if annotated else None,
    )


def make_report(
    settings: Settings,
    side: ReadSide,
    regression: Mapping[str, Any],
    findings: pl.DataFrame,
    now: datetime,
    outcome: Mapping[str, Any] | None = None,
) -> report.Report:
    """Build the report of a state of a regression.

    A search for a better prompt that an earlier report of it tells is kept.
    """
    scores = _scores(side, regression, now - settings.analysis.history)
    return report.build(
        regression,
        findings.to_dicts(),
        outcome or _search_before(settings, regression["id"]),
        side.series(regression, now),
        now=now,
        settings=_with_dashboard(settings),
        revisions=_revisions(scores, regression["check"]),
        failures=_failures(scores),
        states=_states(side, regression),
    )


def _search_before(settings: Settings, regression: str) -> dict[str, Any] | None:
    """Return the search for a better prompt that the report of a regression tells by now."""
    earlier = report.load_one(settings.reports_folder, report.report_id(regression))
    search = earlier.optimization if earlier else None
    return search.model_dump() if search else None


def save_report(
    settings: Settings,
    side: ReadSide,
    regression: Mapping[str, Any],
    findings: pl.DataFrame,
    now: datetime,
    *,
    outcome: Mapping[str, Any] | None = None,
    outbox: Post | None = None,
) -> report.Report:
    """Build the report of a regression and keep it for the pages.

    With an `outcome` the search for a better prompt is put into the `outbox`.
    """
    made = make_report(settings, side, regression, findings, now, outcome)
    report.save(made, settings.reports_folder)
    if outbox is not None and outcome is not None:
        outbox.put_optimization(made)
        Told(settings.told_folder).note(outcome["experiment"], RECORDS)
    return made


def flush(outbox: Post | None, now: datetime) -> list[str]:
    """Send what waits; returns what went wrong, in words. What failed is sent again later."""
    boxes = () if outbox is None else (outbox.records, outbox.annotations)
    flushed = [box.flush(now) for box in boxes if box is not None]
    failures = [str(failure) for each in flushed for failure in each.failures]
    for failure in failures:
        log.warning("report_not_sent", why=failure)
    return failures


def _with_dashboard(settings: Settings) -> report.ReportSettings:
    """Return the settings of reports with the dashboard of the Grafana that is known."""
    own, grafana = settings.report, settings.grafana
    if own.dashboard_url is not None or grafana.url is None:
        return own
    url = f"{grafana.url.rstrip('/')}{grafana.regression_dashboard}"
    return own.model_copy(update={"dashboard_url": url})


def _scores(side: ReadSide, regression: Mapping[str, Any], since: datetime) -> pl.LazyFrame:
    """Return the verdicts of the regression's slice; `after` tells candidate from baseline."""
    check, _, item = regression["check"].partition("/")
    chosen = json.loads(regression["slice"] or "{}")
    scores = side.view.scores(since=since, until=None).filter(
        pl.col("check") == check,
        pl.col("item") == item,
        pl.col("verdict").is_not_null(),
        *(_column(side, name) == value for name, value in chosen.items()),
    )
    dimension = regression.get("version_dimension")
    if dimension:
        version = _column(side, dimension)
        old, new = regression["old"], regression["new"]
        return scores.filter(version.is_in([old, new])).with_columns(after=version == new)
    change = regression.get("change_time")
    after = pl.lit(value=True) if change is None else pl.col("time") >= change
    return scores.with_columns(after=after)


def _column(side: ReadSide, name: str) -> pl.Expr:
    """Return the values of a dimension, of one too that the config has no more."""
    column = BUILT_IN.get(name, name)
    if column in SCORES.schema.names or column in side.view.dimensions:
        return pl.col(column)
    return pl.col("dimensions").map.get(name)


def _failures(scores: pl.LazyFrame) -> pl.DataFrame:
    """Return the failing verdicts with their reasons, the newest first."""
    failing = scores.filter(pl.col("verdict") == "fail").sort("time", descending=True)
    return failing.select("reason", "trace_id", "span_id", "after").collect()


def _revisions(scores: pl.LazyFrame, check: str) -> dict[str, str]:
    """Return check → the evaluator's revision of the newest verdict, and the one before that.

    Taken from the verdicts themselves: what judged them, not what the config says now.
    """
    seen = scores.group_by("revision").agg(pl.col("time").max()).sort("time", descending=True)
    found = seen.head(2).collect()["revision"].to_list()
    return dict(zip((check, f"{check}, before that"), found, strict=False))


def _states(side: ReadSide, regression: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every state of the regression that is not newer than the one that is told."""
    rows = side.view.scan(REGRESSIONS).filter(
        pl.col("id") == regression["id"],
        pl.col("view") == side.view.name,
        pl.col("detected_time") <= regression["detected_time"],
    )
    shown = rows.select("state", "state_time", "detected_time", "reason")
    return shown.unique().collect().to_dicts()

"""Make the report of a regression, keep it, and send it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import structlog

from evalspan import report
from evalspan.pipeline._build import evaluator_of
from evalspan.pipeline._read import ReadSide
from evalspan.pipeline._settings import Settings

log = structlog.get_logger()


def outbox_of(settings: Settings) -> report.Outbox | None:
    """Return where reports wait until they are sent; None where nothing is to be sent."""
    if settings.report.otlp is None:
        return None
    return report.Outbox(settings.reports_folder / "outbox", settings.report.otlp)


def save_report(
    settings: Settings,
    side: ReadSide,
    regression: Mapping[str, Any],
    findings: pl.DataFrame,
    now: datetime,
    *,
    outcome: Mapping[str, Any] | None = None,
    outbox: report.Outbox | None = None,
) -> report.Report:
    """Build the report of a regression, keep it for the pages, and put it into the outbox."""
    made = report.build(
        regression,
        findings.to_dicts(),
        outcome,
        side.series(regression, now),
        now=now,
        settings=settings.report,
        revisions=_revisions(settings),
    )
    report.save(made, settings.reports_folder)
    if outbox is not None:
        request = report.render(made, "otlp")
        assert isinstance(request, bytes)  # noqa: S101 - what this renderer makes
        outbox.put(request)
    return made


def flush(outbox: report.Outbox | None, now: datetime) -> list[str]:
    """Send what waits; returns what went wrong, in words. What failed is sent again later."""
    if outbox is None:
        return []
    failures = [str(failure) for failure in outbox.flush(now).failures]
    for failure in failures:
        log.warning("report_not_sent", why=failure)
    return failures


def _revisions(settings: Settings) -> dict[str, str]:
    evaluator = evaluator_of(settings)
    try:
        return {check.name: check.revision for check in evaluator.checks.values()}
    finally:
        evaluator.close()

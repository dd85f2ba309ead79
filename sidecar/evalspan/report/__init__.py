"""Report: what a person reads, and what is sent to where people look.

Comes in: rows of REGRESSIONS and FINDINGS, the outcome of a search for a better
prompt, pass rates over time.
Goes out: one JSON document per report (`Report`, its JSON Schema in `schema.json`),
shown by the renderers `terminal`, `html`, `markdown` and `otlp`, kept as files,
answered as pages, sent as OTLP log records (bodies: `records.schema.json`) and as
annotations of Grafana, at least once.
Settings: `ReportSettings`, `GrafanaSettings`.

`build` makes a report, `render` shows it, `save` and `load_all` keep it, `page`
answers the HTTP server, `publish` sends it through an `Outbox`.
"""

from pathlib import Path

from evalspan.plugin import load
from evalspan.report._annotations import annotation
from evalspan.report._build import build, report_id
from evalspan.report._document import Report, json_schema, schema_text
from evalspan.report._events import state_id
from evalspan.report._outbox import Failure, Flushed, Outbox, outbox_of_annotations, publish
from evalspan.report._pages import Response, page
from evalspan.report._records import records_schema, records_schema_text
from evalspan.report._settings import (
    GrafanaSettings,
    OtlpSettings,
    ReportError,
    ReportSettings,
    TlsSettings,
)
from evalspan.report._store import Stored, load_all, load_one, save

RENDERERS = "evalspan.report.renderers"

__all__ = [
    "RENDERERS",
    "Failure",
    "Flushed",
    "GrafanaSettings",
    "OtlpSettings",
    "Outbox",
    "Report",
    "ReportError",
    "ReportSettings",
    "Response",
    "Stored",
    "TlsSettings",
    "annotation",
    "build",
    "json_schema",
    "load_all",
    "load_one",
    "outbox_of_annotations",
    "page",
    "publish",
    "records_schema",
    "records_schema_text",
    "render",
    "report_id",
    "save",
    "schema_text",
    "state_id",
]


def render(report: Report, use: str, folder: Path | None = None, **settings: object) -> str | bytes:
    """Show a report with a renderer: terminal, html, markdown, otlp or module:function.

    `folder` holds the user's modules; `settings` are keyword parameters of the
    renderer, such as `width` and `colour` of terminal. Raises PluginError.
    """
    shown: str | bytes = load(RENDERERS, use, folder).function(report, **settings)
    return shown

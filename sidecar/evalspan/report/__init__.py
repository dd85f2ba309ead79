"""Report: what a person reads, and what is sent to where people look.

Comes in: rows of REGRESSIONS and FINDINGS, the outcome of a search for a better
prompt, pass rates over time.
Goes out: one JSON document per report (`Report`, its JSON Schema in `schema.json`),
shown by the renderers `terminal`, `html`, `markdown` and `otlp`, kept as files,
answered as pages, and sent as OTLP log records at least once.
Settings: `ReportSettings`.

`build` makes a report, `render` shows it, `save` and `load_all` keep it, `page`
answers the HTTP server, `publish` sends it through an `Outbox`.
"""

from pathlib import Path

from evalspan.plugin import load
from evalspan.report._build import build
from evalspan.report._document import Report, json_schema, schema_text
from evalspan.report._outbox import Failure, Flushed, Outbox, publish
from evalspan.report._pages import Response, page
from evalspan.report._settings import OtlpSettings, ReportError, ReportSettings, TlsSettings
from evalspan.report._store import Stored, load_all, save

RENDERERS = "evalspan.report.renderers"

__all__ = [
    "RENDERERS",
    "Failure",
    "Flushed",
    "OtlpSettings",
    "Outbox",
    "Report",
    "ReportError",
    "ReportSettings",
    "Response",
    "Stored",
    "TlsSettings",
    "build",
    "json_schema",
    "load_all",
    "page",
    "publish",
    "render",
    "save",
    "schema_text",
]


def render(report: Report, use: str, folder: Path | None = None, **settings: object) -> str | bytes:
    """Show a report with a renderer: terminal, html, markdown, otlp or module:function.

    `folder` holds the user's modules; `settings` are keyword parameters of the
    renderer, such as `width` and `colour` of terminal. Raises PluginError.
    """
    shown: str | bytes = load(RENDERERS, use, folder).function(report, **settings)
    return shown

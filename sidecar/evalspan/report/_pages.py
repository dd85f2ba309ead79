"""Pages for the HTTP server: an index with a filter, and each report in three forms."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs

from pydantic import ValidationError

from evalspan.report._document import Report
from evalspan.report._markup import Markup, el
from evalspan.report._sections import badge
from evalspan.report._shell import page as whole
from evalspan.report._shell import policy
from evalspan.report._store import load_all
from evalspan.report._words import moment
from evalspan.report.renderers.html import html
from evalspan.report.renderers.markdown import markdown

Response = tuple[int, str, bytes, Mapping[str, str]]
"""Status, content type, body, further headers."""

_NAME = re.compile(r"(?P<id>[0-9a-f]{16})(?P<form>|\.json|\.md)")
_MOST_ROWS = 200
_HTML = "text/html; charset=utf-8"


def page(path: str, folder: Path) -> Response:
    """Answer a GET below `/reports/`; `path` is what follows, its query included.

    `` is the index (`?q=words&state=open`), `ID` the page, `ID.json` and `ID.md`
    the other forms. Anything else is 404: no name of a file is made of what the
    visitor wrote but a checked id.
    """
    place, _, query = path.partition("?")
    name = place.removeprefix("/")
    if not name:
        return _answer(200, _HTML, _index(query, folder))
    match = _NAME.fullmatch(name)
    file = folder / f"{match['id']}.json" if match else None
    if match is None or file is None or not file.is_file():
        return _missing()
    try:
        report = Report.model_validate_json(file.read_bytes())
    except ValidationError as error:
        words = f"The report {match['id']} cannot be read: {error.error_count()} errors."
        return _answer(500, _HTML, whole("Unreadable report", el("p", words)))
    content_type, show = _FORMS[match["form"]]
    return _answer(200, content_type, show(report))


_FORMS: Mapping[str, tuple[str, Callable[[Report], str]]] = {
    "": (_HTML, html),
    ".md": ("text/plain; charset=utf-8", markdown),
    ".json": ("application/json", lambda report: report.model_dump_json(indent=1)),
}


def _missing() -> Response:
    content = (el("h1", "No such report"), el("p", el("a", "All reports", href="./")))
    return _answer(404, _HTML, whole("No such report", *content))


def _answer(status: int, content_type: str, body: str) -> Response:
    headers = {
        "Content-Security-Policy": f"{policy()}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return status, content_type, body.encode("utf-8", errors="replace"), headers


def _index(query: str, folder: Path) -> str:
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    words, state = asked.get("q", ""), asked.get("state", "")
    stored = load_all(folder)
    states = sorted({each.state for each in stored.reports})
    found = [each for each in stored.reports if _fits(each, words, state)]
    return whole(
        "Reports",
        el("h1", "Reports"),
        _form(words, state, states),
        el("p", f"{len(found)} of {len(stored.reports)} reports", class_="muted"),
        _rows(found),
        _unreadable(stored.unreadable),
    )


def _fits(report: Report, words: str, state: str) -> bool:
    where = " ".join(f"{key}={value}" for key, value in report.slice.items())
    kinds = " ".join(report.kinds)
    text = f"{report.title} {report.summary} {report.check} {report.view} {where} {kinds}"
    text = f"{text} {report.id}".casefold()
    return (not state or report.state == state) and all(
        word in text for word in words.casefold().split()
    )


def _form(words: str, state: str, states: Sequence[str]) -> Markup:
    options = [
        el("option", each or "any state", value=each, selected="" if each == state else None)
        for each in ("", *states)
    ]
    return el(
        "form",
        el("input", type="search", name="q", value=words, placeholder="check, slice, words …",
           aria_label="Filter"),
        el("select", *options, name="state", aria_label="State"),
        el("button", "Filter"),
        method="get",
        action="./",
    )  # fmt: skip


def _rows(reports: Sequence[Report]) -> Markup:
    if not reports:
        return el("p", "No report here. A regression, when one is found, gets one.")
    header = el("tr", *(el("th", name) for name in ("state", "report", "parts", "created")))
    rows = [
        el(
            "tr",
            el("td", badge(each.state)),
            el("td", el("a", each.title, href=each.id)),
            el("td", ", ".join(kind.replace("_", " ") for kind in each.kinds)),
            el("td", moment(each.created_time)),
        )
        for each in reports[:_MOST_ROWS]
    ]
    more = len(reports) - _MOST_ROWS
    note = el("p", f"{more} more: use the filter.") if more > 0 else None
    return el("div", el("table", header, *rows, class_="index"), note, class_="scroll")


def _unreadable(files: Sequence[tuple[str, str]]) -> Markup | None:
    if not files:
        return None
    items = [el("li", f"{name}: {reason}") for name, reason in files]
    return el("div", el("strong", "Files that cannot be read"), el("ul", *items), class_="note")

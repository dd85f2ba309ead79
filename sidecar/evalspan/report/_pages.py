"""Pages for the HTTP server: an index with a filter, and each report in three forms."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

from pydantic import ValidationError

from evalspan.report._document import Report
from evalspan.report._markup import Markup, el, join
from evalspan.report._sections import badge
from evalspan.report._shell import page as whole
from evalspan.report._shell import policy
from evalspan.report._store import load_all
from evalspan.report._tables import table
from evalspan.report._words import change, moment
from evalspan.report.renderers.html import html
from evalspan.report.renderers.markdown import markdown

Response = tuple[int, str, bytes, Mapping[str, str]]
"""Status, content type, body, further headers."""

_NAME = re.compile(r"(?P<id>[0-9a-f]{16})(?P<form>|\.json|\.md)")
_MOST_ROWS = 200
_HTML = "text/html; charset=utf-8"


def page(path: str, folder: Path) -> Response:
    """Answer a GET below `/reports/`; `path` is what follows, its query included.

    `` is the index (`?q=words&check=NAME&state=open&direction=regression`), `ID` the
    page, `ID.json` and `ID.md` the other forms; `?id=REGRESSION`, as links of alerts
    have it, leads to the newest report of that regression. Anything else is 404: no name of a
    file is made of what the visitor wrote but a checked id.
    """
    place, _, query = path.partition("?")
    name = place.removeprefix("/")
    if not name:
        return _of_regression(query, folder) or _answer(200, _HTML, _index(query, folder))
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


def _of_regression(query: str, folder: Path) -> Response | None:
    """Return the way to the report of a regression; None where no such report is asked for."""
    wanted = parse_qs(query).get("id", [""])[0]
    if not wanted:
        return None
    reports = load_all(folder).reports
    found = next((r for r in reports if r.regression and r.regression.id == wanted), None)
    if found is None:
        return _missing()
    status, kind, body, headers = _answer(303, "text/plain; charset=utf-8", "")
    return status, kind, body, {**headers, "Location": f"./{found.id}"}


_FORMS: Mapping[str, tuple[str, Callable[[Report], str]]] = {
    "": (_HTML, partial(html, served=True)),
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the visitor filters by; an empty text is anything."""

    words: str
    chosen: Mapping[str, str]

    def fits(self, report: Report) -> bool:
        """Whether a report is asked for."""
        values = {name: of(report) for name, of in _FILTERS.items()}
        text = _searched(report)
        return all(values[name] == value for name, value in self.chosen.items() if value) and all(
            word in text for word in self.words.casefold().split()
        )


_FILTERS: Mapping[str, Callable[[Report], str]] = {
    "check": lambda report: report.check,
    "state": lambda report: report.state,
    "direction": lambda report: report.regression.direction if report.regression else "",
}


def _index(query: str, folder: Path) -> str:
    given = {key: values[0] for key, values in parse_qs(query).items()}
    asked = _Asked(given.get("q", ""), {name: given.get(name, "") for name in _FILTERS})
    stored = load_all(folder)
    found = [each for each in stored.reports if asked.fits(each)]
    return whole(
        "Reports",
        el("h1", "Reports"),
        _form(asked, stored.reports),
        el("p", f"{len(found)} of {len(stored.reports)} reports", class_="muted"),
        _rows(found),
        _unreadable(stored.unreadable),
    )


def _searched(report: Report) -> str:
    where = " ".join(f"{key}={value}" for key, value in report.slice.items())
    kinds = " ".join(report.kinds)
    text = f"{report.title} {report.summary} {report.check} {report.view} {where} {kinds}"
    found = report.regression.id if report.regression else ""
    return f"{text} {report.id} {found}".casefold()


def _form(asked: _Asked, reports: Sequence[Report]) -> Markup:
    choices = [
        _select(name, asked.chosen[name], sorted({of(each) for each in reports} - {""}))
        for name, of in _FILTERS.items()
    ]
    return el(
        "form",
        el("input", type="search", name="q", value=asked.words, placeholder="words, slice, id …",
           aria_label="Words"),
        *choices,
        el("button", "Filter"),
        el("a", "all", href="./"),
        method="get",
        action="./",
    )  # fmt: skip


def _select(name: str, chosen: str, values: Sequence[str]) -> Markup:
    options = [
        el("option", _label(name, value), value=value,
           selected="" if value == chosen else None)
        for value in ("", *values)
    ]  # fmt: skip
    return el("select", *options, name=name, aria_label=name)


def _label(name: str, value: str) -> str:
    return (value.replace("_", " ") if name == "direction" else value) or f"any {name}"


def _rows(reports: Sequence[Report]) -> Markup:
    if not reports:
        return el("p", "No report here. A regression, when one is found, gets one.")
    names = ("report", "state", "direction", "change", "changed since")
    shown = table(names, [_row(each) for each in reports[:_MOST_ROWS]], "index")
    more = len(reports) - _MOST_ROWS
    note = el("p", f"{more} more: use the filter.") if more > 0 else None
    return el("div", shown, note)


def _row(report: Report) -> tuple[Markup | str, ...]:
    found = report.regression
    tried = el("span", "prompt change tried", class_="muted") if report.optimization else None
    return (
        join((el("a", report.title, href=report.id), " ", tried)),
        badge(report.state),
        badge(found.direction.replace("_", " ")) if found else "",
        change(found.rates) if found and found.rates.effect is not None else "",
        moment(found.change_time) if found else f"made {moment(report.created_time)}",
    )


def _unreadable(files: Sequence[tuple[str, str]]) -> Markup | None:
    if not files:
        return None
    items = [el("li", f"{name}: {reason}") for name, reason in files]
    return el("div", el("strong", "Files that cannot be read"), el("ul", *items), class_="note")

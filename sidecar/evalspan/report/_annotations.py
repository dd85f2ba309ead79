"""Annotations of Grafana: one for each change of state, found again by its id."""

import json
from html import escape
from typing import Any
from urllib.parse import urlencode

from evalspan.report._call import CallError, Sent, call
from evalspan.report._document import Regression, Report
from evalspan.report._events import state_id
from evalspan.report._settings import GrafanaSettings
from evalspan.report._text import label, one_line
from evalspan.report._words import change

_LONGEST = 4_000
# Grafana refuses what is longer: its columns for tags, and all tags as JSON by default.
_LONGEST_TAG_BYTES = 100
_ALL_TAGS_BYTES = 500


def annotation(report: Report) -> bytes:
    """Return the JSON that Grafana's POST /api/annotations takes; a repeat is the same bytes.

    The text tells in full what had to be cut in the tags. Raises ValueError where the report is
    not about a regression.
    """
    found = report.regression
    if found is None:
        raise ValueError(report.id)
    time = found.state_time or found.change_time or report.created_time
    by = f", {change(found.rates)}" if found.rates.effect is not None else ""
    words = f"{found.state}: {report.title}{by}. Regression {found.id}"
    lines = [f"<b>evalspan</b> {_safe(words)}"]
    if report.url:
        lines.append(f'<a href="{escape(report.url)}">report</a>')
    body = {
        "time": int(time.timestamp() * 1000),
        "tags": _tags(report, found),
        "text": "\n".join(lines),
    }
    return json.dumps(body, ensure_ascii=True).encode()


def _tags(report: Report, found: Regression) -> list[str]:
    """Return the tags; of the slice as many as there is room for. The event is the last one."""
    head = [
        "evalspan",
        f"state:{found.state}",
        f"direction:{found.direction}",
        f"check:{report.check}",
        f"regression:{found.id}",
    ]
    tags = [label(words, _LONGEST_TAG_BYTES) for words in [*head, f"event:{state_id(report)}"]]
    for name, value in sorted(found.slice.items()):
        longer = [*tags[:-1], label(f"{name}:{value}", _LONGEST_TAG_BYTES), tags[-1]]
        if _bytes(longer) > _ALL_TAGS_BYTES:
            break
        tags = longer
    return tags


def _bytes(tags: list[str]) -> int:
    return len(json.dumps(tags, ensure_ascii=False, separators=(",", ":")).encode())


def _safe(words: str) -> str:
    """Grafana shows HTML in an annotation: whatever a trace held is no markup there."""
    return escape(one_line(words, _LONGEST))


def annotate(request: bytes, settings: GrafanaSettings) -> Sent:
    """Send an annotation once, unless Grafana has it already. Errors are returned."""
    try:
        if not _is_there(request, settings):
            _call("POST", "", settings, request)
    except CallError as error:
        return error.sent
    except (OSError, ValueError) as error:
        return Sent(f"{settings.url}: {type(error).__name__}: {error}", not_now=True)
    return Sent()


def _is_there(request: bytes, settings: GrafanaSettings) -> bool:
    """Look for the event's tag: a sending whose answer was lost is not sent twice."""
    tag = json.loads(request)["tags"][-1]
    asked = urlencode({"tags": ["evalspan", tag], "type": "annotation", "limit": 1}, doseq=True)
    return bool(_call("GET", f"?{asked}", settings))


def _call(method: str, query: str, settings: GrafanaSettings, content: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
    address = f"{str(settings.url).rstrip('/')}/api/annotations{query}"
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if settings.token_file is not None:
        token = settings.token_file.read_text(encoding="utf-8").strip()
        headers["Authorization"] = f"Bearer {token}"
    timeout = settings.timeout_seconds
    answer = call(method, address, headers=headers, timeout_seconds=timeout, content=content)
    return json.loads(answer.content)

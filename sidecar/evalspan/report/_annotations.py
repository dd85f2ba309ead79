"""Annotations of Grafana: one for each change of state, found again by its id."""

import json
from html import escape
from typing import Any
from urllib.parse import urlencode

from evalspan.report._call import CallError, Sent, call
from evalspan.report._document import Report
from evalspan.report._events import state_id
from evalspan.report._settings import GrafanaSettings
from evalspan.report._text import one_line
from evalspan.report._words import movement

_LONGEST = 300
_LONGEST_TAG = 100


def annotation(report: Report) -> bytes:
    """Return the JSON that Grafana's POST /api/annotations takes; a repeat is the same bytes.

    Raises ValueError where the report is not about a regression.
    """
    found = report.regression
    if found is None:
        raise ValueError(report.id)
    time = found.state_time or found.change_time or report.created_time
    words = f"{found.state}: {report.title}. {movement(found.rates)}"
    lines = [f"<b>evalspan</b> {_safe(words)}"]
    if report.url:
        lines.append(f'<a href="{escape(report.url)}">report</a>')
    tags = [
        "evalspan",
        f"state:{found.state}",
        f"direction:{found.direction}",
        f"check:{report.check}",
        *(f"{name}:{value}" for name, value in sorted(found.slice.items())),
        f"regression:{found.id}",
        _event_tag(report),
    ]
    shown = [one_line(tag, _LONGEST_TAG) for tag in tags]
    body = {"time": int(time.timestamp() * 1000), "tags": shown, "text": "\n".join(lines)}
    return json.dumps(body, ensure_ascii=True).encode()


def _event_tag(report: Report) -> str:
    return f"event:{state_id(report)}"


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

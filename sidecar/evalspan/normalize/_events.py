"""Content that came as events: message events, operation details, exceptions, first tokens."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from evalspan.normalize import _content, _messages, _values
from evalspan.normalize._dialect import known

_DETAILS: Final = "gen_ai.client.inference.operation.details"
_CHOICE: Final = "gen_ai.choice"
_ROLE_OF_EVENT: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
# Conventions before 1.28: one span event each, all messages as one JSON text.
_WHOLE: Final = {
    "gen_ai.content.prompt": ("gen_ai.prompt", "input_messages", "user"),
    "gen_ai.content.completion": ("gen_ai.completion", "output_messages", "assistant"),
}
MESSAGE_EVENTS: Final = (_DETAILS, _CHOICE, *_ROLE_OF_EVENT, *_WHOLE)
_ELIDED: Final = "<elided>"
COLUMNS: Final = (
    "system_prompt",
    "prompt_hash",
    "input_messages",
    "output_messages",
    "input_text",
    "output_text",
    "tool_definitions",
    "finish_reasons",
)
_IN_ORDER: Final = ("time", "time_nanos", "index")


def messages_from_events(events: pl.DataFrame) -> pl.DataFrame:
    """Read the messages of spans from their events; see the door of the room."""
    found = events.filter(
        pl.col("name").is_in(MESSAGE_EVENTS),
        pl.col("trace_id").is_not_null(),
        pl.col("span_id").is_not_null(),
    ).sort(*_IN_ORDER, nulls_last=False, maintain_order=True)
    by_span: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found.select(
        "trace_id", "span_id", "name", "body", "body_kind", "attributes"
    ).to_dicts():
        by_span.setdefault((row["trace_id"], row["span_id"]), []).append(row)
    rows = []
    for (trace_id, span_id), of_span in by_span.items():
        content = _content.read(collect(of_span), "llm").columns
        rows.append({"trace_id": trace_id, "span_id": span_id, **_finished(content)})
    schema = {"trace_id": pl.String, "span_id": pl.String, **dict.fromkeys(COLUMNS, pl.String)}
    return pl.DataFrame(rows, schema={**schema, "finish_reasons": pl.List(pl.String)})


def _finished(content: Mapping[str, Any]) -> dict[str, Any]:
    out = {name: content.get(name) for name in COLUMNS}
    prompt = content.get("system_prompt")
    out["prompt_hash"] = _content.prompt_hash(prompt) if prompt else None
    return out


def collect(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content columns that the events of one span hold, messages as lists."""
    out: dict[str, Any] = {"input_messages": [], "output_messages": []}
    for event in events:
        name = event["name"]
        attributes = {a["key"]: _values.attribute(a) for a in event["attributes"] or ()}
        if name == _DETAILS:
            _details(attributes, out)
        elif name in _WHOLE:
            key, column, role = _WHOLE[name]
            out[column] += _messages.read(_json(attributes.get(key)), role)
        elif name == _CHOICE:
            out["output_messages"] += _choice({**attributes, **_body(event)})
        else:
            given = {**attributes, **_body(event)}
            out["input_messages"] += _message(given, _ROLE_OF_EVENT[name])
    return {name: value for name, value in out.items() if value}


def _details(attributes: Mapping[str, Any], out: dict[str, Any]) -> None:
    for column, role in (("input_messages", "user"), ("output_messages", "assistant")):
        given = _json(attributes.get(f"gen_ai.{column.replace('_', '.')}"))
        out[column] += given if _messages.canonical(given) else _messages.read(given, role)
    system = attributes.get("gen_ai.system_instructions")
    if system:
        raw = system if isinstance(system, str) else _messages.dump(system)
        out["system_prompt"] = _content.system(raw)[0]
    tools = _json(attributes.get("gen_ai.tool.definitions"))
    if tools:
        out["tool_definitions"] = tools


def _message(given: Mapping[str, Any], role: str) -> list[_messages.Message]:
    found = _messages.message({**given, "content": _blocks(given.get("content"))}, role)
    return [found] if found["parts"] else []


def _choice(given: Mapping[str, Any]) -> list[_messages.Message]:
    held = _json(given.get("message"))
    inner = held if isinstance(held, Mapping) else {"content": held}
    found = _messages.message({**inner, "content": _blocks(inner.get("content"))}, "assistant")
    reason = given.get("finish_reason")
    if reason:
        found["finish_reason"] = reason
    return [found] if found["parts"] or reason else []


def _blocks(content: Any) -> Any:  # noqa: ANN401 - any JSON value
    return None if content == _ELIDED else content


def _json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(value, str):
        return value
    return None if value == _ELIDED else _messages.parse(value)[0]


def _body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    body = event.get("body")
    if not body:
        return {}
    if event.get("body_kind") == "json":
        found = _values.from_otlp_json(from_json(body))
    else:
        found = _json(body)
    return found if isinstance(found, Mapping) else {"content": found}


def of_batch(
    events: pa.Table,
    first_row: int,
    spans: pa.Table,
    dialect: Any,  # noqa: ANN401 - numpy
) -> dict[int, dict[str, Any]]:
    """Return by row of the batch what the events of its spans tell."""
    if not len(events):
        return {}
    names = events.column("name").combine_chunks()
    rows = np.asarray(events.column("row")) - first_row
    found = _contents(events, names, rows)
    for row, kind in _exceptions(events, names, rows).items():
        found.setdefault(row, {})["error_type"] = kind
    for row, delay in _first_tokens(events, names, rows, spans, dialect).items():
        found.setdefault(row, {})["time_to_first_token_ms"] = delay
    return found


def _places(names: Any, wanted: Sequence[str]) -> Any:  # noqa: ANN401 - numpy
    return np.flatnonzero(np.asarray(pc.is_in(names, pa.array(wanted, pa.string()))))


def _contents(events: pa.Table, names: Any, rows: Any) -> dict[int, dict[str, Any]]:  # noqa: ANN401
    by_row: dict[int, list[dict[str, Any]]] = {}
    places = _places(names, MESSAGE_EVENTS)
    if len(places):
        chosen = events.select(["name", "attributes"]).take(pa.array(places)).to_pylist()
        for row, event in zip(rows[places].tolist(), chosen, strict=True):
            by_row.setdefault(row, []).append(event)
    return {row: collect(of_span) for row, of_span in by_row.items()}


def _exceptions(events: pa.Table, names: Any, rows: Any) -> dict[int, str]:  # noqa: ANN401
    """Return the type of the last exception of each span."""
    places = _places(names, ("exception", "gen_ai.client.operation.exception"))
    found: dict[int, str] = {}
    if len(places):
        lists = events.column("attributes").take(pa.array(places)).to_pylist()
        for row, attributes in zip(rows[places].tolist(), lists, strict=True):
            kind = next(
                (a["string"] for a in attributes or () if a["key"] == "exception.type"), None
            )
            if kind:
                found[row] = kind
    return found


def _first_tokens(
    events: pa.Table,
    names: Any,  # noqa: ANN401 - Arrow
    rows: Any,  # noqa: ANN401 - numpy
    spans: pa.Table,
    dialect: Any,  # noqa: ANN401 - numpy
) -> dict[int, float]:
    """Return the milliseconds from the start of each span to its first piece of an answer."""
    marks = {name for d in known() for name in d.first_token_events}
    places = _places(names, sorted(marks))
    if not len(places):
        return {}
    start = np.asarray(spans.column("start_time").cast(pa.int64()))
    time = np.asarray(events.column("time").cast(pa.int64()))
    found: dict[int, float] = {}
    for place in places.tolist():
        row = int(rows[place])
        told = known()[dialect[row]].first_token_events if dialect[row] >= 0 else ()
        delay = float(time[place] - start[row]) / 1e3
        if names[place].as_py() in told and delay >= 0:
            found[row] = min(delay, found.get(row, delay))
    return found

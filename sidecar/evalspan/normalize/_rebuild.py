"""Put a span together again from its row of SPANS and its rows of EVENTS."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS: Final = ("unset", "ok", "error")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCALARS: Final = {
    "string": "string_value",
    "int": "int_value",
    "double": "double_value",
    "bool": "bool_value",
    "bytes": "bytes_value",
}


def rebuild(row: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> Span:
    """Return the OTLP span that a row of SPANS and its rows of EVENTS came from.

    Both are rows as `to_pylist` gives them; `events` may hold log records too,
    which are passed over. Everything is as it was sent, but for the order of
    the attributes, and for text that was no UTF-8.
    """
    span = Span(
        trace_id=bytes.fromhex(row["trace_id"]),
        span_id=bytes.fromhex(row["span_id"]),
        parent_span_id=bytes.fromhex(_repair(row, "parent_span_id") or row["parent_span_id"] or ""),
        trace_state=row["trace_state"] or "",
        flags=row["flags"],
        name=row["name"],
        kind=_number(row["kind"], _KINDS),
        start_time_unix_nano=_nanos(row, "start_time", "start_nanos"),
        end_time_unix_nano=_nanos(row, "end_time", "end_nanos"),
        dropped_attributes_count=row["dropped_attributes"],
        dropped_events_count=row["dropped_events"],
        dropped_links_count=row["dropped_links"],
        attributes=[*_promoted(row), *map(_attribute, row["attributes"] or ())],
        links=[_link(link) for link in row["links"] or ()],
        events=[_event(event) for event in _in_order(events)],
    )
    code = _number(row["status"], _STATUS)
    if code or row["status_message"]:
        span.status.CopyFrom(Status(code=code, message=row["status_message"] or ""))
    return span


def _repair(row: Mapping[str, Any], name: str) -> str | None:
    """Return what was there before it was mended."""
    notes = (row["repaired"] or "").split(";")
    return next((n.partition("=")[2] for n in notes if n.startswith(f"{name}=")), None)


def _number(word: str, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - an enum of protobuf
    return names.index(word) if word in names else int(word)


def _nanos(row: Mapping[str, Any], time: str, nanos: str) -> int:
    before = _repair(row, time)
    if before is not None:
        return int(before)
    if row[time] is None:
        return 0
    since = row[time] - _EPOCH
    micros = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    return int(micros * 1000 + row[nanos])


def _promoted(row: Mapping[str, Any]) -> list[KeyValue]:
    pairs = (part.partition("=") for part in (row["promoted"] or "").split(";") if part)
    return [KeyValue(key=key, value=_any_value(row[column])) for column, _, key in pairs]


def _any_value(value: Any) -> AnyValue:  # noqa: ANN401 - the value of a column
    if isinstance(value, list):
        held = AnyValue()
        held.array_value.values.extend(_any_value(item) for item in value)
        return held
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)


def _attribute(held: Mapping[str, Any]) -> KeyValue:
    if held["nested"] is not None:
        return KeyValue(key=held["key"], value=AnyValue.FromString(held["nested"]))
    for name, kind in _SCALARS.items():
        if held[name] is not None:
            return KeyValue(key=held["key"], value=AnyValue(**{kind: held[name]}))
    return KeyValue(key=held["key"])


def _link(held: Mapping[str, Any]) -> Span.Link:
    return Span.Link(
        trace_id=bytes.fromhex(held["trace_id"]),
        span_id=bytes.fromhex(held["span_id"]),
        trace_state=held["trace_state"] or "",
        flags=held["flags"],
        attributes=[_attribute(a) for a in held["attributes"] or ()],
        dropped_attributes_count=held["dropped_attributes"],
    )


def _in_order(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted((e for e in events if e["source"] == "span"), key=_index)


def _index(event: Mapping[str, Any]) -> int:
    return int(event["index"])


def _event(row: Mapping[str, Any]) -> Span.Event:
    return Span.Event(
        time_unix_nano=_nanos(row, "time", "time_nanos"),
        name=row["name"],
        attributes=[_attribute(a) for a in row["attributes"] or ()],
        dropped_attributes_count=row["dropped_attributes"],
    )

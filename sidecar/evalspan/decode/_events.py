"""Span events and log records as rows of EVENTS."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from evalspan.decode import _attributes, _columns, _json, _lens, _walker
from evalspan.decode._context import Items, Repairs, spread, too_long
from evalspan.model import EVENTS

_TEXT: Final = pa.string()


def faults(items: Items) -> dict[int, str]:
    """Return the spans that have an event which cannot be read, with the reason."""
    events = items.struct.field("events")
    try:
        _lens.EVENT.array_to_record_batch(events.flatten())
    except ValueError:
        owners = np.repeat(np.arange(len(items)), np.asarray(events.value_lengths()))
        found = zip(owners.tolist(), events.flatten().to_pylist(), strict=True)
        reasons = ((row, _fault(data)) for row, data in found)
        return {row: reason for row, reason in reasons if reason}
    return {}


def _fault(data: bytes) -> str | None:
    try:
        _lens.EVENT.list_to_record_batch([data])
    except ValueError as error:
        return f"an event cannot be read: {error}"
    return None


def of_spans(items: Items, spans: dict[str, Any], first_row: int) -> pa.Table | None:
    """Return the events of spans as EVENTS plus `row`, the place of the span; None if none.

    `content` is seeded with the index of the event, so that two equal events of
    a span are two rows.
    """
    lists = items.struct.field("events")
    raw = lists.flatten()
    if not len(raw):
        return None
    lengths = np.asarray(lists.value_lengths())
    owners = np.repeat(np.arange(len(items)), lengths)
    index = np.arange(len(raw)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    digests = [
        xxh3_64_intdigest(data, seed=place)
        for data, place in zip(raw.to_pylist(), index.tolist(), strict=True)
    ]
    batch = _lens.EVENT.array_to_record_batch(raw)
    repairs = Repairs()
    start = np.asarray(items.struct.field("start_time_unix_nano"))[owners]
    nanos = np.asarray(batch.column("time_unix_nano"))
    received = items.received()[owners]
    # An event without a time happened during its span; where that has none either, on arrival.
    instead = _columns.plausible(start, received, received, "start_time", Repairs())
    time, time_nanos = _columns.times(
        _columns.plausible(nanos, instead, received, "time", repairs),
    )
    rows = pa.array(owners)
    columns = {
        **{name: spans[name].take(rows) for name in _SHARED},
        **_context_of(items, owners, repairs),
        "time": time,
        "time_nanos": time_nanos,
        "name": _attributes.text(batch.column("name"), "name", repairs.note),
        "content": pa.array(np.array(digests, np.uint64).view(np.int64)),
        "source": pa.array(["span"]).take(pa.array(np.zeros(len(raw), np.int64))),
        "index": pa.array(index.astype(np.int32)),
        "attributes": _attributes.lists(batch.column("attributes"), repairs.note),
        "dropped_attributes": batch.column("dropped_attributes_count"),
        "repaired": repairs.column(len(raw)),
    }
    return _table(columns, len(raw)).append_column("row", pa.array(owners + first_row))


_SHARED: Final = ("trace_id", "span_id", "received_time", "segment")


def _context_of(items: Items, owners: Any, repairs: Repairs) -> dict[str, Any]:  # noqa: ANN401
    """Return the texts of resource and scope for each event; an event takes two bytes to send."""
    names = [known.get("service.name") for _, known, _ in items.resources]
    found = {}
    for name, index, texts in (
        ("service_name", items.resource, names),
        ("resource", items.resource, [text for text, _, _ in items.resources]),
        ("scope", items.scope, [text for text, _, _ in items.scopes]),
    ):
        of_event = index[owners]
        counts = np.bincount(of_event, minlength=len(texts))
        kept: list[str | None] = [*texts]
        for place in too_long([len(text or "") for text in texts], counts):
            kept[place] = None if name == "service_name" else _json.left_out(texts[place] or "")
            repairs.say(np.flatnonzero(of_event == place), name)
        found[name] = spread(kept, of_event)
    return found


def log_faults(items: Items) -> dict[int, str]:
    """Return what makes a log record unusable, by row: ids of a wrong length, too many parts."""
    found = _columns.too_many((items.struct.field("attributes"), 1))
    for kind in ("span", "trace"):
        faults_of = _columns.id_faults(items.struct.field(f"{kind}_id"), kind)
        found |= {row: text for row, text in faults_of.items() if " has not " in text}
    return found


def of_logs(items: Items, segment: int) -> pa.Table:
    """Return log records as rows of EVENTS."""
    log = items.struct.field
    repairs = Repairs()
    received = items.received()
    observed = np.asarray(log("observed_time_unix_nano"))
    seen = _columns.plausible(
        np.where(observed == 0, received.astype(np.uint64), observed),
        received,
        received,
        "observed_time",
        repairs,
    )
    nanos = np.asarray(log("time_unix_nano"))
    time, time_nanos = _columns.times(
        _columns.plausible(nanos, seen, received, "time", repairs),
    )
    attributes = _attributes.lists(log("attributes"), repairs.note)
    body, body_kind = _body(log("body"), repairs)
    columns = {
        "trace_id": _columns.optional_ids(log("trace_id"), "trace_id", repairs),
        "span_id": _columns.optional_ids(log("span_id"), "span_id", repairs),
        "time": time,
        "time_nanos": time_nanos,
        "name": _names(log("event_name"), attributes, repairs),
        "content": pa.array(items.digest),
        "source": pa.array(["log"]).take(pa.array(np.zeros(len(items), np.int64))),
        "severity": _columns.not_empty(
            _attributes.text(log("severity_text"), "severity", repairs.note),
        ),
        "severity_number": log("severity_number"),
        "body": body,
        "body_kind": body_kind,
        "observed_time": _columns.times(np.where(observed == 0, np.uint64(0), seen))[0],
        "flags": log("flags"),
        "attributes": attributes,
        "dropped_attributes": log("dropped_attributes_count"),
        **_columns.context(items, repairs),
        "segment": pa.array(np.full(len(items), segment, np.int64)),
    }
    return _table({**columns, "repaired": repairs.column(len(items))}, len(items))


def _names(given: Any, attributes: Any, repairs: Repairs) -> Any:  # noqa: ANN401 - Arrow arrays
    """Return the event name; some SDKs give it as the attribute `event.name` only."""
    names = _columns.not_empty(_attributes.text(given, "name", repairs.note))
    pairs = attributes.flatten()
    places = np.flatnonzero(
        np.asarray(pc.equal(pairs.field("key"), "event.name").fill_null(fill_value=False)),
    )
    if not len(places):
        return names
    owners = np.repeat(np.arange(len(given)), np.asarray(attributes.value_lengths()))[places]
    chosen = np.full(len(given), -1, np.int64)
    chosen[owners] = places
    instead = pairs.field("string").take(pa.array(chosen, mask=chosen < 0))
    return pc.coalesce(names, instead)


def _body(body: Any, repairs: Repairs) -> tuple[Any, Any]:  # noqa: ANN401 - Arrow arrays
    """Return the body as text and which kind of text it is."""
    strings = _attributes.text(body.field("string_value"), "body", repairs.note)
    rows = np.flatnonzero(np.asarray(body.is_valid()) & np.asarray(strings.is_null()))
    kinds = pc.if_else(strings.is_valid(), "string", pa.scalar(None, _TEXT))
    if not len(rows):
        return strings, kinds
    texts, kind_list = strings.to_pylist(), kinds.to_pylist()
    for row in rows.tolist():
        texts[row], kind_list[row] = _json.body(_any_value(body[row].as_py())), "json"
    return pa.array(texts, _TEXT), pa.array(kind_list, _TEXT)


def _any_value(held: dict[str, Any]) -> bytes:
    """Return the bytes of an AnyValue of the flat lens."""
    for name, tag in (("array_value", b"\x2a"), ("kvlist_value", b"\x32")):
        if held[name] is not None:
            return tag + _walker.varint(len(held[name])) + bytes(held[name])
    scalars = {key: value for key, value in held.items() if value is not None}
    return bytes(_lens.AnyValue(**scalars).SerializeToString())


def _table(columns: dict[str, Any], count: int) -> pa.Table:
    arrays = [
        columns[field.name].cast(field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in EVENTS.schema
    ]
    return pa.Table.from_arrays(arrays, schema=EVENTS.schema)

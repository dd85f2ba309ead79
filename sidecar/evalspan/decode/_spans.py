"""Spans of a record batch as columns."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.decode import _attributes, _columns
from evalspan.decode._context import Items, Repairs
from evalspan.model import LINK

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS: Final = ("unset", "ok", "error")


def faults(items: Items) -> dict[int, str]:
    """Return what makes a span unusable, by row: its ids, or too many parts."""
    span = items.struct.field
    return {
        **_columns.too_many((span("attributes"), 1), (span("events"), 4), (span("links"), 4)),
        **_columns.id_faults(items.struct.field("span_id"), "span"),
        **_columns.id_faults(items.struct.field("trace_id"), "trace"),
    }


def table(items: Items, segment: int, repairs: Repairs) -> dict[str, Any]:
    """Return the columns of the spans, in the words of SPANS, attributes with coded keys."""
    span = items.struct.field
    text = _texts(items, repairs)
    return {
        "trace_id": _columns.hex_ids(span("trace_id")),
        "span_id": _columns.hex_ids(span("span_id")),
        "content": pa.array(items.digest),
        "parent_span_id": _columns.optional_ids(
            span("parent_span_id"),
            "parent_span_id",
            repairs,
        ),
        "trace_state": _columns.not_empty(text("trace_state")),
        "flags": span("flags"),
        "name": _columns.own(text("name")),
        "kind": _columns.words(span("kind"), _KINDS),
        **_times(items, repairs),
        **_status(span("status"), repairs),
        **_columns.context(items, repairs),
        "attributes": _attributes.lists(span("attributes"), repairs.note, coded=True),
        "links": _links(span("links"), repairs),
        "dropped_attributes": span("dropped_attributes_count"),
        "dropped_events": span("dropped_events_count"),
        "dropped_links": span("dropped_links_count"),
        "segment": pa.array(np.full(len(items), segment, np.int64)),
    }


def _texts(items: Items, repairs: Repairs) -> Callable[[str], Any]:
    return lambda name: _attributes.text(items.struct.field(name), name, repairs.note)


def _times(items: Items, repairs: Repairs) -> dict[str, Any]:
    received = items.received()
    given_start = np.asarray(items.struct.field("start_time_unix_nano"))
    given_end = np.asarray(items.struct.field("end_time_unix_nano"))
    start = _columns.plausible(given_start, received, received, "start_time", repairs)
    end = given_end
    if (given_end != 0).any():
        known = np.where(given_end == 0, received.astype(np.uint64), given_end)
        end = _columns.plausible(known, np.int64(0), received, "end_time", repairs)
        end = np.where(given_end == 0, np.uint64(0), end)
    backwards = (end != 0) & (end < start)
    repairs.say(np.flatnonzero(backwards), "end before start")
    unknown = (end == 0) | backwards | (start != given_start)
    duration = (end.astype(np.int64) - start.astype(np.int64)) / 1e6
    start_time, start_nanos = _columns.times(start)
    end_time, end_nanos = _columns.times(end)
    return {
        "start_time": start_time,
        "end_time": end_time,
        "start_nanos": start_nanos,
        "end_nanos": end_nanos,
        "duration_ms": pa.array(duration, mask=unknown),
    }


def _status(status: Any, repairs: Repairs) -> dict[str, Any]:  # noqa: ANN401 - Arrow array
    message = _attributes.text(status.field("message").fill_null(b""), "status", repairs.note)
    return {
        "status": _columns.words(status.field("code"), _STATUS),
        "status_message": _columns.not_empty(message),
    }


def _links(links: Any, repairs: Repairs) -> Any:  # noqa: ANN401 - Arrow arrays
    found = links.flatten()
    lengths = np.asarray(links.value_lengths())
    if not len(found):
        return pa.nulls(len(links), pa.list_(LINK))
    owners = np.repeat(np.arange(len(links)), lengths)

    def note(rows: Any, _what: str) -> None:  # noqa: ANN401 - numpy array
        repairs.note(np.unique(owners[rows]), "links")

    held = {
        "trace_id": _columns.hex_ids(found.field("trace_id")),
        "span_id": _columns.hex_ids(found.field("span_id")),
        "trace_state": _columns.not_empty(
            _attributes.text(found.field("trace_state"), "links", note),
        ),
        "flags": found.field("flags"),
        "attributes": _attributes.lists(found.field("attributes"), note),
        "dropped_attributes": found.field("dropped_attributes_count"),
    }
    struct = pa.StructArray.from_arrays(
        [_columns.own(held[field.name].cast(field.type)) for field in LINK],
        fields=list(LINK),
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    nothing = pa.array(np.append(lengths == 0, False))
    return pa.ListArray.from_arrays(
        pc.if_else(nothing, pa.scalar(None, pa.int32()), pa.array(offsets)),
        struct,
    )

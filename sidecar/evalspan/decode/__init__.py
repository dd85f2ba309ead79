"""Decode: the records of a closed segment become Arrow tables.

In: `wal` records (`kind`, `time_unix_ns`, `payload`, `offset`), whose payloads
are OTLP `ExportTraceServiceRequest` or `ExportLogsServiceRequest` bytes.
Out: `Decoded`. There are no settings.

- `spans`: one row per span. The columns are those of SPANS that need no
  dialect, under their names there, and `attributes` is a list of ATTRIBUTE
  whose `key` is dictionary-coded (each chunk has its own dictionary).
- `events`: the events of those spans, EVENTS plus `row`, the place of the span
  in `spans`; sorted by it. `content` is hashed with the index of the event as
  its seed, so that two equal events of a span stay two.
- `logs`: log records, EVENTS.
- `quarantine`: QUARANTINE. What cannot be read costs one span, never a request.
- `received_spans`, `received_log_records`: counted on the wire, apart from the
  decoder: received = rows + quarantined, or it raises. A request that cannot be
  counted is one. Items of less than 28 bytes, which cannot have ids, are counted
  one by one up to one for every 56 bytes of their request and 100 more; all
  others of that request are one item and one row, whose `detail` says how many.

What copies of resources take in quarantine has a bound: the first row of each
resource of a request has it whole, later ones as long as there is room.

What is mended rather than refused stands in `repaired`, parts joined by `;`:

- `utf8:FIELD`: text that is no UTF-8; its bad bytes became U+FFFD.
- `start_time=NANOSECONDS`, `time=…`: before 2000 (0 means unknown) or more than
  a day after acceptance. Rows are filed by the day of this time, so the time of
  acceptance takes its place (for an event the start of its span, for a log
  record its observed time). `end_time=…` likewise, and there the end is null.
- `end before start`: both are kept, the duration is null.
- `parent_span_id=0…0`, `trace_id=0…0`, `span_id=0…0`: zeros, taken as none.
  `parent_span_id=HEX`: an id of a wrong length, which names no span, likewise.
- `resource`, `scope`: unreadable, no UTF-8, a value beyond 16 KiB cut short, or
  left out where all copies in a batch would take more than 256 MiB.

Of two attributes of a span with the same key both are kept; the later one counts.
Fields that this release's OTLP does not know are passed over.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.decode import _batch, _context, _events, _spans, _walker
from evalspan.decode._attributes import KEY
from evalspan.decode._batch import ALL
from evalspan.decode._context import Items, Repairs
from evalspan.decode._quarantine import Quarantine
from evalspan.decode._request import Request, Signal
from evalspan.model import ATTRIBUTE, EVENTS, SPANS

__all__ = ["ALL", "CODED_ATTRIBUTES", "Aside", "Decoded", "Record", "count_items", "decode"]

Aside = Mapping[tuple[int, int], str]

# Decoding at once costs less per span, and more memory: about four times this.
_BATCH_BYTES: Final = 12 << 20
_SIGNALS: Final[dict[str, Signal]] = {"traces": "traces", "logs": "logs"}

CODED_ATTRIBUTES: Final = pa.list_(
    pa.struct([field.with_type(KEY) if field.name == "key" else field for field in ATTRIBUTE]),
)
_DIALECT_FREE: Final = (
    *("trace_id", "span_id", "content", "parent_span_id", "trace_state", "flags", "name", "kind"),
    *("start_time", "end_time", "start_nanos", "end_nanos", "duration_ms"),
    *("status", "status_message", "service_name", "service_version", "environment"),
    *("resource", "scope_name", "scope", "links"),
    *("dropped_attributes", "dropped_events", "dropped_links"),
    *("repaired", "received_time", "segment"),
)
_SPANS_SCHEMA: Final = pa.schema(
    [SPANS.schema.field(name) for name in _DIALECT_FREE]
    + [pa.field("attributes", CODED_ATTRIBUTES)],
)
_EVENTS_SCHEMA: Final = EVENTS.schema.append(pa.field("row", pa.int64()))


class Record(Protocol):
    """What decode reads of a record of the log."""

    @property
    def kind(self) -> Any:  # noqa: ANN401 - an enum of the log
        """Traces or logs, as an enum or its name; anything else is passed over."""

    @property
    def time_unix_ns(self) -> int:
        """When it was accepted."""

    @property
    def payload(self) -> bytes | memoryview:
        """The request."""

    @property
    def offset(self) -> int:
        """Its place in the segment."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a segment holds; the tables are described in the door of the room."""

    spans: pa.Table
    events: pa.Table
    logs: pa.Table
    quarantine: pa.Table
    received_spans: int
    received_log_records: int


def decode(records: Iterable[Record], segment: int, aside: Aside | None = None) -> Decoded:
    """Decode the records of one segment.

    `aside`: (offset of a record, place of a span or log record in it, or `ALL` of them) →
    reason; these are quarantined whole and not looked at. Raises RuntimeError where a count
    does not balance, which is a fault of evalspan and never of the input.
    """
    quarantine = Quarantine(segment)
    received = {"traces": 0, "logs": 0}
    spans: list[pa.Table] = []
    events: list[pa.Table] = []
    logs: list[pa.Table] = []
    rows = 0
    for signal, batch in _batches(records, quarantine, _by_offset(aside or {})):
        received[signal] += sum(len(request.digests) for request in batch)
        for requests, arrow in _batch.decoded(signal, batch, quarantine, _context.count):
            items = _context.items(requests, arrow)
            if signal == "logs":
                logs.append(_logs(items, quarantine, segment))
                continue
            table, of_table = _traces(items, quarantine, segment, rows)
            spans.append(table)
            events += [of_table] if of_table is not None else []
            rows += len(table)
    decoded = Decoded(
        spans=pa.concat_tables(spans) if spans else _SPANS_SCHEMA.empty_table(),
        events=pa.concat_tables(events) if events else _EVENTS_SCHEMA.empty_table(),
        logs=pa.concat_tables(logs) if logs else EVENTS.empty(),
        quarantine=quarantine.table(),
        received_spans=received["traces"] + quarantine.uncounted["traces"],
        received_log_records=received["logs"] + quarantine.uncounted["logs"],
    )
    _balance(decoded)
    return decoded


def count_items(payload: bytes) -> int:
    """Count the spans or log records of a request, as far as it can be read."""
    return _walker.split(payload, 0).count


def _by_offset(aside: Aside) -> dict[int, dict[int, str]]:
    found: dict[int, dict[int, str]] = {}
    for (offset, part), reason in aside.items():
        found.setdefault(offset, {})[part] = reason
    return found


def _batches(
    records: Iterable[Record],
    quarantine: Quarantine,
    aside: Mapping[int, Mapping[int, str]],
) -> Iterator[tuple[Signal, list[Request]]]:
    waiting: dict[Signal, list[Request]] = {"traces": [], "logs": []}
    size = {"traces": 0, "logs": 0}
    for record in records:
        name = getattr(record.kind, "name", record.kind)
        signal = _SIGNALS.get(str(name).lower())
        if signal is None:
            continue
        payload = bytes(record.payload)
        waiting[signal] += _batch.requests(
            signal,
            payload,
            record.offset,
            record.time_unix_ns,
            quarantine,
            aside.get(record.offset, {}),
        )
        size[signal] += len(payload)
        if size[signal] >= _BATCH_BYTES:
            yield signal, waiting[signal]
            waiting[signal], size[signal] = [], 0
    yield from ((signal, batch) for signal, batch in waiting.items() if batch)


def _traces(
    items: Items,
    quarantine: Quarantine,
    segment: int,
    first_row: int,
) -> tuple[pa.Table, pa.Table | None]:
    items = _sound("traces", items, _events.faults(items) | _spans.faults(items), quarantine)
    repairs = Repairs()
    columns = _spans.table(items, segment, repairs)
    columns["repaired"] = repairs.column(len(items))
    arrays = [columns[field.name].cast(field.type) for field in _SPANS_SCHEMA]
    table = pa.Table.from_arrays(arrays, schema=_SPANS_SCHEMA)
    return table, _events.of_spans(items, columns, first_row)


def _logs(items: Items, quarantine: Quarantine, segment: int) -> pa.Table:
    return _events.of_logs(_sound("logs", items, _events.log_faults(items), quarantine), segment)


def _sound(signal: Signal, items: Items, faults: dict[int, str], quarantine: Quarantine) -> Items:
    """Quarantine the items that have a fault and return the others."""
    if not faults:
        return items
    request, parts = -1, list[_walker.Item]()
    for row, reason in sorted(faults.items()):
        if request != items.request[row]:
            request = int(items.request[row])
            first = int(np.searchsorted(items.request, request))
            parts = _batch.items_of(items.requests[request])
        whole, item = items.requests[request], parts[row - first]
        quarantine.add(signal, whole, int(items.part[row]), item, reason)
    return items.keep(np.setdiff1d(np.arange(len(items)), list(faults)))


def _balance(decoded: Decoded) -> None:
    signals = decoded.quarantine.column("signal")
    for signal, rows, received in (
        ("traces", len(decoded.spans), decoded.received_spans),
        ("logs", len(decoded.logs), decoded.received_log_records),
    ):
        got = rows + (pc.sum(pc.equal(signals, signal)).as_py() or 0)
        if got != received:
            msg = f"{signal}: {received} items on the wire, {got} decoded or quarantined"
            raise RuntimeError(msg)

"""What could not be read or was set aside, as rows of QUARANTINE."""

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from evalspan.decode import _json, _walker
from evalspan.decode._request import Request, Signal
from evalspan.model import QUARANTINE

# What a quarantined span may take; the rest of it is cut off.
MAX_QUARANTINED_BYTES: Final = 1 << 20
_MOST_DETAIL: Final = 300
# What the copies of resources may take in a segment, the first of each request not counted.
_MOST_COPIED: Final = 64 << 20
# As Python objects; a row then takes ten times what it takes in a table.
_MOST_ROWS: Final = 4096
_ID_FIELDS: Final[dict[Signal, tuple[int, int]]] = {"traces": (1, 2), "logs": (9, 10)}


@dataclass(slots=True)
class Quarantine:
    """Rows of QUARANTINE in the making.

    `count` is how many there are; `uncounted` is how many of them stand for something that
    the digests do not count as an item.
    """

    segment: int
    count: int = 0
    uncounted: dict[Signal, int] = field(default_factory=lambda: {"traces": 0, "logs": 0})
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _tables: list[pa.Table] = field(default_factory=list)
    _copied: int = 0
    _resource: tuple[int, bytes, bytes] | None = None
    _text: str = ""

    def add(
        self, signal: Signal, request: Request, part: int, item: _walker.Item | None, reason: str
    ) -> None:
        """Keep one item (None if not even its place is known) with the reason.

        `reason` is one of a few words, which are counted by; what is of this item only
        stands after `: ` and becomes the detail.
        """
        reason, _, detail = reason.partition(": ")
        data = request.payload if item is None else item.data
        text = self._resource_text(request, item) if item else None
        row = {"bytes": data[:MAX_QUARANTINED_BYTES], "resource": text, "detail": detail or None}
        self._add(signal, request, part, item, reason, row)

    def set_aside(
        self, signal: Signal, request: Request, part: int, item: _walker.Item | None, reason: str
    ) -> None:
        """Keep an item whole, as a request of its own; nothing but its ids is looked at."""
        detail, whole = None, request.payload
        if item is not None:
            size = len(item.resource) + len(item.scope)
            if self._has_room(request, item, size):
                whole = item.request()
            else:
                whole = item.bare().request()
                detail = f"without its resource and scope of {size} bytes, kept on a part before"
        row = {"bytes": whole, "resource": None, "detail": detail}
        self._add(signal, request, part, item, reason, row)

    def _add(
        self,
        signal: Signal,
        request: Request,
        part: int,
        item: _walker.Item | None,
        reason: str,
        row: dict[str, Any],
    ) -> None:
        data = item.data[:MAX_QUARANTINED_BYTES] if item else b""
        trace_id, span_id = _walker.peek(data, *_ID_FIELDS[signal])
        row |= {
            "segment": self.segment,
            "offset": request.offset,
            "part": part,
            "signal": signal,
            "reason": reason,
            "trace_id": trace_id.hex() or None,
            "span_id": span_id.hex() or None,
            "received_time": request.received_ns // 1000,
            "detail": row["detail"] and row["detail"][:_MOST_DETAIL],
        }
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _MOST_ROWS:
            self._flush()

    def _resource_text(self, request: Request, item: _walker.Item) -> str:
        """Return the resource of an item as OTLP/JSON, read once for all that share it."""
        kept = self._has_room(request, item, max(len(self._text), len(item.resource)))
        self._text = self._text or _json.resource(item.resource, item.resource_schema)[0]
        return self._text if kept else _json.left_out(self._text)

    def _has_room(self, request: Request, item: _walker.Item, size: int) -> bool:
        """Whether what surrounds an item is kept on its row: there is room, or it is the first."""
        resource = (request.offset, item.resource, item.resource_schema)
        if resource != self._resource:
            self._resource, self._text = resource, ""
            return True
        self._copied += size
        return self._copied <= _MOST_COPIED

    def _flush(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._rows, schema=QUARANTINE.schema))
        self._rows = []

    def table(self) -> pa.Table:
        """Return the rows as a table of QUARANTINE."""
        self._flush()
        return pa.concat_tables(self._tables)

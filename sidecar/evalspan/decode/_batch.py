"""Decode many requests at once; where one cannot be, find the span that is to blame."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import pyarrow as pa
from xxhash import xxh3_64_intdigest

from evalspan.decode import _json, _lens, _walker
from evalspan.model import QUARANTINE

Signal = Literal["traces", "logs"]
# What a quarantined span may take; the rest of it is cut off.
MAX_QUARANTINED_BYTES: Final = 1 << 20
_MOST_DETAIL: Final = 300
# Stands for every item of a request that is set aside.
ALL: Final = -1


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or one item cut out of a damaged one, with the items counted on the wire."""

    payload: bytes
    offset: int
    received_ns: int
    digests: Sequence[int]
    first_part: int = 0
    alone: bool = False


@dataclass(slots=True)
class Quarantine:
    """Rows of QUARANTINE in the making.

    `uncounted` is how many of them stand for something that the wire walker
    could not count as an item.
    """

    segment: int
    uncounted: dict[Signal, int] = field(default_factory=lambda: {"traces": 0, "logs": 0})
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, signal: Signal, request: Request, part: int, item: _walker.Item | None, reason: str
    ) -> None:
        """Keep one item (None if not even its place is known) with the reason.

        `reason` is one of a few words, which are counted by; what is of this item only
        stands after `: ` and becomes the detail.
        """
        reason, _, detail = reason.partition(": ")
        numbers = (1, 2) if signal == "traces" else (9, 10)
        data = request.payload if item is None else item.data
        trace_id, span_id = (
            (_walker.peek(item.data, number).hex() or None) if item else None for number in numbers
        )
        resource = _json.resource(item.resource, item.resource_schema)[0] if item else None
        self.rows.append(
            {
                "segment": self.segment,
                "offset": request.offset,
                "part": part,
                "signal": signal,
                "reason": reason,
                "trace_id": trace_id,
                "span_id": span_id,
                "bytes": data[:MAX_QUARANTINED_BYTES],
                "resource": resource,
                "received_time": request.received_ns // 1000,
                "detail": detail[:_MOST_DETAIL] or None,
            },
        )

    def set_aside(
        self, signal: Signal, request: Request, part: int, item: _walker.Item | None, reason: str
    ) -> None:
        """Keep an item whole, as a request of its own; nothing but its ids is looked at."""
        bare = item and replace(item, resource=b"", resource_schema=b"")
        self.add(signal, request, part, bare, reason)
        whole = item.request() if item else request.payload
        self.rows[-1] |= {"bytes": whole, "resource": None}

    def table(self) -> pa.Table:
        """Return the rows as a table of QUARANTINE."""
        return pa.Table.from_pylist(self.rows, schema=QUARANTINE.schema)


def requests(
    signal: Signal,
    payload: bytes,
    offset: int,
    received_ns: int,
    quarantine: Quarantine,
    aside: Mapping[int, str],
) -> list[Request]:
    """Count the items of one request on the wire.

    A damaged request comes back as one request per item that can still be
    read; what cannot be is quarantined, as one item at least. So is one of which
    items are to be set `aside` (part → reason).
    """
    if not aside:
        try:
            return [Request(payload, offset, received_ns, _walker.digests(payload))]
        except _walker.WireError:
            pass
    items, error = _walker.split(payload)
    whole = Request(payload, offset, received_ns, ())
    reason = f"cut off or garbled: {error}"
    broken: list[tuple[int, _walker.Item | None]] = [
        (part, item) for part, item in enumerate(items) if not item.whole
    ]
    if error and not broken:
        broken = [(len(items), None)]
    for part, item in broken:
        quarantine.uncounted[signal] += 1
        quarantine.add(signal, whole, part, item, reason)
    if not aside:
        return _alone(whole, items)
    kept = [request for request in _alone(whole, items) if not _is_in(aside, request.first_part)]
    gone: list[tuple[int, _walker.Item | None]] = [
        (part, item) for part, item in enumerate(items) if item.whole and _is_in(aside, part)
    ]
    for part, item in gone if items or broken else [(ALL, None)]:
        quarantine.uncounted[signal] += 1
        told = aside.get(part, aside.get(ALL, ""))
        quarantine.set_aside(signal, whole, max(part, 0), item, told)
    return kept


def _is_in(aside: Mapping[int, str], part: int) -> bool:
    return part in aside or ALL in aside


def _alone(whole: Request, items: Sequence[_walker.Item]) -> list[Request]:
    return [
        Request(
            item.request(),
            whole.offset,
            whole.received_ns,
            (xxh3_64_intdigest(item.data),),
            whole.first_part + part,
            alone=True,
        )
        for part, item in enumerate(items)
        if item.whole
    ]


def decoded(
    signal: Signal,
    batch: Sequence[Request],
    quarantine: Quarantine,
    accept: Callable[[Any], int],
) -> Iterator[tuple[Sequence[Request], Any]]:
    """Yield (requests, record batch) so that all readable requests are in one of them.

    `accept` counts the items of a record batch; it must agree with the wire.
    """
    if not batch:
        return
    handler = _lens.TRACES if signal == "traces" else _lens.LOGS
    try:
        arrow = handler.list_to_record_batch([request.payload for request in batch])
        if accept(arrow) == sum(len(request.digests) for request in batch):
            yield batch, arrow
            return
        reason = "the decoder and the wire disagree on how many items there are"
    except ValueError as error:
        reason = f"cannot be decoded: {error}"
    if len(batch) > 1:
        middle = len(batch) // 2
        yield from decoded(signal, batch[:middle], quarantine, accept)
        yield from decoded(signal, batch[middle:], quarantine, accept)
    elif batch[0].alone:
        item = _walker.split(batch[0].payload)[0][0]
        quarantine.add(signal, batch[0], batch[0].first_part, item, reason)
    else:
        items = _walker.split(batch[0].payload)[0]
        if not items:
            quarantine.uncounted[signal] += 1
            quarantine.add(signal, batch[0], 0, None, reason)
        yield from decoded(signal, _alone(batch[0], items), quarantine, accept)

"""Columns that spans and log records share: ids, times, words, context."""

from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.decode._context import Items, Repairs, spread

TIME: Final = pa.timestamp("us", tz="UTC")
_DAY_NS: Final = 86_400 * 10**9
# OTLP is younger than this; an earlier time is a clock that was never set.
_EARLIEST_NS: Final = 946_684_800 * 10**9
# Attributes of a batch, an event or a link counting as four.
MOST_PARTS: Final = 4_000_000
_MOST_TOLD_BYTES: Final = 64
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


def hex_ids(ids: Any) -> Any:  # noqa: ANN401 - Arrow arrays
    """Return binary ids as lower-case hex text."""
    return pl.Series(ids).bin.encode("hex").to_arrow().cast(pa.string())


def id_faults(ids: Any, kind: str) -> dict[int, str]:  # noqa: ANN401 - Arrow array
    """Return what is wrong with the ids of a kind (trace or span), by row."""
    size = _TRACE_ID_BYTES if kind == "trace" else _SPAN_ID_BYTES
    sizes = np.asarray(pc.binary_length(ids))
    zero = np.asarray(pc.equal(ids, pa.scalar(bytes(size), pa.binary())))
    faults = dict.fromkeys(np.flatnonzero(zero).tolist(), f"{kind} id is all zeros")
    for row in np.flatnonzero(sizes != size).tolist():
        had = f"has not {size} bytes: {sizes[row]}" if sizes[row] else "is empty"
        faults[row] = f"{kind} id {had}"
    return faults


def too_many(*lists: tuple[Any, int]) -> dict[int, str]:
    """Return by row what makes it too large, the largest first, until the batch has room.

    `lists`: Arrow list arrays, and what an element of each counts. An element takes two bytes to
    send and hundreds as a row; no real span has so many.
    """
    sizes = np.sum(
        [np.asarray(held.value_lengths().fill_null(0), np.int64) * count for held, count in lists],
        axis=0,
    )
    left, faults = int(sizes.sum()), {}
    if left <= MOST_PARTS:
        return {}
    for row in np.argsort(-sizes, kind="stable").tolist():
        if left <= MOST_PARTS:
            break
        left -= int(sizes[row])
        faults[row] = f"too large: its attributes, events and links count {sizes[row]}"
    return faults


def optional_ids(ids: Any, column: str, repairs: Repairs) -> Any:  # noqa: ANN401 - Arrow arrays
    """Return ids as hex, null where there is none: empty, all zeros, or of a wrong length.

    No span can have an id of a wrong length, so that it is nobody's parent.
    """
    size = _TRACE_ID_BYTES if column == "trace_id" else _SPAN_ID_BYTES
    zero = np.asarray(pc.equal(ids, pa.scalar(bytes(size), pa.binary())))
    if zero.any():
        repairs.say(np.flatnonzero(zero), f"{column}={'0' * (2 * size)}")
    sizes = np.asarray(pc.binary_length(ids))
    wrong = (sizes != 0) & (sizes != size)
    for row in np.flatnonzero(wrong).tolist():
        repairs.notes[row].append(f"{column}={ids[row].as_py()[:_MOST_TOLD_BYTES].hex()}")
    absent = zero | wrong | (sizes == 0)
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), hex_ids(ids))


def own(values: Any) -> Any:  # noqa: ANN401 - Arrow arrays
    """Return a copy in memory of its own.

    Every array that the decoder gives, however small, holds all memory of its batch, some
    2,500 bytes a span. What stays as it is for as long as the rows do must not.
    """
    return values.take(pa.array(np.arange(len(values))))


def times(nanos: Any) -> tuple[Any, Any]:  # noqa: ANN401 - numpy in, Arrow out
    """Split nanoseconds since 1970 (0: unknown) into microseconds and the rest."""
    mask = nanos == 0
    micros = pa.array((nanos // 1000).astype(np.int64), mask=mask).cast(TIME)
    return micros, pa.array((nanos % 1000).astype(np.int16), mask=mask)


def plausible(
    nanos: Any,  # noqa: ANN401 - numpy uint64
    instead: Any,  # noqa: ANN401 - numpy, nanoseconds
    received: Any,  # noqa: ANN401 - numpy, nanoseconds
    name: str,
    repairs: Repairs,
) -> Any:  # noqa: ANN401 - numpy
    """Replace times that cannot be: before 2000, or more than a day after acceptance.

    Rows are filed by the day of their time, so a broken clock must not make up
    days. What was there stands in `repaired` as `name=NANOSECONDS`.
    """
    wrong = (nanos < _EARLIEST_NS) | (nanos > np.asarray(received + _DAY_NS, np.uint64))
    if not wrong.any():
        return nanos
    rows = np.flatnonzero(wrong)
    for row, given in zip(rows.tolist(), nanos[rows].tolist(), strict=True):
        repairs.notes[row].append(f"{name}={given}")
    # Mixed with signed numbers they would become floats, which round nanoseconds.
    return np.where(wrong, np.asarray(instead, np.uint64), nanos)


def words(numbers: Any, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - Arrow arrays
    """Return enum numbers as their names; an unknown number as its digits."""
    found = np.asarray(numbers.fill_null(0))
    if len(found) and (found.min() < 0 or found.max() >= len(names)):
        texts = [names[n] if 0 <= n < len(names) else str(n) for n in found.tolist()]
        return pa.array(texts, pa.string())
    return pa.array(names, pa.string()).take(pa.array(found))


def not_empty(texts: Any) -> Any:  # noqa: ANN401 - Arrow arrays
    """Return texts with null instead of the empty text, which protobuf cannot tell apart."""
    if pc.sum(pc.binary_length(texts)).as_py() in {0, None}:
        return pa.nulls(len(texts), pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def context(items: Items, repairs: Repairs) -> dict[str, Any]:
    """Return the columns of resource and scope, and when and where the item came in."""
    for index, texts in ((items.resource, items.resources), (items.scope, items.scopes)):
        for place, (_, _, note) in enumerate(texts):
            if note:
                repairs.say(np.flatnonzero(index == place), note)
    attributes = [texts for _, texts, _ in items.resources]
    environments = [
        a.get("deployment.environment.name") or a.get("deployment.environment") for a in attributes
    ]
    return {
        "service_name": spread([a.get("service.name") for a in attributes], items.resource),
        "service_version": spread([a.get("service.version") for a in attributes], items.resource),
        "environment": spread(environments, items.resource),
        "resource": spread([text for text, _, _ in items.resources], items.resource),
        "scope_name": spread([name or None for _, name, _ in items.scopes], items.scope),
        "scope": spread([text for text, _, _ in items.scopes], items.scope),
        "received_time": pa.array(items.received() // 1000).cast(TIME),
    }

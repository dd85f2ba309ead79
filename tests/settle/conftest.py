"""A tiny builder of SPANS and EVENTS for the tests of this folder."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from evalspan import model
from evalspan.decode import decode
from evalspan.normalize import Normalized, normalize

START = datetime(2026, 3, 1, tzinfo=UTC)
START_US = int(START.timestamp() * 1_000_000)
Row = dict[str, Any]


def attribute(key: str, value: object) -> dict[str, object]:
    kinds = {str: "string", bool: "bool", int: "int", float: "double", bytes: "nested"}
    empty = dict.fromkeys(("string", "int", "double", "bool", "bytes", "nested"))
    return {"key": key, **empty, kinds[type(value)]: value}


def span(
    trace: str,
    number: str,
    parent: str | None = None,
    **columns: Any,  # noqa: ANN401 - of the column's type
) -> Row:
    """A row of SPANS. `at` and `lasts` are seconds from START, `received` likewise."""
    at, lasts = columns.pop("at", 0.0), columns.pop("lasts", 1.0)
    received = columns.pop("received", at + lasts)
    attributes = columns.pop("attributes", {})
    return {
        "trace_id": trace.ljust(32, "0"),
        "span_id": number.ljust(16, "0"),
        "content": hash((trace, number)) & 0xFFFF,
        "parent_span_id": parent.ljust(16, "0") if parent else None,
        "start_time": START + timedelta(seconds=at),
        "end_time": START + timedelta(seconds=at + lasts),
        "role": "other",
        "attributes": [attribute(k, v) for k, v in attributes.items()],
        "received_time": START + timedelta(seconds=received),
        "segment": 1,
        **columns,
    }


def event(
    trace: str,
    number: str,
    name: str,
    **columns: Any,  # noqa: ANN401 - of the column's type
) -> Row:
    return {
        "trace_id": trace.ljust(32, "0"),
        "span_id": number.ljust(16, "0"),
        "time": START,
        "name": name,
        "content": 1,
        "source": "log",
        "received_time": START + timedelta(seconds=columns.pop("received", 0.0)),
        "segment": 1,
        **columns,
    }


def table(contract: model.Table, rows: list[Row]) -> pa.Table:
    names = contract.schema.names
    assert all(set(row) <= set(names) for row in rows)
    full = [{name: row.get(name) for name in names} for row in rows]
    return pa.Table.from_pylist(full, schema=contract.schema)


CAPTURES = Path(__file__).parents[1] / "golden" / "captures"


@dataclass(frozen=True)
class Request:
    """A record of the log."""

    payload: bytes
    kind: str
    time_unix_ns: int = 1_800_000_000_000_000_000
    offset: int = 0


def rows_of(name: str, segment: int = 1) -> Normalized:
    """The rows of a captured request, and of the log records that came beside it."""
    requests = [Request((CAPTURES / f"{name}.binpb").read_bytes(), "traces")]
    logs = CAPTURES / f"{name}.logs.binpb"
    if logs.exists():
        requests.append(Request(logs.read_bytes(), "logs"))
    return normalize(decode(requests, segment))


@pytest.fixture(scope="session")
def captures() -> SimpleNamespace:
    """`names` of the captured requests; `rows_of`: name, segment → rows."""
    names = sorted(str(f.relative_to(CAPTURES)) for f in CAPTURES.rglob("*.binpb"))
    whole = [n.removesuffix(".binpb") for n in names if not n.endswith(".logs.binpb")]
    return SimpleNamespace(names=whole, rows_of=rows_of)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """`span`, `event`: a row; `spans`, `events`: rows → table; `us`: seconds → microseconds."""
    return SimpleNamespace(
        span=span,
        event=event,
        spans=lambda *rows: table(model.SPANS, list(rows)),
        events=lambda *rows: table(model.EVENTS, list(rows)),
        us=lambda seconds: START_US + int(seconds * 1_000_000),
    )

"""The fast decoder agrees with a slow one that walks the official protobuf objects."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from otlp_requests import RECEIVED_NS, REQUESTS, Record, captured, label, record_of
from xxhash import xxh3_64_intdigest

from evalspan.decode import decode

DAY_NS = 86_400 * 10**9
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def reference(payload: bytes) -> Iterator[dict[str, Any]]:
    """Return the rows of a request, one object after the other."""
    for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield {
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "content": signed(xxh3_64_intdigest(span.SerializeToString())),
                    "parent_span_id": span.parent_span_id.hex() or None,
                    "trace_state": span.trace_state or None,
                    "flags": span.flags,
                    "name": span.name,
                    "kind": KINDS[span.kind] if span.kind < len(KINDS) else str(span.kind),
                    "start_ns": span.start_time_unix_nano
                    if plausible(span.start_time_unix_nano)
                    else RECEIVED_NS,
                    "end_ns": span.end_time_unix_nano
                    if plausible(span.end_time_unix_nano)
                    else None,
                    "status": {0: "unset", 1: "ok", 2: "error"}.get(
                        span.status.code,
                        str(span.status.code),
                    ),
                    "status_message": span.status.message or None,
                    "resource": resource_attributes(resource_spans.resource.attributes),
                    "scope_name": scope_spans.scope.name or None,
                    "attributes": [typed(pair) for pair in span.attributes],
                    "dropped": (
                        span.dropped_attributes_count,
                        span.dropped_events_count,
                        span.dropped_links_count,
                    ),
                    "links": [
                        (
                            link.trace_id.hex(),
                            link.span_id.hex(),
                            link.trace_state or None,
                            link.flags,
                            [typed(pair) for pair in link.attributes],
                            link.dropped_attributes_count,
                        )
                        for link in span.links
                    ],
                    "events": [
                        (event.name, [typed(pair) for pair in event.attributes])
                        for event in span.events
                    ],
                }


def signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def plausible(nanos: int) -> bool:
    return 946_684_800 * 10**9 <= nanos <= RECEIVED_NS + DAY_NS


def typed(pair: KeyValue) -> tuple[str, str | None, Any]:
    """Return key, kind and value of an attribute; arrays and maps as their bytes."""
    if not pair.HasField("value"):
        return pair.key, None, None
    kind = pair.value.WhichOneof("value")
    if kind in {None, "array_value", "kvlist_value"}:
        return pair.key, "nested", pair.value.SerializeToString()
    return pair.key, kind.removesuffix("_value"), getattr(pair.value, kind)


def resource_attributes(pairs: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - repeated KeyValue
    return [(pair.key, as_json(pair.value) if pair.HasField("value") else None) for pair in pairs]


def as_json(value: AnyValue) -> Any:  # noqa: ANN401 - any JSON value
    return json_format.MessageToDict(value)


def fast(record: Record) -> list[dict[str, Any]]:
    decoded = decode([record], segment=1)
    assert decoded.received_spans == len(decoded.spans)
    events: dict[int, list[Any]] = {}
    for event in decoded.events.to_pylist():
        assert event["index"] == len(events.setdefault(event["row"], []))
        events[event["row"]].append((event["name"], attributes(event)))
    rows = decoded.spans.to_pylist()
    return [as_reference(row, events.get(place, [])) for place, row in enumerate(rows)]


def as_reference(row: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    plain = (
        "trace_id span_id content parent_span_id trace_state flags name kind status "
        "status_message scope_name"
    )
    resource = json.loads(row["resource"])["attributes"]
    return {
        **{name: row[name] for name in plain.split()},
        "start_ns": nanos(row["start_time"], row["start_nanos"]),
        "end_ns": nanos(row["end_time"], row["end_nanos"]),
        "resource": [(pair["key"], pair.get("value")) for pair in resource],
        "attributes": attributes(row),
        "dropped": (row["dropped_attributes"], row["dropped_events"], row["dropped_links"]),
        "links": [
            (
                link["trace_id"],
                link["span_id"],
                link["trace_state"],
                link["flags"],
                attributes(link),
                link["dropped_attributes"],
            )
            for link in row["links"] or ()
        ],
        "events": events,
    }


def nanos(time: Any, rest: int) -> int | None:  # noqa: ANN401 - datetime or null
    if time is None:
        return None
    return round(time.timestamp() * 10**6) * 1000 + rest


def attributes(row: Mapping[str, Any]) -> list[tuple[str, str | None, Any]]:
    found = []
    for held in row["attributes"]:
        kinds = [(k, v) for k, v in held.items() if k != "key" and v is not None]
        assert len(kinds) <= 1
        found.append((held["key"], *(kinds[0] if kinds else (None, None))))
    return found


@pytest.mark.parametrize("path", captured("traces"), ids=label)
def test_captured_requests_decode_as_the_reference_does(path: Path) -> None:
    assert fast(record_of(path)) == list(reference(path.read_bytes()))


@given(REQUESTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_made_up_requests_decode_as_the_reference_does(payload: bytes) -> None:
    # Serialized again as the reference sees it, so that the bytes of each span are the same.
    assert fast(Record(payload)) == list(reference(payload))


@pytest.mark.parametrize("path", captured("logs"), ids=label)
def test_captured_log_records_decode_as_the_reference_does(path: Path) -> None:
    rows = decode([record_of(path)], segment=1).logs.to_pylist()
    message = ExportLogsServiceRequest.FromString(path.read_bytes())
    records = [
        log
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for log in scope.log_records
    ]
    assert [row["content"] for row in rows] == [
        signed(xxh3_64_intdigest(log.SerializeToString())) for log in records
    ]
    for row, log in zip(rows, records, strict=True):
        assert row["name"] == (log.event_name or None)
        assert row["trace_id"] == (log.trace_id.hex() or None)
        assert row["span_id"] == (log.span_id.hex() or None)
        assert attributes(row) == [typed(pair) for pair in log.attributes]
        assert nanos(row["time"], row["time_nanos"]) == (
            log.time_unix_nano or log.observed_time_unix_nano
        )
        if log.HasField("body"):
            text = log.body.WhichOneof("value") == "string_value"
            assert row["body_kind"] == ("string" if text else "json")
            body = row["body"] if text else json.loads(row["body"])
            assert body == (log.body.string_value if text else as_json(log.body))
        else:
            assert row["body"] is None

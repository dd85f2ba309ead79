"""Whatever is damaged costs one span, is accounted for, and says why."""

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_requests import RECEIVED_NS, REQUESTS, Record, make_span, pair, request, spans_of
from xxhash import xxh3_64_intdigest

from evalspan.decode import Decoded, _columns, _context, decode
from evalspan.model import QUARANTINE

DAY_NS = 86_400 * 10**9


def three(**middle: Any) -> bytes:  # noqa: ANN401 - fields of a span
    """Return a request of three spans, the second with these fields."""
    spans = [make_span(name, span_id=bytes([n] * 8)) for n, name in enumerate("abc", start=1)]
    for name, value in middle.items():
        setattr(spans[1], name, value)
    return request(*spans)


def names(decoded: Decoded) -> list[str]:
    return decoded.spans.column("name").to_pylist()


def only_row(payload: bytes) -> dict[str, Any]:
    decoded = decode([Record(payload)], 1)
    assert len(decoded.spans) == 1
    return decoded.spans.to_pylist()[0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "trace id is empty"),
        ({"trace_id": bytes(16)}, "trace id is all zeros"),
        ({"trace_id": b"abc"}, "trace id has not 16 bytes"),
        ({"span_id": b""}, "span id is empty"),
        ({"span_id": bytes(8)}, "span id is all zeros"),
        ({"span_id": b"123456789"}, "span id has not 8 bytes"),
    ],
)
def test_a_span_with_unusable_ids_is_quarantined_alone(
    fields: dict[str, Any],
    reason: str,
) -> None:
    payload = three(**fields)
    decoded = decode([Record(payload, offset=77)], segment=5)
    assert names(decoded) == ["a", "c"]
    assert decoded.received_spans == 3
    assert decoded.quarantine.schema == QUARANTINE.schema
    row = decoded.quarantine.to_pylist()[0]
    assert (row["segment"], row["offset"], row["part"]) == (5, 77, 1)
    assert row["reason"] == reason
    assert row["bytes"] == list(spans_of(payload))[1].SerializeToString()
    assert '"stringValue":"shop"' in row["resource"]
    assert row["span_id"] == (fields.get("span_id", bytes([2] * 8)).hex() or None)


def test_an_empty_span_is_quarantined() -> None:
    # Resource spans > scope spans > a span of no bytes, then a good one.
    good = request(make_span("good"))
    decoded = decode([Record(b"\x0a\x04\x12\x02\x12\x00" + good)], 1)
    assert names(decoded) == ["good"]
    assert decoded.quarantine.column("reason").to_pylist() == ["trace id is empty"]


@pytest.mark.parametrize("payload", [b"\xff\xfe\x00garbage", b"\x0a\xff", b"\x02\x00", b"{}"])
def test_garbage_is_one_quarantined_item(payload: bytes) -> None:
    decoded = decode([Record(payload), Record(request(make_span("good")))], 1)
    assert names(decoded) == ["good"]
    assert decoded.received_spans == 2
    row = decoded.quarantine.to_pylist()[0]
    assert row["bytes"] == payload
    assert row["reason"] == "cut off or garbled"
    assert "at byte" in row["detail"]


def test_of_a_request_that_was_cut_off_the_whole_spans_are_kept() -> None:
    whole = three()
    decoded = decode([Record(whole[:-20])], 1)
    assert names(decoded) == ["a", "b"]
    row = decoded.quarantine.to_pylist()[0]
    assert row["part"] == 2
    assert row["trace_id"] == bytes(range(1, 17)).hex()
    assert row["span_id"] == bytes([3] * 8).hex()
    assert "goes beyond its end" in row["detail"]


def test_a_request_may_be_cut_off_anywhere() -> None:
    whole = three()
    for size in range(len(whole)):
        decoded = decode([Record(whole[:size])], 1)
        assert names(decoded) == list("abc")[: len(decoded.spans)]
        assert decoded.received_spans == len(decoded.spans) + len(decoded.quarantine)
        assert len(decoded.quarantine) == (0 if size == 0 else 1)


def test_the_inside_of_one_span_is_damaged() -> None:
    spans = list(spans_of(three()))
    # Field 1 of the second span says that it is longer than the span.
    broken = spans[1].SerializeToString().replace(b"\x0a\x10", b"\x0a\x7f", 1)
    payload = request(*spans).replace(spans[1].SerializeToString(), broken)
    decoded = decode([Record(payload), Record(request(make_span("next")))], 1)
    assert names(decoded) == ["a", "c", "next"]
    assert decoded.quarantine.column("bytes").to_pylist() == [broken]
    assert decoded.quarantine.column("part").to_pylist() == [1]


def test_an_event_that_cannot_be_read_costs_its_span() -> None:
    spans = list(spans_of(three()))
    spans[1].events.add(name="event", time_unix_nano=5)
    good = spans[1].SerializeToString()
    broken = good.replace(b"\x12\x05event", b"\x12\x7fevent")
    decoded = decode([Record(request(*spans).replace(good, broken))], 1)
    assert names(decoded) == ["a", "c"]
    assert decoded.quarantine.column("reason").to_pylist() == ["an event cannot be read"]


@given(REQUESTS.filter(len), st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_byte_never_loses_a_span_unseen(payload: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(payload) - 1))
    value = data.draw(st.integers(0, 255))
    damaged = payload[:place] + bytes([value]) + payload[place + 1 :]
    decoded = decode([Record(damaged), Record(request(make_span("witness")))], 1)
    assert names(decoded)[-1:] == ["witness"]
    decoded.spans.validate(full=True)


@given(st.binary(max_size=64))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_survived(payload: bytes) -> None:
    for kind in ("traces", "logs"):
        decoded = decode([Record(payload, kind)], 1)
        decoded.quarantine.validate(full=True)


@pytest.mark.parametrize("field", ["name", "attributes", "status", "trace_state"])
def test_text_that_is_no_utf8_is_mended_and_named(field: str) -> None:
    span = make_span("NAMEX", {"key": "VALUEX"}, trace_state="STATEX")
    span.status.message = "STATUSX"
    word = {"name": b"NAMEX", "attributes": b"VALUEX", "status": b"STATUSX"}.get(field, b"STATEX")
    payload = request(span, make_span("other")).replace(word, word[:-1] + b"\xff")
    decoded = decode([Record(payload)], 1)
    mended, other = decoded.spans.to_pylist()
    assert mended["repaired"] == f"utf8:{field}"
    assert other["repaired"] is None
    found = {
        "name": mended["name"],
        "attributes": mended["attributes"][0]["string"],
        "status": mended["status_message"],
        "trace_state": mended["trace_state"],
    }
    assert found[field] == word[:-1].decode() + "\ufffd"
    assert sum("\ufffd" in text for text in found.values()) == 1


def test_a_key_that_is_no_utf8_is_mended_on_every_span_that_has_it() -> None:
    payload = request(
        make_span("a", {"KEYX": 1}),
        make_span("b", {"key": 1}),
        make_span("c", {"KEYX": 2}),
    ).replace(b"KEYX", b"KEY\xfe")
    rows = decode([Record(payload)], 1).spans.to_pylist()
    assert [row["repaired"] for row in rows] == ["utf8:attributes", None, "utf8:attributes"]
    assert rows[2]["attributes"][0]["key"] == "KEY\ufffd"


def test_a_resource_that_is_no_utf8_is_mended_and_named() -> None:
    payload = request(make_span(), resource={"service.name": "SHOPX"}).replace(b"PX", b"P\xff")
    row = only_row(payload)
    assert row["service_name"] == "SHOP\ufffd"
    assert row["repaired"] == "resource"


def test_a_long_value_of_a_resource_is_cut_as_it_stands_on_every_span() -> None:
    row = only_row(request(make_span(), resource={"service.name": "shop", "env": "x" * 10**6}))
    assert len(row["resource"]) < 20_000
    assert row["repaired"] == "resource"


def test_an_attribute_of_ten_megabytes_is_kept() -> None:
    row = only_row(request(make_span(attributes={"big": "x" * 10_000_000})))
    assert len(row["attributes"][0]["string"]) == 10_000_000


@pytest.mark.parametrize(
    ("start", "end", "note"),
    [
        (0, RECEIVED_NS, "start_time=0"),
        (5, RECEIVED_NS, "start_time=5"),
        (2**64 - 1, 0, f"start_time={2**64 - 1}"),
        (RECEIVED_NS + DAY_NS + 1, 0, f"start_time={RECEIVED_NS + DAY_NS + 1}"),
    ],
)
def test_a_start_that_cannot_be_is_replaced_by_the_time_of_acceptance(
    start: int,
    end: int,
    note: str,
) -> None:
    row = only_row(request(make_span(start_time_unix_nano=start, end_time_unix_nano=end)))
    assert row["start_time"].timestamp() == RECEIVED_NS / 10**9
    assert row["duration_ms"] is None
    assert row["repaired"] == note


def test_an_end_in_the_far_future_is_unknown() -> None:
    row = only_row(request(make_span(end_time_unix_nano=2**63)))
    assert row["end_time"] is None
    assert row["duration_ms"] is None
    assert row["repaired"] == f"end_time={2**63}"


def test_a_start_within_a_day_of_acceptance_is_believed() -> None:
    start = RECEIVED_NS + DAY_NS
    row = only_row(request(make_span(start_time_unix_nano=start, end_time_unix_nano=0)))
    assert row["repaired"] is None
    assert row["start_time"].timestamp() == start / 10**9


def test_an_end_before_the_start_has_no_duration() -> None:
    span = make_span(start_time_unix_nano=RECEIVED_NS, end_time_unix_nano=RECEIVED_NS - 10**9)
    row = only_row(request(span))
    assert row["end_time"] < row["start_time"]
    assert row["duration_ms"] is None
    assert row["repaired"] == "end before start"


def test_a_parent_of_zeros_is_no_parent() -> None:
    row = only_row(request(make_span(parent_span_id=bytes(8))))
    assert row["parent_span_id"] is None
    assert row["repaired"] == "parent_span_id=0000000000000000"


def test_two_equal_events_of_a_span_are_two_rows() -> None:
    span = make_span()
    for _ in range(2):
        span.events.add(name="again", time_unix_nano=RECEIVED_NS)
    events = decode([Record(request(span))], 1).events
    assert len(set(events.column("content").to_pylist())) == 2
    assert events.column("index").to_pylist() == [0, 1]


def test_log_records_keep_their_place_and_body() -> None:
    message = ExportLogsServiceRequest()
    logs = message.resource_logs.add().scope_logs.add().log_records
    logs.add(body={"string_value": "text"}, trace_id=bytes(16))
    logs.add(body={"int_value": 7}, observed_time_unix_nano=RECEIVED_NS - 1)
    logs.add(trace_id=b"short")
    logs.add()
    decoded = decode([Record(message.SerializeToString(), "logs")], 1)
    rows = decoded.logs.to_pylist()
    assert [row["body"] for row in rows] == ["text", '{"intValue":"7"}', None]
    assert [row["body_kind"] for row in rows] == ["string", "json", None]
    assert [row["trace_id"] for row in rows] == [None, None, None]
    assert rows[0]["repaired"] == f"time=0;trace_id={'0' * 32}"
    assert rows[1]["time_nanos"] == 999
    assert decoded.received_log_records == 4
    assert decoded.quarantine.column("reason").to_pylist() == ["trace id has not 16 bytes"]
    assert decoded.quarantine.column("detail").to_pylist() == ["5"]
    assert decoded.quarantine.column("signal").to_pylist() == ["logs"]


def test_records_of_another_kind_are_passed_over() -> None:
    decoded = decode([Record(b"whatever", "close"), Record(request(make_span()))], 1)
    assert decoded.received_spans == 1
    assert len(decoded.quarantine) == 0


def test_no_records_are_empty_tables() -> None:
    decoded = decode([], 1)
    assert isinstance(decoded.spans, pa.Table)
    assert (len(decoded.spans), len(decoded.events), len(decoded.logs)) == (0, 0, 0)


def test_what_came_in_many_requests_comes_out_in_their_order() -> None:
    records = [
        Record(request(*(make_span(f"{n}-{i}") for i in range(3))), time_unix_ns=RECEIVED_NS + n)
        for n in range(50)
    ]
    decoded = decode(records, 1)
    assert names(decoded) == [f"{n}-{i}" for n in range(50) for i in range(3)]


# A number, eight bytes, four bytes, a text and a group, in fields that OTLP does not have.
UNKNOWN = (
    b"\xf8\x01\x07"
    b"\xf9\x01" + bytes(8) + b"\xfd\x01" + bytes(4) + b"\xfa\x01\x02hi"
    b"\xfb\x01\x08\x01\xfc\x01"
)


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_fields_of_a_later_otlp_are_passed_over_wherever_they_stand() -> None:
    spans = [make_span(name).SerializeToString() + UNKNOWN for name in "ab"]
    assert all(len(span) < 128 for span in spans)
    scoped = UNKNOWN + field(2, spans[0]) + UNKNOWN + field(2, spans[1]) + UNKNOWN
    inner = UNKNOWN + field(2, b"")
    payload = UNKNOWN + b"\x0a" + _size(len(inner) + len(scoped) + 3)
    payload += inner + b"\x12" + _size(len(scoped)) + scoped + UNKNOWN
    decoded = decode([Record(payload)], 1)
    assert decoded.quarantine.column("reason").to_pylist() == []
    assert names(decoded) == ["a", "b"]


def _size(size: int) -> bytes:
    """Return a length of two bytes, whatever it is."""
    return bytes([size & 0x7F | 0x80, size >> 7])


def test_a_field_that_begins_with_an_impossible_tag_is_damage() -> None:
    good = make_span("good").SerializeToString()
    scoped = field(2, good) + b"\x0f"
    decoded = decode(
        [Record(b"\x0a" + _size(len(scoped) + 3) + b"\x12" + _size(len(scoped)) + scoped)], 1
    )
    assert names(decoded) == ["good"]
    assert decoded.received_spans == 2
    assert "no field can begin with 0xf" in decoded.quarantine.column("detail").to_pylist()[0]


@pytest.mark.parametrize("size", [0, 1, 90, 200, 20_000, 3_000_000])
def test_spans_of_any_size_are_hashed_and_kept(size: int) -> None:
    spans = [make_span("x" * size), make_span("y")]
    decoded = decode([Record(request(*spans))], 1)
    assert names(decoded) == ["x" * size, "y"]
    contents = decoded.spans.column("content").to_pylist()
    expected = [xxh3_64_intdigest(span.SerializeToString()) for span in spans]
    assert [number % (1 << 64) for number in contents] == expected


def test_a_long_resource_is_not_copied_to_each_of_many_small_events() -> None:
    """220 KB on the wire would be six gigabytes, and more than a column can hold."""
    message = ExportTraceServiceRequest()
    part = message.resource_spans.add()
    part.resource.attributes.extend(pair(f"k{n}", "x" * 16_000) for n in range(6))
    span = part.scope_spans.add().spans.add(trace_id=bytes([1] * 16), span_id=bytes([1] * 8))
    for _ in range(60_000):
        span.events.add()
    decoded = decode([Record(message.SerializeToString())], 1)
    assert len(decoded.events) == 60_000
    row = decoded.events.slice(0, 1).to_pylist()[0]
    assert json.loads(row["resource"]).keys() == {"leftOutBytes"}
    assert "resource" in row["repaired"]
    assert len(decoded.spans["resource"][0].as_py()) > 96_000


def test_resources_share_one_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that are each within it would together overflow the column."""
    monkeypatch.setattr(_context, "_MOST_TEXT", 5_000)
    message = ExportTraceServiceRequest()
    for number in range(4):
        part = message.resource_spans.add()
        part.resource.attributes.append(pair("service.name", f"s{number}"))
        part.resource.attributes.append(pair("k", "x" * (1_000 + number)))
        scoped = part.scope_spans.add()
        for n in range(2):
            scoped.spans.add(trace_id=bytes([1] * 16), span_id=bytes([number + 1, n + 1] * 4))
    rows = decode([Record(message.SerializeToString())], 1).spans.to_pylist()
    left_out = [row["service_name"] for row in rows if "leftOutBytes" in row["resource"]]
    assert left_out == ["s2", "s2", "s3", "s3"]


def test_a_span_of_too_many_parts_is_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_columns, "MOST_PARTS", 50)
    events = [Span.Event(name="e")] * 20
    spans = [make_span(n, span_id=bytes([i] * 8)) for i, n in enumerate("abc", start=1)]
    spans[1].events.extend(events)
    decoded = decode([Record(request(*spans))], 1)
    assert names(decoded) == ["a", "c"]
    assert "too large" in decoded.quarantine["reason"][0].as_py()
    assert decoded.received_spans == 3


def test_however_spans_are_broken_the_reasons_are_a_few_words() -> None:
    whole = three()
    damaged = [whole[:size] for size in range(1, len(whole))]
    damaged += [whole[:at] + b"\xff" + whole[at + 1 :] for at in range(len(whole))]
    damaged += [three(trace_id=b"x" * size) for size in range(17, 60)]
    decoded = decode([Record(payload, offset=n) for n, payload in enumerate(damaged)], 1)
    rows = decoded.quarantine.to_pylist()
    assert {row["reason"] for row in rows} <= {
        "an event cannot be read",
        "cannot be decoded",
        "cut off or garbled",
        "the decoder and the wire disagree on how many items there are",
        "too large",
        *(f"{kind} id {fault}" for kind in ("trace", "span") for fault in ("is empty",)),
        *("trace id has not 16 bytes", "span id has not 8 bytes"),
    }
    assert len({row["detail"] for row in rows}) > 50, "what each one has stands beside it"
    assert max(len(row["detail"] or "") for row in rows) <= 300


@pytest.mark.parametrize("given", [b"x", b"short", b"123456789", b"y" * 1000])
def test_a_parent_id_of_a_wrong_length_names_no_parent(given: bytes) -> None:
    row = only_row(request(make_span(parent_span_id=given)))
    assert row["parent_span_id"] is None
    assert row["repaired"] == f"parent_span_id={given[:64].hex()}"


def test_what_stays_of_a_span_does_not_hold_the_memory_of_its_batch() -> None:
    """Memory of the decoder is none of Arrow's, and goes only with the last array over it."""
    spans = [make_span("n" * 1000) for _ in range(1000)]
    for span in spans:
        span.links.add(trace_id=bytes(16), span_id=bytes(8)).attributes.add(
            key="k", value={"string_value": "v" * 1000}
        )
    decoded = decode([Record(request(*spans))], 1)
    for column in ("name", "links"):
        held = decoded.spans.column(column)
        decoded = replace(decoded, spans=decoded.spans.drop_columns([column]))
        before, size = pa.total_allocated_bytes(), held.nbytes
        assert size > 1_000_000
        del held
        assert before - pa.total_allocated_bytes() >= size

"""However little a request takes on the wire, what it costs is bounded by its bytes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_requests import Record, make_span, request

from evalspan.decode import ALL, Decoded, _batch, _json, _lens, _quarantine, count_items, decode

EMPTY = 20_000


def field(number: int, data: bytes) -> bytes:
    size, length = len(data), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + data


def of_items(items: bytes) -> bytes:
    return field(1, field(2, items))


def empty(count: int = EMPTY) -> bytes:
    """Return a request of items that take two bytes each."""
    return of_items(field(2, b"") * count)


def names(decoded: Decoded) -> list[str]:
    return decoded.spans.column("name").to_pylist()


class Seen:
    """The decoder of a signal, and the requests that it was handed."""

    def __init__(self, handler: Any) -> None:  # noqa: ANN401 - a handler
        self._handler = handler
        self.payloads: list[bytes] = []
        self.calls = 0

    def list_to_record_batch(self, payloads: Sequence[bytes]) -> Any:  # noqa: ANN401
        self.calls += 1
        self.payloads += payloads
        return self._handler.list_to_record_batch(payloads)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    spy = Seen(_lens.TRACES)
    monkeypatch.setattr(_lens, "TRACES", spy)
    return spy


@pytest.mark.parametrize("kind", ["traces", "logs"])
def test_of_items_too_small_for_ids_few_are_looked_at_one_by_one(kind: str) -> None:
    payload = empty()
    decoded = decode([Record(payload, kind, offset=7)], 3)
    received = decoded.received_spans + decoded.received_log_records
    looked_at = len(decoded.logs) + len(decoded.quarantine) - 1
    assert received == looked_at + 1
    assert looked_at < 1_000
    row = max(decoded.quarantine.to_pylist(), key=lambda row: row["part"])
    assert row["reason"] == "too small for ids and too many to be looked at"
    assert row["detail"] == f"{EMPTY - looked_at} of {EMPTY} items, each of less than 28 bytes"
    assert (row["segment"], row["offset"], row["part"], row["signal"]) == (3, 7, looked_at, kind)
    assert row["bytes"] == payload
    keys = decoded.quarantine.select(["segment", "offset", "part"]).to_pylist()
    assert len({tuple(key.values()) for key in keys}) == len(keys)


def test_no_span_is_lost_among_items_that_can_be_none() -> None:
    spans = [make_span(n, span_id=bytes([i] * 8)) for i, n in enumerate("abc", start=1)]
    bare = Span(trace_id=bytes([1] * 16), span_id=bytes([9] * 8)).SerializeToString()
    parts = [field(2, span.SerializeToString()) for span in spans]
    nothing = field(2, b"") * EMPTY
    payload = of_items(parts[0] + nothing + parts[1] + field(2, bare) + nothing + parts[2])
    decoded = decode([Record(payload), Record(request(make_span("next")), offset=1)], 1)
    assert names(decoded) == ["a", "b", "", "c", "next"]
    assert len(decoded.quarantine) < 2_000
    assert decoded.received_spans == 5 + len(decoded.quarantine)


def test_small_items_of_an_ordinary_number_are_looked_at() -> None:
    payload = empty(100)
    decoded = decode([Record(payload)], 1)
    assert decoded.received_spans == 100
    assert decoded.quarantine.column("part").to_pylist() == list(range(100))


@pytest.mark.parametrize("group", [field(1, b""), field(1, field(2, b"")), field(1, field(1, b""))])
def test_groups_without_items_are_not_decoded(group: bytes, seen: Seen) -> None:
    good = request(make_span("good"))
    decoded = decode([Record(group * EMPTY + good)], 1)
    assert names(decoded) == ["good"]
    assert decoded.received_spans == 1
    assert sum(map(len, seen.payloads)) < 2 * len(good)


def test_items_that_are_cut_off_are_bounded_too() -> None:
    cut = field(1, field(2, b"\x12\x05")) * EMPTY
    decoded = decode([Record(cut + request(make_span("good")))], 1)
    assert names(decoded) == ["good"]
    assert len(decoded.quarantine) < 3_000
    assert decoded.received_spans == 1 + len(decoded.quarantine)


@pytest.mark.parametrize("kind", ["traces", "logs"])
def test_setting_a_request_aside_costs_no_more_than_looking_at_it(kind: str) -> None:
    decoded = decode([Record(empty(), kind)], 1, {(0, ALL): "stage decode died"})
    rows = decoded.quarantine.to_pylist()
    assert len(rows) < 1_000
    assert rows[0]["reason"] == "stage decode died"
    assert decoded.received_spans + decoded.received_log_records == len(rows)


def test_items_are_counted_whatever_their_size() -> None:
    assert count_items(request(*[make_span()] * 3)) == 3
    assert count_items(empty()) == EMPTY


RESOURCE = {"service.name": "shop", **{f"k{n}": "x" * 15_000 for n in range(8)}}


def of_faulty_spans(count: int) -> bytes:
    return request(*[make_span(span_id=b"")] * count, resource=RESOURCE)


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quarantine, "_MOST_COPIED", 500_000)


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    read: list[bytes] = []
    whole: Callable[[bytes, bytes], Any] = _json.resource

    def counting(data: bytes, schema: bytes) -> Any:  # noqa: ANN401 - as it is
        read.append(data)
        return whole(data, schema)

    monkeypatch.setattr(_json, "resource", counting)
    return read


@pytest.mark.usefixtures("little_room")
def test_a_long_resource_is_read_once_and_copied_to_few_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = _counted(monkeypatch)
    decoded = decode([Record(of_faulty_spans(500))], 1)
    resources = decoded.quarantine.column("resource").to_pylist()
    assert len(resources) == 500
    assert json.loads(resources[0])["attributes"][0]["key"] == "service.name"
    assert json.loads(resources[-1]) == {"leftOutBytes": len(resources[0])}
    assert decoded.quarantine.nbytes < 1_000_000
    assert len(read) <= 2, "for the spans of the batch, and for those in quarantine"


@pytest.mark.usefixtures("little_room")
def test_what_is_set_aside_keeps_its_resource_while_there_is_room() -> None:
    payload = of_faulty_spans(500)
    decoded = decode([Record(payload)], 1, {(0, ALL): "died"})
    rows = decoded.quarantine.to_pylist()
    assert len(rows) == 500
    assert len(rows[0]["bytes"]) > 120_000
    assert rows[0]["detail"] is None
    assert len(rows[-1]["bytes"]) < 1_000
    assert rows[-1]["detail"].startswith("without its resource and scope")
    assert decoded.quarantine.nbytes < 1_500_000


def test_each_resource_stands_on_a_row_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_quarantine, "_MOST_COPIED", 0)
    bad = [make_span(span_id=b"")] * 2
    payload = request(*bad, resource={"r": "first"}) + request(*bad, resource={"r": "second"})
    found = decode([Record(payload)], 1).quarantine.column("resource").to_pylist()
    assert ["first" in found[0], "leftOut" in found[1]] == [True, True]
    assert ["second" in found[2], "leftOut" in found[3]] == [True, True]


def test_a_damaged_request_is_decoded_without_a_copy_of_its_resource_per_span(seen: Seen) -> None:
    whole = request(*(make_span(str(n)) for n in range(50)), resource=RESOURCE)
    decoded = decode([Record(whole[:-10])], 1)
    assert names(decoded) == [str(n) for n in range(49)]
    assert decoded.quarantine.column("part").to_pylist() == [49]
    assert sum(map(len, seen.payloads)) < 2 * len(whole)


def with_broken(count: int, *, first: int) -> bytes:
    """Return a request with spans that have an id beyond their end, from the first one on."""
    good = [make_span(str(n)).SerializeToString() for n in range(count)]
    bad = [span.replace(b"\x0a\x10", b"\x0a\x7f", 1) for span in good[first:]]
    return of_items(b"".join(field(2, span) for span in (*good[:first], *bad)))


def test_spans_that_cannot_be_decoded_are_found_without_their_resource(seen: Seen) -> None:
    good = request(*(make_span(str(n)) for n in range(60)), resource=RESOURCE)
    one = make_span("7").SerializeToString()
    payload = good.replace(one, one.replace(b"\x0a\x10", b"\x0a\x7f", 1))
    decoded = decode([Record(payload)], 1)
    assert names(decoded) == [str(n) for n in range(60) if n != 7]
    (row,) = decoded.quarantine.to_pylist()
    assert (row["part"], row["reason"]) == (7, "cannot be decoded")
    assert "service.name" in row["resource"]
    assert sum(map(len, seen.payloads)) < 3 * len(payload)


def test_the_search_for_what_cannot_be_decoded_ends(
    monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    monkeypatch.setattr(_batch, "_MOST_TRIALS", 50)
    payload = with_broken(1_000, first=500)
    decoded = decode([Record(payload)], 1)
    assert seen.calls <= 53
    assert names(decoded) == [str(n) for n in range(500)]
    assert decoded.received_spans == 1_000
    assert set(decoded.quarantine.column("reason").to_pylist()) == {"cannot be decoded"}


def test_the_ids_of_what_is_quarantined_are_looked_for_in_the_bytes_that_are_kept() -> None:
    ids = make_span().SerializeToString()
    span = ids.replace(b"\x0a\x10", b"\x0a\x10", 1) + field(2, b"") + b"\x4a\x00" * 3
    row = decode([Record(of_items(field(2, span)))], 1).quarantine.to_pylist()[0]
    assert row["trace_id"] == bytes(range(1, 17)).hex()
    assert row["span_id"] is None


def test_many_rows_of_quarantine_are_held_as_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quarantine, "_MOST_ROWS", 7)
    decoded = decode([Record(of_faulty_spans(50), offset=n) for n in range(2)], 1)
    assert decoded.quarantine.column("part").to_pylist() == [*range(50)] * 2
    assert decoded.quarantine.column("bytes").num_chunks > 10

"""Columns and leftovers together rebuild every attribute, event and link."""

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from otlp_requests import (
    REQUESTS,
    Record,
    captured,
    comparable,
    label,
    make_span,
    record_of,
    request,
    spans_of,
)

from evalspan.decode import decode
from evalspan.model import EVENTS, SPANS
from evalspan.normalize import normalize, rebuild


def assert_rebuilt(record: Record) -> None:
    decoded = decode([record], segment=3)
    normalized = normalize(decoded)
    assert normalized.spans.schema == SPANS.schema
    assert normalized.events.schema == EVENTS.schema
    normalized.spans.validate(full=True)
    normalized.events.validate(full=True)
    events = defaultdict(list)
    for event in normalized.events.to_pylist():
        events[event["trace_id"], event["span_id"]].append(event)
    rows = normalized.spans.to_pylist()
    sent = list(spans_of(record.payload))
    assert len(rows) == len(sent)
    ids = [(span.trace_id, span.span_id) for span in sent]
    for row, span in zip(rows, sent, strict=True):
        if ids.count((span.trace_id, span.span_id)) == 1:
            found = rebuild(row, events[row["trace_id"], row["span_id"]])
            assert comparable(found) == comparable(span)


@pytest.mark.parametrize("path", captured("traces"), ids=label)
def test_captured_spans_are_rebuilt(path: Path) -> None:
    assert_rebuilt(record_of(path))


@given(REQUESTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@example(request(make_span(attributes={"gen_ai.usage.input_tokens": "400"})))
@example(request(make_span(attributes={"gen_ai.request.temperature": float("inf")})))
@example(request(make_span(attributes={"gen_ai.response.finish_reasons": []})))
@example(request(make_span(attributes={"gen_ai.response.finish_reasons": ["stop", 3]})))
def test_made_up_spans_are_rebuilt(payload: bytes) -> None:
    assert_rebuilt(Record(payload))


def test_of_two_equal_keys_the_later_counts_and_both_are_kept() -> None:
    span = make_span(attributes={"gen_ai.request.model": "first"})
    span.attributes.add(key="gen_ai.request.model").value.string_value = "second"
    span.attributes.add(key="gen_ai.provider.name").value.string_value = "openai"
    row = normalize(decode([Record(request(span))], 1)).spans.to_pylist()[0]
    assert row["request_model"] == "second"
    assert [a["string"] for a in row["attributes"]] == ["first"]
    assert comparable(rebuild(row, [])) == comparable(span)

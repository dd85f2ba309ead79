"""Columns and leftovers together rebuild every attribute, event and link."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from otlp_requests import (
    REQUESTS,
    Record,
    captured,
    comparable,
    label,
    make_span,
    pair,
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


KEYS = st.sampled_from(
    (
        *("role", "parts", "content", "type", "text", "tool_calls", "id", "function", "name"),
        *("arguments", "finish_reason", "image_url", "message", "messages", "tool_call_id"),
    ),
)
WORDS = st.sampled_from(("", "user", "system", "tool", "text", "tool_use", "image_url", "x"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(JSON, JSON, st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_content_of_any_shape_and_cut_anywhere_is_survived(
    one: object,
    other: object,
    missing: int,
) -> None:
    first, second = json.dumps(one), json.dumps(other)[: -missing or None]
    otel = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": first,
        "gen_ai.output.messages": second,
        "gen_ai.system_instructions": second,
        "gen_ai.tool.definitions": first,
        "gen_ai.response.finish_reasons": second,
    }
    openinference = {
        "openinference.span.kind": "LLM",
        "output.value": second,
        "llm.invocation_parameters": first,
        "llm.output_messages.0.message.content": second,
        "llm.finish_reason": first,
        "llm.tools.0.tool.json_schema": second,
    }
    openllmetry = {
        "llm.request.type": "chat",
        "gen_ai.prompt.0.content": first,
        "gen_ai.prompt.0.role": "tool",
        "gen_ai.completion.0.content": second,
        "gen_ai.completion.0.tool_calls.0.arguments": first,
    }
    spans = [make_span(attributes=keys) for keys in (otel, openinference, openllmetry)]
    for place, span in enumerate(spans, start=1):
        span.span_id = bytes([place] * 8)
        for name, key in (
            ("gen_ai.choice", "message"),
            ("gen_ai.user.message", "content"),
            ("gen_ai.content.prompt", "gen_ai.prompt"),
        ):
            span.events.add(name=name).attributes.append(pair(key, second))
    assert_rebuilt(Record(request(*spans)))

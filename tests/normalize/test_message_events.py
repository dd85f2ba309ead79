"""Messages that came as log records or span events, in every form seen."""

import json
from typing import Any

import polars as pl
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otlp_requests import RECEIVED_NS, Record, any_value, make_span, pair, request

from evalspan.decode import decode
from evalspan.normalize import messages_from_events, normalize

TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))


def joined(*logs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the messages of log records come to; each is given with its fields."""
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    for place, fields in enumerate(logs):
        body = fields.get("body")
        records.add(
            trace_id=fields.get("trace_id", TRACE),
            span_id=SPAN,
            time_unix_nano=RECEIVED_NS - 10**6 + fields.get("at", place),
            event_name=fields.get("name", ""),
            body=None if body is None else any_value(body),
            attributes=[pair(k, v) for k, v in fields.get("attributes", {}).items()],
        )
    events = normalize(decode([Record(message.SerializeToString(), "logs")], 1)).events
    return messages_from_events(pl.DataFrame(pl.from_arrow(events))).to_dicts()


def test_a_record_for_each_message() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    (row,) = joined(
        {"name": "gen_ai.system.message", "body": {"content": "Be kind."}},
        {"name": "gen_ai.user.message", "body": {"content": "Hi"}},
        {"name": "gen_ai.assistant.message", "body": {"tool_calls": [call]}},
        {"name": "gen_ai.tool.message", "body": {"id": "1", "content": "done"}},
        {
            "name": "gen_ai.choice",
            "body": {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Hello"},
            },
        },
    )
    assert row["trace_id"] == TRACE.hex()
    assert row["span_id"] == SPAN.hex()
    assert row["system_prompt"] == "Be kind."
    assert row["input_text"] == "Hi"
    assert row["output_text"] == "Hello"
    assert row["finish_reasons"] == ["stop"]
    roles = [m["role"] for m in json.loads(row["input_messages"])]
    assert roles == ["system", "user", "assistant", "tool"]
    parts = [m["parts"][0] for m in json.loads(row["input_messages"])]
    assert parts[2] == {"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}}
    assert parts[3] == {"type": "tool_call_response", "id": "1", "response": "done"}


def test_records_are_read_in_order_of_their_time() -> None:
    (row,) = joined(
        {"name": "gen_ai.user.message", "body": {"content": "second"}, "at": 2000},
        {"name": "gen_ai.user.message", "body": {"content": "first"}, "at": 1},
        {"name": "gen_ai.user.message", "body": {"content": "last by nanoseconds"}, "at": 2001},
    )
    texts = [m["parts"][0]["content"] for m in json.loads(row["input_messages"])]
    assert texts == ["first", "second", "last by nanoseconds"]


def test_one_record_with_everything() -> None:
    message = {"role": "user", "parts": [{"type": "text", "content": "Hi"}]}
    answer = {"role": "assistant", "parts": [], "finish_reason": "length"}
    (row,) = joined(
        {
            "name": "gen_ai.client.inference.operation.details",
            "attributes": {
                "gen_ai.input.messages": [message],
                "gen_ai.output.messages": json.dumps([answer]),
                "gen_ai.system_instructions": [{"type": "text", "content": "Be kind."}],
                "gen_ai.tool.definitions": [{"type": "function", "name": "f"}],
                "gen_ai.usage.input_tokens": 400,
            },
        },
    )
    assert json.loads(row["input_messages"]) == [message]
    assert row["system_prompt"] == "Be kind."
    assert row["finish_reasons"] == ["length"]
    assert json.loads(row["tool_definitions"]) == [{"type": "function", "name": "f"}]


def test_a_name_that_is_an_attribute_and_a_body_that_is_json_text() -> None:
    (row,) = joined(
        {
            "attributes": {"event.name": "gen_ai.user.message"},
            "body": json.dumps({"role": "user", "content": "Hi"}),
        },
    )
    assert row["input_text"] == "Hi"


def test_elided_content_is_no_content() -> None:
    (row,) = joined(
        {"name": "gen_ai.user.message", "body": {"content": "<elided>"}},
        {"name": "gen_ai.system.message", "body": "<elided>"},
    )
    assert row["input_messages"] is None
    assert row["input_text"] is None


def test_records_that_belong_to_no_span_or_are_no_messages_are_left_out() -> None:
    assert joined({"name": "gen_ai.user.message", "body": {"content": "x"}, "trace_id": b""}) == []
    assert joined({"name": "something.else", "body": {"content": "x"}}) == []
    assert joined({"body": "plain log line"}) == []


def test_bodies_of_any_kind_are_survived() -> None:
    for body in (7, 0.5, True, [], [1, {"a": None}], {}, "", b"x", {"content": {"deep": [1]}}):
        for name in ("gen_ai.user.message", "gen_ai.choice", "gen_ai.tool.message"):
            assert len(joined({"name": name, "body": body})) <= 1


def test_messages_as_span_events_are_read_with_the_span() -> None:
    span = make_span(
        attributes={"gen_ai.system": "strands-agents", "gen_ai.operation.name": "chat"}
    )
    for name, attributes in (
        ("gen_ai.user.message", {"content": '[{"text":"x","type":"text"}]'}),
        ("gen_ai.choice", {"finish_reason": "end_turn", "message": '[{"type":"text","text":"y"}]'}),
    ):
        event = span.events.add(name=name, time_unix_nano=RECEIVED_NS)
        event.attributes.extend(pair(k, v) for k, v in attributes.items())
    row = normalize(decode([Record(request(span))], 1)).spans.to_pylist()[0]
    assert row["input_text"] == "x"
    assert row["output_text"] == "y"
    assert row["finish_reasons"] == ["stop"]


def test_an_attribute_has_precedence_over_an_event() -> None:
    given = '[{"role":"user","parts":[{"type":"text","content":"attribute"}]}]'
    span = make_span(attributes={"gen_ai.operation.name": "chat", "gen_ai.input.messages": given})
    event = span.events.add(name="gen_ai.user.message", time_unix_nano=RECEIVED_NS)
    event.attributes.append(pair("content", "event"))
    row = normalize(decode([Record(request(span))], 1)).spans.to_pylist()[0]
    assert row["input_messages"] == given
    assert row["input_text"] == "attribute"

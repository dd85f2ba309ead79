"""The builders of spans, the OTLP receiver and the scripted judge."""

import asyncio
import json

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from evalspan.llm import Answer, LLMError
from evalspan.testing import (
    START_UNIX_NANO,
    ScriptedAsk,
    SpanSink,
    any_value,
    log_record,
    logs_request,
    plain_span,
    request,
    span,
    span_id,
    tool_span,
    trace,
    trace_id,
)


def attributes(one: Span) -> dict[str, AnyValue]:
    return {pair.key: pair.value for pair in one.attributes}


def test_a_span_is_an_llm_call_with_sensible_defaults() -> None:
    one = span(user="Hi", output="Hello", duration_seconds=0.25)
    found = attributes(one)
    assert one.name == "chat gpt-4o-mini"
    assert one.end_time_unix_nano - START_UNIX_NANO == 250_000_000
    assert found["gen_ai.usage.input_tokens"].int_value == 20
    messages = json.loads(found["gen_ai.output.messages"].string_value)
    assert messages[0]["parts"] == [{"type": "text", "content": "Hello"}]


def test_what_is_none_is_left_out_and_attributes_win() -> None:
    one = span(system=None, input_tokens=None, attributes={"gen_ai.request.model": "other"})
    found = attributes(one)
    assert "gen_ai.system_instructions" not in found
    assert "gen_ai.usage.input_tokens" not in found
    assert found["gen_ai.request.model"].string_value == "other"


def test_ids_are_the_same_on_every_run_and_say_their_number() -> None:
    one = span(number=3, trace=7, parent=2)
    assert one.trace_id.hex() == "0" * 31 + "7"
    assert (one.span_id, one.parent_span_id) == (span_id(3), span_id(2))
    assert one == span(number=3, trace=7, parent=2)


def test_any_value_keeps_every_type() -> None:
    value = any_value({"a": [1, 2.5, True, None, b"x"], "b": {"c": "d"}})
    listed = value.kvlist_value.values[0].value.array_value.values
    kinds = [item.WhichOneof("value") for item in listed]
    assert kinds == ["int_value", "double_value", "bool_value", None, "bytes_value"]


def test_a_trace_hangs_its_spans_under_the_first() -> None:
    root, call, tool = trace(plain_span("root"), span(), tool_span(error="Timeout"), number=5)
    assert {one.trace_id for one in (root, call, tool)} == {trace_id(5)}
    assert root.parent_span_id == b""
    assert call.parent_span_id == tool.parent_span_id == root.span_id
    assert len({one.span_id for one in (root, call, tool)}) == 3
    assert tool.status.code == Status.STATUS_CODE_ERROR


def test_a_trace_keeps_parents_that_are_among_its_spans() -> None:
    root, agent, call = trace(
        plain_span("root", number=1), plain_span("agent", number=2), span(number=3, parent=2)
    )
    assert agent.parent_span_id == root.span_id
    assert call.parent_span_id == agent.span_id


def test_a_request_holds_spans_and_traces_of_one_resource() -> None:
    made = request(span(number=9), trace(span(), span()), resource={"service.name": "shop"})
    assert len(made.resource_spans[0].scope_spans[0].spans) == 3
    assert made.resource_spans[0].resource.attributes[0].value.string_value == "shop"
    assert ExportTraceServiceRequest.FromString(made.SerializeToString()) == made


def test_a_log_record_is_joined_to_a_span() -> None:
    record = log_record(body={"content": "hi"}, span_number=3, trace_number=7)
    made = logs_request(record)
    kept = made.resource_logs[0].scope_logs[0].log_records[0]
    assert (kept.trace_id, kept.span_id) == (trace_id(7), span_id(3))


def test_a_sink_keeps_what_it_is_sent() -> None:
    with SpanSink() as sink:
        with grpc.insecure_channel(sink.endpoint.removeprefix("http://")) as channel:
            TraceServiceStub(channel).Export(request(span(), scope="mine"), timeout=5)  # type: ignore[no-untyped-call]
        assert [(scope, one.name) for scope, one in sink.spans] == [("mine", "chat gpt-4o-mini")]


def ask(script: ScriptedAsk, user: str) -> Answer:
    call = script(system="s", user=user, tool={"name": "t"}, model="m", max_tokens=9)
    return asyncio.run(call)


def test_a_scripted_ask_answers_in_order_and_remembers() -> None:
    script = ScriptedAsk([{"a": 1}, LLMError("down"), {"a": 2}], cost_usd=None)
    assert ask(script, "first") == Answer({"a": 1}, 100, 20, None)
    with pytest.raises(LLMError, match="down"):
        ask(script, "second")
    assert ask(script, "third").input == {"a": 2}
    assert [one.user for one in script.asked] == ["first", "second", "third"]


def test_a_call_past_the_script_is_a_mistake_of_the_test() -> None:
    with pytest.raises(AssertionError, match="call 1 is one more"):
        ask(ScriptedAsk([]), "first")

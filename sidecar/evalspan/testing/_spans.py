"""Builds OTLP spans, traces and requests for tests, with ids that are the same on every run."""

import json
from collections.abc import Iterable, Mapping
from typing import Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

START_UNIX_NANO = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z, when spans begin unless told otherwise."""

SCOPE = "opentelemetry.instrumentation.genai.openai"

AttributeValue = (
    None | str | bool | int | float | bytes | list["AttributeValue"] | dict[str, "AttributeValue"]
)
Attributes = Mapping[str, AttributeValue]
KINDS: Mapping[str, Span.SpanKind.ValueType] = {
    "unspecified": Span.SPAN_KIND_UNSPECIFIED,
    "internal": Span.SPAN_KIND_INTERNAL,
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}
STATUSES: Mapping[str, Status.StatusCode.ValueType] = {
    "unset": Status.STATUS_CODE_UNSET,
    "ok": Status.STATUS_CODE_OK,
    "error": Status.STATUS_CODE_ERROR,
}


def trace_id(number: int) -> bytes:
    """The 16-byte trace id of a number; its hex text ends in the number."""
    return number.to_bytes(16)


def span_id(number: int) -> bytes:
    """The 8-byte span id of a number; its hex text ends in the number."""
    return number.to_bytes(8)


def any_value(value: AttributeValue) -> AnyValue:
    """A value as OTLP writes it; None is a value that is not set."""
    match value:
        case None:
            written = AnyValue()
        case bool():
            written = AnyValue(bool_value=value)
        case str():
            written = AnyValue(string_value=value)
        case int():
            written = AnyValue(int_value=value)
        case float():
            written = AnyValue(double_value=value)
        case bytes():
            written = AnyValue(bytes_value=value)
        case list():
            items = ArrayValue(values=[any_value(item) for item in value])
            written = AnyValue(array_value=items)
        case dict():
            written = AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    return written


def key_values(attributes: Attributes) -> list[KeyValue]:
    """Attributes as OTLP writes them."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def plain_span(  # noqa: PLR0913 - the fields of a span, each with a default
    name: str,
    *,
    number: int = 1,
    trace: int = 1,
    parent: int | None = None,
    start_unix_nano: int = START_UNIX_NANO,
    duration_seconds: float = 1.0,
    kind: Literal["unspecified", "internal", "server", "client", "producer", "consumer"] = (
        "internal"
    ),
    status: Literal["unset", "ok", "error"] = "unset",
    status_message: str = "",
    attributes: Attributes | None = None,
    events: Iterable[Span.Event] = (),
) -> Span:
    """A span of any kind. `number`, `trace` and `parent` become ids; None is a root."""
    return Span(
        trace_id=trace_id(trace),
        span_id=span_id(number),
        parent_span_id=b"" if parent is None else span_id(parent),
        name=name,
        kind=KINDS[kind],
        start_time_unix_nano=start_unix_nano,
        end_time_unix_nano=start_unix_nano + round(duration_seconds * 1e9),
        attributes=key_values(attributes or {}),
        events=events,
        status=Status(code=STATUSES[status], message=status_message),
    )


def span(  # noqa: PLR0913 - every part of a call that a test may care about, each with a default
    *,
    system: str | None = "You are a helpful assistant.",
    user: str = "What is the capital of France?",
    output: str | None = "Paris.",
    model: str = "gpt-4o-mini",
    provider: str = "openai",
    operation: str = "chat",
    input_tokens: int | None = 20,
    output_tokens: int | None = 5,
    finish_reason: str | None = "stop",
    number: int = 1,
    trace: int = 1,
    parent: int | None = None,
    start_unix_nano: int = START_UNIX_NANO,
    duration_seconds: float = 1.0,
    status: Literal["unset", "ok", "error"] = "unset",
    status_message: str = "",
    attributes: Attributes | None = None,
    events: Iterable[Span.Event] = (),
) -> Span:
    """An LLM call in today's GenAI conventions; `attributes` are added or replace what is there.

    None leaves a part out, as an instrumentor does that has no value for it.
    """
    known: dict[str, AttributeValue] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.response.id": f"resp-{trace}-{number}",
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
        "gen_ai.response.finish_reasons": [finish_reason] if finish_reason else None,
        "gen_ai.system_instructions": json.dumps([_part(system)]) if system else None,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [_part(user)]}]),
        "gen_ai.output.messages": _output(output, finish_reason),
    }
    stated = {key: value for key, value in known.items() if value is not None}
    return plain_span(
        f"{operation} {model}",
        number=number,
        trace=trace,
        parent=parent,
        start_unix_nano=start_unix_nano,
        duration_seconds=duration_seconds,
        kind="client",
        status=status,
        status_message=status_message,
        attributes=stated | dict(attributes or {}),
        events=events,
    )


def tool_span(
    tool: str = "lookup_order",
    *,
    arguments: AttributeValue = '{"order_id": "A-1042"}',
    result: AttributeValue = '{"status": "shipped"}',
    number: int = 1,
    trace: int = 1,
    parent: int | None = None,
    error: str = "",
) -> Span:
    """An executed tool in today's GenAI conventions; with `error` its status is an error."""
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call-{trace}-{number}",
        "gen_ai.tool.call.arguments": arguments,
        "gen_ai.tool.call.result": result,
    }
    if error:
        attributes["error.type"] = error
    return plain_span(
        f"execute_tool {tool}",
        number=number,
        trace=trace,
        parent=parent,
        status="error" if error else "unset",
        status_message=error,
        attributes=attributes,
    )


def trace(*spans: Span, number: int = 1) -> list[Span]:
    """The spans as one trace: the first is the root and the parent of those without one.

    Span ids become `number * 1000 + place`. Where the spans were built with numbers that differ,
    a `parent` among them stays the parent; else the root is.
    """
    renumbered = {one.span_id: span_id(number * 1000 + place) for place, one in enumerate(spans)}
    if len(renumbered) < len(spans):  # the builders' default number is the same for all
        renumbered = {}
    root = span_id(number * 1000)
    traced = []
    for place, one in enumerate(spans):
        copied = Span()
        copied.CopyFrom(one)
        copied.trace_id = trace_id(number)
        copied.span_id = span_id(number * 1000 + place)
        copied.parent_span_id = renumbered.get(one.parent_span_id, root) if place else b""
        traced.append(copied)
    return traced


def request(
    *spans: Span | Iterable[Span],
    resource: Attributes | None = None,
    scope: str = SCOPE,
    scope_version: str = "1.0",
) -> ExportTraceServiceRequest:
    """One OTLP request with spans (or traces) of one resource and scope."""
    listed: list[Span] = []
    for given in spans:
        listed.extend([given] if isinstance(given, Span) else given)
    scoped = ScopeSpans(scope=InstrumentationScope(name=scope, version=scope_version), spans=listed)
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=_resource(resource), scope_spans=[scoped])]
    )


def log_record(
    event_name: str = "gen_ai.client.inference.operation.details",
    *,
    body: AttributeValue = None,
    attributes: Attributes | None = None,
    span_number: int = 1,
    trace_number: int = 1,
    time_unix_nano: int = START_UNIX_NANO,
) -> LogRecord:
    """A log record with GenAI content, joined to a span by its ids."""
    return LogRecord(
        time_unix_nano=time_unix_nano,
        event_name=event_name,
        body=any_value(body),
        attributes=key_values(attributes or {}),
        trace_id=trace_id(trace_number),
        span_id=span_id(span_number),
    )


def logs_request(
    *records: LogRecord, resource: Attributes | None = None, scope: str = SCOPE
) -> ExportLogsServiceRequest:
    """One OTLP request with log records of one resource and scope."""
    scoped = ScopeLogs(scope=InstrumentationScope(name=scope), log_records=records)
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=_resource(resource), scope_logs=[scoped])]
    )


def _resource(attributes: Attributes | None) -> Resource:
    stated: Attributes = {"service.name": "app"} if attributes is None else attributes
    return Resource(attributes=key_values(stated))


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def _output(text: str | None, finish_reason: str | None) -> str | None:
    if text is None:
        return None
    message = {"role": "assistant", "parts": [_part(text)], "finish_reason": finish_reason}
    return json.dumps([message])

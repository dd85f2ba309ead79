"""OTLP requests for tests: those captured from real instrumentors, and made-up ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

HERE = Path(__file__).parent
CAPTURES = HERE / "captures"
# A day after the captures were made.
RECEIVED_NS = 1_795_300_000 * 10**9


@dataclass(frozen=True)
class Record:
    """A record of the log, as decode reads it."""

    payload: bytes
    kind: str = "traces"
    time_unix_ns: int = RECEIVED_NS
    offset: int = 0


def captured(signal: str) -> list[Path]:
    """Return the captured requests of a signal, in order of their names."""
    found = sorted(CAPTURES.glob("*/*.binpb"))
    return [path for path in found if path.name.endswith(".logs.binpb") == (signal == "logs")]


def record_of(path: Path) -> Record:
    kind = "logs" if path.name.endswith(".logs.binpb") else "traces"
    return Record(path.read_bytes(), kind)


def label(path: Path) -> str:
    return f"{path.parent.name}/{path.name.removesuffix('.binpb')}"


def spans_of(payload: bytes) -> Iterator[Span]:
    """Walk a request the slow and certain way."""
    for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def comparable(span: Span) -> Span:
    """Leave out what OTLP does not tell apart: the order of attributes, an empty status."""
    same = Span.FromString(span.SerializeToString())
    same.attributes.sort(key=_sort_key)
    if same.status == Status():
        same.ClearField("status")
    return same


def _sort_key(message: Message) -> tuple[str, bytes]:
    return message.key, message.SerializeToString(deterministic=True)  # type: ignore[attr-defined]


def any_value(value: Any) -> AnyValue:  # noqa: ANN401 - any attribute value
    """Return a Python value as an AnyValue."""
    if isinstance(value, AnyValue):
        return value
    if isinstance(value, list):
        held = AnyValue()
        held.array_value.SetInParent()
        held.array_value.values.extend(any_value(item) for item in value)
        return held
    if isinstance(value, dict):
        held = AnyValue()
        held.kvlist_value.SetInParent()
        held.kvlist_value.values.extend(pair(k, v) for k, v in value.items())
        return held
    names = {bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
    return AnyValue(**{names.get(type(value), "string_value"): value})


def pair(key: str, value: Any) -> KeyValue:  # noqa: ANN401 - any attribute value
    return KeyValue(key=key) if value is None else KeyValue(key=key, value=any_value(value))


def make_span(name: str = "chat", attributes: dict[str, Any] | None = None, **more: Any) -> Span:  # noqa: ANN401
    """Return a span that is all right, with these attributes."""
    fields = {
        "trace_id": bytes(range(1, 17)),
        "span_id": bytes(range(1, 9)),
        "start_time_unix_nano": RECEIVED_NS - 2 * 10**9 + 123,
        "end_time_unix_nano": RECEIVED_NS - 10**9,
        **more,
    }
    pairs = [pair(key, value) for key, value in (attributes or {}).items()]
    return Span(name=name, attributes=pairs, **fields)


def request(*spans: Span, scope: str = "tests", resource: dict[str, Any] | None = None) -> bytes:
    """Return a request that holds these spans."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    attributes = {"service.name": "shop"} if resource is None else resource
    resource_spans.resource.attributes.extend(pair(k, v) for k, v in attributes.items())
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.spans.extend(spans)
    return message.SerializeToString()


# Keys that fill a column of every type, so that wrong types and repeats are met.
KEYS = (
    "gen_ai.request.model",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.operation.name",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.stream",
    "gen_ai.response.finish_reasons",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.response.time_to_first_chunk",
    "openinference.span.kind",
    "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.content",
    "llm.token_count.prompt",
    "llm.finish_reason",
    "traceloop.span.kind",
    "gen_ai.prompt.0.role",
    "gen_ai.prompt.0.content",
    "session.id",
    "app.customer",
    "",
)
WORDS = ("", "chat", "llm", "LLM", "400", "true", "stop", "[]", "{", '["stop"]', "é\x00🙂", "nan")
TEXTS = st.sampled_from(WORDS) | st.text(max_size=12)
MESSAGES = st.sampled_from(
    (
        '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
        '[{"role":"system","parts":[{"type":"text","content":"Be kind."}]}]',
        '[{"role":"assistant","content":"raw","tool_calls":[{"id":"1","function":{"name":"f"}}]}]',
        '[{"type":"text","content":"Be brief."}]',
        '[{"role":"user","parts":[{"type":"text","content":"cut of',
        '[1,null,{"role":3,"parts":[null,7]}]',
    ),
)
SCALARS = (
    TEXTS
    | MESSAGES
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=6)
    | st.just(AnyValue())
)
VALUES = st.none() | st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PAIRS = st.lists(
    st.builds(pair, st.sampled_from(KEYS) | st.text(max_size=6), VALUES),
    max_size=8,
)
COUNTS = st.sampled_from((0, 0, 1, 55, 2**32 - 1))
TIMES = st.sampled_from((0, 1, RECEIVED_NS - 1, RECEIVED_NS, RECEIVED_NS * 2, 2**64 - 1)) | (
    st.integers(RECEIVED_NS - 10**12, RECEIVED_NS + 10**9)
)
STATES = st.sampled_from(("", "a=b"))
SPAN_IDS = st.binary(min_size=8, max_size=8).filter(any)
TRACE_IDS = st.binary(min_size=16, max_size=16).filter(any)
EVENTS = st.builds(
    Span.Event,
    time_unix_nano=TIMES,
    name=st.sampled_from(("exception", "gen_ai.choice", "gen_ai.user.message", "", "x")),
    attributes=PAIRS,
    dropped_attributes_count=COUNTS,
)
LINKS = st.builds(
    Span.Link,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    trace_state=STATES,
    attributes=PAIRS,
    dropped_attributes_count=COUNTS,
    flags=COUNTS,
)
SPANS = st.builds(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_span_id=st.just(b"") | SPAN_IDS,
    trace_state=STATES,
    flags=COUNTS,
    name=TEXTS,
    kind=st.integers(0, 5) | st.just(77),  # type: ignore[arg-type]
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    attributes=PAIRS,
    dropped_attributes_count=COUNTS,
    events=st.lists(EVENTS, max_size=3),
    dropped_events_count=COUNTS,
    links=st.lists(LINKS, max_size=2),
    dropped_links_count=COUNTS,
    status=st.none() | st.builds(Status, code=st.integers(0, 2) | st.just(9), message=TEXTS),
)
SCOPES = st.sampled_from(("", "com.anthropic.sdk.python", "openlit.x", "langsmith"))
REQUESTS = st.builds(
    lambda spans, scope, resource: request(*spans, scope=scope, resource=resource),
    st.lists(SPANS, max_size=4),
    SCOPES,
    st.dictionaries(st.sampled_from(("service.name", "x", "")), SCALARS, max_size=2),
)

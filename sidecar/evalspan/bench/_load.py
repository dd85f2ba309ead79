"""Made-up traffic for the throughput benchmark: about half GenAI, half HTTP and database spans."""

import json
import random
from collections.abc import Iterator
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

# Stands at the start of every trace id of a template and is replaced in each copy.
_MARK: Final = b"\xee\xbb\xaa\x99"
SPANS_PER_REQUEST: Final = 360
SPANS_PER_TRACE: Final = 10
_MODELS: Final = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "gemini-2.0-flash")


class Traffic:
    """Requests of 360 spans in 36 traces each, 1.6 KB and 17 attributes a span."""

    def __init__(self, templates: int = 20, seed: int = 1) -> None:
        """Make the templates; copies differ in their trace ids."""
        self._random = random.Random(seed)  # noqa: S311 - made-up traffic, not a secret
        letters = "etaoinshrdlucmfwypvbgk"
        self._words = [
            "".join(self._random.choices(letters, k=self._random.randint(2, 9)))
            for _ in range(5000)
        ]
        self._templates = [self._request(number) for number in range(templates)]

    def requests(self, count: int) -> Iterator[bytes]:
        """Yield that many requests; no trace id comes twice."""
        for number in range(count):
            template = self._templates[number % len(self._templates)]
            yield template.replace(_MARK, (number + 1).to_bytes(4, "big"))

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(self._words, k=words))

    def _request(self, number: int) -> bytes:
        resource = Resource(
            attributes=[
                _attribute("service.name", f"shop-{number % 4}"),
                _attribute("service.version", "2.4.1"),
                _attribute("deployment.environment.name", "production"),
                _attribute("host.name", f"node-{number % 3}"),
            ],
        )
        spans: list[Span] = []
        for trace in range(SPANS_PER_REQUEST // SPANS_PER_TRACE):
            spans += self._trace(_MARK + number.to_bytes(4, "big") + trace.to_bytes(8, "big"))
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add(resource=resource)
        scope = ScopeSpans(spans=spans)
        scope.scope.name, scope.scope.version = "shop.tracing", "1.0"
        group.scope_spans.append(scope)
        return request.SerializeToString()

    def _trace(self, trace_id: bytes) -> list[Span]:
        customer = f"customer-{self._random.randint(1, 20)}"
        start = 1_790_000_000_000_000_000 + self._random.randint(0, 10**12)
        root = self._span(trace_id, 0, start, "POST /ask")
        root.attributes.extend([_attribute("app.customer", customer), *self._http()])
        spans = [root]
        for index in range(1, SPANS_PER_TRACE):
            child = self._span(trace_id, index, start + index * 1_000_000, "")
            child.parent_span_id = root.span_id
            if index % 2:
                child.name = "chat gpt"
                child.attributes.extend(self._chat(index))
            else:
                child.name = "SELECT orders"
                child.attributes.extend(self._query())
            spans.append(child)
        return spans

    def _span(self, trace_id: bytes, index: int, start: int, name: str) -> Span:
        return Span(
            trace_id=trace_id,
            span_id=(index + 1).to_bytes(8, "big"),
            name=name,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=start,
            end_time_unix_nano=start + self._random.randint(10**7, 3 * 10**9),
            status=Status(code=Status.STATUS_CODE_OK),
        )

    def _chat(self, index: int) -> list[KeyValue]:
        model = _MODELS[index % len(_MODELS)]
        price = round(self._random.random() * 100, 2)
        answer = json.dumps({"name": self._text(3), "price": price, "summary": self._text(40)})
        messages = [{"role": "user", "parts": [{"type": "text", "content": self._text(120)}]}]
        output = [{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]
        return [
            _attribute("gen_ai.operation.name", "chat"),
            _attribute("gen_ai.provider.name", "openai"),
            _attribute("gen_ai.request.model", model),
            _attribute("gen_ai.response.model", f"{model}-2026-01-01"),
            _attribute("gen_ai.request.temperature", 0.2),
            _attribute("gen_ai.request.max_tokens", 1024),
            _attribute("gen_ai.usage.input_tokens", self._random.randint(100, 3000)),
            _attribute("gen_ai.usage.output_tokens", self._random.randint(10, 600)),
            _attribute("gen_ai.response.id", f"resp-{self._random.getrandbits(48):x}"),
            _finish("stop"),
            _attribute("gen_ai.system_instructions", _SYSTEM),
            _attribute("gen_ai.input.messages", json.dumps(messages)),
            _attribute("gen_ai.output.messages", json.dumps(output)),
            _attribute("gen_ai.prompt.name", "extract"),
            _attribute("gen_ai.prompt.version", f"v{self._random.randint(1, 3)}"),
            _attribute("server.address", "api.example.com"),
            _attribute("server.port", 443),
        ]

    def _http(self) -> list[KeyValue]:
        texts = {
            "http.request.method": "POST",
            "url.path": "/ask",
            "url.scheme": "https",
            "http.route": "/ask",
            "user_agent.original": self._text(12),
            "client.address": "10.0.0.7",
            "network.protocol.version": "1.1",
            "request.body": self._text(90),
        }
        return [_attribute(k, v) for k, v in texts.items()] + self._numbers(9)

    def _query(self) -> list[KeyValue]:
        texts = {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.operation.name": "SELECT",
            "db.collection.name": "orders",
            "db.query.text": "SELECT " + ", ".join(self._random.choices(self._words, k=90)),
            "server.address": "db.internal",
            "peer.service": "orders-db",
            "thread.name": f"worker-{self._random.randint(1, 16)}",
        }
        return [_attribute(k, v) for k, v in texts.items()] + self._numbers(9)

    def _numbers(self, count: int) -> list[KeyValue]:
        return [
            _attribute(f"app.counter.{number}", self._random.randint(0, 10**6))
            for number in range(count)
        ]


_SYSTEM: Final = json.dumps(
    [{"type": "text", "content": "Extract the product as JSON with name, price and summary. " * 4}],
)


def _attribute(key: str, value: str | float) -> KeyValue:
    if isinstance(value, str):
        return KeyValue(key=key, value=AnyValue(string_value=value))
    if isinstance(value, float):
        return KeyValue(key=key, value=AnyValue(double_value=value))
    return KeyValue(key=key, value=AnyValue(int_value=value))


def _finish(reason: str) -> KeyValue:
    values = ArrayValue(values=[AnyValue(string_value=reason)])
    return KeyValue(key="gen_ai.response.finish_reasons", value=AnyValue(array_value=values))

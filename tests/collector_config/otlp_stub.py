"""An OTLP server that keeps what it gets, and a client that sends numbered spans."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LARGEST_MESSAGE = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
]
TRACE_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
LOGS_SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"


class OtlpStub:
    """Counts each span by its name, and keeps the bodies of log records."""

    def __init__(self) -> None:
        self.spans: Counter[str] = Counter()
        self.logs: list[str] = []
        self.down = False  # set, it answers as a server that is starting
        self.released = Event()  # clear, it does not answer at all
        self.released.set()
        self._server = grpc.server(ThreadPoolExecutor(8), options=LARGEST_MESSAGE)
        self._serve(
            TRACE_SERVICE,
            grpc.unary_unary_rpc_method_handler(
                self._take_spans,
                ExportTraceServiceRequest.FromString,
                ExportTraceServiceResponse.SerializeToString,
            ),
        )
        self._serve(
            LOGS_SERVICE,
            grpc.unary_unary_rpc_method_handler(
                self._take_logs,
                ExportLogsServiceRequest.FromString,
                ExportLogsServiceResponse.SerializeToString,
            ),
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.stop(None).wait()

    def _serve(self, service: str, handler: "grpc.RpcMethodHandler[Any, Any]") -> None:
        handlers = grpc.method_handlers_generic_handler(service, {"Export": handler})
        self._server.add_generic_rpc_handlers([handlers])

    def _refuse_when_down(self, context: grpc.ServicerContext) -> None:
        self.released.wait()
        if self.down:
            context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    def _take_spans(
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self._refuse_when_down(context)
        scopes = [scope for one in request.resource_spans for scope in one.scope_spans]
        self.spans.update(span.name for scope in scopes for span in scope.spans)
        return ExportTraceServiceResponse()

    def _take_logs(
        self, request: ExportLogsServiceRequest, context: grpc.ServicerContext
    ) -> ExportLogsServiceResponse:
        self._refuse_when_down(context)
        scopes = [scope for one in request.resource_logs for scope in one.scope_logs]
        self.logs += [record.body.string_value for scope in scopes for record in scope.log_records]
        return ExportLogsServiceResponse()


class OtlpClient:
    """Sends to a Collector; a refusal raises grpc.RpcError."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint, options=LARGEST_MESSAGE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def send_spans(self, *names: str, genai: bool = True, padding: int = 0) -> None:
        """Send spans of these names in one request."""
        request = ExportTraceServiceRequest()
        scope = request.resource_spans.add().scope_spans.add()
        scope.spans.extend(_span(name, genai=genai, padding=padding) for name in names)
        self._export(TRACE_SERVICE, request.SerializeToString())

    def send_log(self, body: str, event_name: str = "") -> None:
        """Send one log record."""
        request = ExportLogsServiceRequest()
        record = LogRecord(body=AnyValue(string_value=body), event_name=event_name)
        request.resource_logs.add().scope_logs.add().log_records.append(record)
        self._export(LOGS_SERVICE, request.SerializeToString())

    def _export(self, service: str, request: bytes) -> None:
        call = self._channel.unary_unary(f"/{service}/Export", bytes, bytes)
        call(request, timeout=20)


def _span(name: str, *, genai: bool, padding: int) -> Span:
    key = "gen_ai.operation.name" if genai else "http.request.method"
    texts = {key: "chat", "padding": "x" * padding}
    return Span(
        name=name,
        trace_id=name.encode().rjust(16, b"-")[-16:],
        span_id=name.encode().rjust(8, b"-")[-8:],
        start_time_unix_nano=1,
        end_time_unix_nano=2,
        attributes=[
            KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in texts.items()
        ],
    )

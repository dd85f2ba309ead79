"""An OTLP receiver that keeps what it is sent: the other end for a test of an exporter."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

MAX_MESSAGE_BYTES = 64 * 2**20


class SpanSink(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP gRPC server on a free port of 127.0.0.1, as a context manager.

    `endpoint` is its address (`http://127.0.0.1:PORT`); `requests` are what came, in order.
    """

    def __init__(self) -> None:
        """Make the server; it listens once the block is entered."""
        self.requests: list[ExportTraceServiceRequest] = []
        self._lock = threading.Lock()
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2), options=options)
        register = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        register(self, self._server)  # type: ignore[no-untyped-call]
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def endpoint(self) -> str:
        """Where to send spans."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def spans(self) -> list[tuple[str, Span]]:
        """Every span with the name of its instrumentation scope."""
        with self._lock:
            return [
                (scoped.scope.name, span)
                for request in self.requests
                for resource_spans in request.resource_spans
                for scoped in resource_spans.scope_spans
                for span in scoped.spans
            ]

    def __enter__(self) -> Self:
        """Start to listen."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to listen; what came stays readable."""
        self._server.stop(grace=None).wait()

    def Export(  # noqa: N802 - the name of the gRPC method
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Keep a request."""
        del context
        with self._lock:
            self.requests.append(request)
        return ExportTraceServiceResponse()

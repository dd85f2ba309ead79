"""OpenTelemetry as an app sets it up: one provider, one exporter, the instrumentors."""

import os
import threading
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from evalspan.demo._tags import TagSpans

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
QUEUE_SPANS = 32_768
"""The default of 2,048 is less than one run makes in a second, and what is over is dropped."""


class CountingExporter(SpanExporter):
    """Sends spans by OTLP and counts those that were taken and those that were not."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the address of an OTLP gRPC receiver without TLS."""
        self._otlp = OTLPSpanExporter(endpoint=endpoint, insecure=True)
        self._lock = threading.Lock()
        self.sent = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        result = self._otlp.export(spans)
        with self._lock:
            if result is SpanExportResult.SUCCESS:
                self.sent += len(spans)
            else:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._otlp.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait for what is under way."""
        return self._otlp.force_flush(timeout_millis)


def start_telemetry(endpoint: str, service_version: str) -> tuple[TracerProvider, CountingExporter]:
    """Make the process's tracer provider; content is captured on the spans."""
    os.environ.setdefault(CAPTURE, "span_only")
    resource = Resource.create(
        {"service.name": "shop-assistant", "service.version": service_version}
    )
    exporter = CountingExporter(endpoint)
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(TagSpans())
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS, schedule_delay_millis=500)
    )
    trace.set_tracer_provider(provider)
    return provider, exporter

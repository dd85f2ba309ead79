"""A report as OTLP log records: one for each part, and one for each finding."""

import json
from collections.abc import Container, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import (
    LogRecord,
    ResourceLogs,
    ScopeLogs,
    SeverityNumber,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from evalspan.report._document import Exemplar, Report
from evalspan.report._events import Event, events

_SEVERITIES = {
    "WARN": SeverityNumber.SEVERITY_NUMBER_WARN,
    "INFO": SeverityNumber.SEVERITY_NUMBER_INFO,
}


def otlp(report: Report, *, only: Container[str] | None = None) -> bytes:
    """Return a serialized ExportLogsServiceRequest; a repeat has the same ids.

    `only` are the names of the records that are wanted, such as `evalspan.optimization`.
    """
    wanted = [each for each in events(report) if only is None or each.name in only]
    scope = ScopeLogs(
        scope=InstrumentationScope(name="evalspan.report"),
        log_records=[_record(each, report) for each in wanted],
    )
    logs = ResourceLogs(
        resource=Resource(attributes=_attributes({"service.name": "evalspan"})),
        scope_logs=[scope],
    )
    return ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()


def _record(event: Event, report: Report) -> LogRecord:
    time_unix_nano = int(report.created_time.timestamp() * 10**6) * 1000
    exemplar = event.exemplar or Exemplar(trace_id="0" * 32)
    known = event.exemplar is not None
    return LogRecord(
        time_unix_nano=time_unix_nano,
        observed_time_unix_nano=time_unix_nano,
        severity_number=_SEVERITIES[event.severity],
        severity_text=event.severity,
        event_name=event.name,
        # ASCII only: whatever a trace held, this is one line that nothing can turn around
        body=AnyValue(string_value=json.dumps(event.body, ensure_ascii=True, allow_nan=False)),
        attributes=_attributes({"event.name": event.name, **event.attributes}),
        trace_id=bytes.fromhex(exemplar.trace_id) if known else b"",
        span_id=bytes.fromhex(exemplar.span_id or "") if known else b"",
    )


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=str(v))) for key, v in values.items()]

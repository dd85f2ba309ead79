"""Send one OTLP log record to Loki."""

import time
from collections.abc import Mapping

from clients import LokiApi
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from processes import call

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def send_log(loki: LokiApi, line: str, attributes: Mapping[str, str] | None = None) -> None:
    """Send a record of the service evalspan with severity WARN and TRACE_ID."""
    record = LogRecord(
        time_unix_nano=time.time_ns(),
        severity_text="WARN",
        body=AnyValue(string_value=line),
        attributes=[_attribute(*pair) for pair in (attributes or {}).items()],
        trace_id=bytes.fromhex(TRACE_ID),
    )
    resource = Resource(attributes=[_attribute("service.name", "evalspan")])
    scope = ScopeLogs(log_records=[record])
    request = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[scope])]
    )
    headers = {"Content-Type": "application/x-protobuf"}
    call(loki.otlp, request.SerializeToString(), headers)


def _attribute(key: str, text: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=text))

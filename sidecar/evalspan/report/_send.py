"""Send one ExportLogsServiceRequest by OTLP, over gRPC or HTTP. Errors are returned."""

import gzip
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub

from evalspan.report._call import CallError, Sent, call
from evalspan.report._settings import OtlpSettings, TlsSettings

_BAD_CODES = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
_NOT_NOW = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}


def send(request: bytes, settings: OtlpSettings) -> Sent:
    """Send a serialized request once."""
    try:
        headers = _headers(settings)
        if settings.protocol == "grpc":
            return _grpc(request, settings, headers)
        return _http(request, settings, headers)
    except DecodeError as error:
        return Sent(f"{settings.endpoint}: {type(error).__name__}: {error}")
    except (OSError, KeyError, ValueError) as error:
        return Sent(f"{settings.endpoint}: {type(error).__name__}: {error}", not_now=True)


def _headers(settings: OtlpSettings) -> dict[str, str]:
    missing = [name for name in settings.headers_env.values() if name not in os.environ]
    if missing:
        msg = f"the environment variable {missing[0]} is not set"
        raise ValueError(msg)
    return {header: os.environ[name] for header, name in settings.headers_env.items()}


def _grpc(request: bytes, settings: OtlpSettings, headers: dict[str, str]) -> Sent:
    message = ExportLogsServiceRequest.FromString(request)
    with _channel(settings) as channel:
        try:
            answer = LogsServiceStub(channel).Export(  # type: ignore[no-untyped-call]
                message,
                timeout=settings.timeout_seconds,
                metadata=[(name.lower(), value) for name, value in headers.items()],
            )
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            told = f"{settings.endpoint}: {code.name}: {details}"
            return Sent(told, code not in _BAD_CODES, code in _NOT_NOW)
    return _partial(answer, settings)


def _channel(settings: OtlpSettings) -> grpc.Channel:
    parts = urlsplit(settings.endpoint if "://" in settings.endpoint else f"//{settings.endpoint}")
    options = [("grpc.max_send_message_length", 64 * 2**20)]
    if parts.scheme != "https" and settings.tls is None:
        return grpc.insecure_channel(parts.netloc, options)
    tls = settings.tls or TlsSettings()
    read = {key: Path(name).read_bytes() if name else None for key, name in tls}
    credentials = grpc.ssl_channel_credentials(read["ca_file"], read["key_file"], read["cert_file"])
    return grpc.secure_channel(parts.netloc, credentials, options)


def _http(request: bytes, settings: OtlpSettings, headers: dict[str, str]) -> Sent:
    address = settings.endpoint.rstrip("/")
    address = address if address.endswith("/v1/logs") else f"{address}/v1/logs"
    try:
        answer = call(
            "POST",
            address,
            headers={
                **headers,
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "gzip",
            },
            timeout_seconds=settings.timeout_seconds,
            content=gzip.compress(request, mtime=0),
            context=_context(settings.tls),
        )
    except CallError as error:
        return error.sent
    known = answer.kind == "application/x-protobuf"
    content = answer.content if known else b""
    return _partial(ExportLogsServiceResponse.FromString(content), settings)


def _context(tls: TlsSettings | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _partial(answer: ExportLogsServiceResponse, settings: OtlpSettings) -> Sent:
    """Records that were refused stay refused: sending them again would not help."""
    refused = answer.partial_success.rejected_log_records
    if not refused:
        return Sent()
    words = answer.partial_success.error_message
    return Sent(f"{settings.endpoint}: {refused} log records refused: {words}", retry=False)

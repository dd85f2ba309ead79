"""Send one ExportLogsServiceRequest by OTLP, over gRPC or HTTP. Errors are returned."""

import gzip
import os
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub

from evalspan.report._settings import OtlpSettings, TlsSettings

_BAD_REQUEST = {400, 413, 415, 422}
_BAD_CODES = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}
_ANSWER_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went: `error` None is sent. `retry` says whether to try again."""

    error: str | None = None
    retry: bool = True
    wait_seconds: float | None = None


def send(request: bytes, settings: OtlpSettings) -> Sent:
    """Send a serialized request once."""
    try:
        headers = _headers(settings)
        if settings.protocol == "grpc":
            return _grpc(request, settings, headers)
        return _http(request, settings, headers)
    except (OSError, KeyError, ValueError, DecodeError) as error:
        return Sent(f"{settings.endpoint}: {type(error).__name__}: {error}")


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
            return Sent(f"{settings.endpoint}: {code.name}: {details}", code not in _BAD_CODES)
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
    call = urllib.request.Request(  # noqa: S310 - the settings allow http and https only
        address,
        data=gzip.compress(request, mtime=0),
        headers={
            **headers,
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        },
        method="POST",
    )
    try:
        with urllib.request.urlopen(  # noqa: S310 - as above
            call, timeout=settings.timeout_seconds, context=_context(settings.tls)
        ) as answer:
            content = answer.read(_ANSWER_BYTES)
            kind = answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        words = error.read(500).decode(errors="replace")
        wait = error.headers.get("Retry-After", "")
        return Sent(
            f"{address}: HTTP {error.code}: {words}",
            error.code not in _BAD_REQUEST,
            float(wait) if wait.isdigit() else None,
        )
    known = kind == "application/x-protobuf"
    return _partial(ExportLogsServiceResponse.FromString(content if known else b""), settings)


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

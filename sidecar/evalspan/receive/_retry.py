"""The answer that makes a sender wait and send again, instead of dropping.

A Collector takes RESOURCE_EXHAUSTED for permanent unless a google.rpc.RetryInfo stands in the
trailer `grpc-status-details-bin` (OTLP specification, "OTLP/gRPC Throttling"). The two messages
that `protobuf` does not bring, google.rpc.Status and google.rpc.RetryInfo, have four fields that
matter, written here field by field.
"""

from datetime import timedelta
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration

DETAILS_KEY: Final = "grpc-status-details-bin"
_TYPE_URL: Final = "type.googleapis.com/google.rpc.RetryInfo"
_STATUS_CODE, _STATUS_MESSAGE, _STATUS_DETAILS = 1, 2, 3
_RETRY_DELAY = 1


def retry_trailer(
    code: grpc.StatusCode, message: str, delay: timedelta
) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that asks the sender to come back after `delay`."""
    duration = Duration()
    duration.FromTimedelta(delay)
    retry_info = _message(_RETRY_DELAY, duration.SerializeToString())
    detail = Any(type_url=_TYPE_URL, value=retry_info).SerializeToString()
    status = (
        _varint(_STATUS_CODE << 3)
        + _varint(code.value[0])
        + _message(_STATUS_MESSAGE, message.encode())
        + _message(_STATUS_DETAILS, detail)
    )
    return ((DETAILS_KEY, status),)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

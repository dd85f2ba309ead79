"""Counting spans and log records in a request by walking the protobuf wire format.

Both requests have the same shape: field 1 (resource) > field 2 (scope) > field 2 (item); see
opentelemetry/proto/trace/v1/trace.proto and logs/v1/logs.proto.
"""

from collections.abc import Iterator
from typing import Final

_PATH: Final = (1, 2, 2)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES: Final = 10


class BadMessageError(Exception):
    """The bytes are not a protobuf message."""


def count_items(request: bytes) -> int:
    """Spans or log records in an export request; `BadMessageError` where it is none."""
    ranges = [(0, len(request))]
    for number in _PATH[:-1]:
        ranges = [inner for start, end in ranges for inner in _fields(request, start, end, number)]
    return sum(1 for start, end in ranges for _ in _fields(request, start, end, _PATH[-1]))


def _fields(data: bytes, offset: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """Where the length-delimited fields `number` of the message in a range stand."""
    while offset < end:
        key, offset = _varint(data, offset, end)
        wire_type = key & 7
        if wire_type == _VARINT:
            _, offset = _varint(data, offset, end)
            continue
        start = offset
        if wire_type == _BYTES:
            length, start = _varint(data, offset, end)
            offset = start + length
        elif wire_type in (_FIXED64, _FIXED32):
            offset += 8 if wire_type == _FIXED64 else 4
        else:
            message = f"wire type {wire_type} at byte {start}"
            raise BadMessageError(message)
        if offset > end:
            message = f"a field at byte {start} goes beyond its message"
            raise BadMessageError(message)
        if wire_type == _BYTES and key >> 3 == number:
            yield start, offset


def _varint(data: bytes, offset: int, end: int) -> tuple[int, int]:
    value = 0
    for shift, position in enumerate(range(offset, min(offset + _VARINT_BYTES, end))):
        byte = data[position]
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says: more follows
            return value, position + 1
    message = f"no number at byte {offset}"
    raise BadMessageError(message)

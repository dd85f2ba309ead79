"""The bytes of one record: packing, checking, and finding the next one. See FORMAT.md."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from mmap import mmap
from typing import Final
from uuid import UUID

from xxhash import xxh3_64_intdigest

from evalspan.wal._errors import OtherVersionError

FORMAT_VERSION: Final = 2
MAGIC: Final = b"\xe5SP\xa7"
MAX_PAYLOAD_BYTES: Final = 2**32 - 1

_HEADER: Final = struct.Struct("<4sIIBBHQ")
_CHECKED: Final = struct.Struct("<IBBHQ")
_OPENING: Final = struct.Struct("<HHIQ16s")
_CHECKED_OFFSET: Final = _HEADER.size - _CHECKED.size

HEADER_BYTES: Final = _HEADER.size
OPENING_BYTES: Final = _HEADER.size + _OPENING.size


class Kind(StrEnum):
    """What the payload of a record is. `OPEN` and `CLOSE` frame a segment and carry no signal."""

    OPEN = "open"
    TRACES = "traces"
    LOGS = "logs"
    CLOSE = "close"


class Flag(IntFlag):
    """Bits of the record header."""

    NONE = 0
    FIRST = 1
    """First record of a group commit: everything before it was on disk when it was written."""


_CODES: Final = {Kind.OPEN: 0, Kind.TRACES: 1, Kind.LOGS: 2, Kind.CLOSE: 3}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


class BadRecordError(Exception):
    """The bytes at an offset are not a whole, correct record; the text says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a segment.

    `payload` is the request as the client sent it (a serialized `ExportTraceServiceRequest` or
    `ExportLogsServiceRequest`), `time_unix_ns` when it was written, `offset` where it starts.
    """

    kind: Kind
    time_unix_ns: int
    payload: bytes
    offset: int
    flags: Flag = Flag.NONE

    @property
    def end(self) -> int:
        """Offset of the byte after this record."""
        return self.offset + HEADER_BYTES + len(self.payload)


@dataclass(frozen=True, slots=True)
class Opening:
    """Payload of the OPEN record: which log and which segment the file is."""

    log_id: str
    number: int
    version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        """The 32 bytes of the payload."""
        return _OPENING.pack(self.version, 0, 0, self.number, UUID(hex=self.log_id).bytes)

    @classmethod
    def unpack(cls, payload: bytes) -> "Opening":
        """Read the payload; `BadRecordError` where it has another length."""
        if len(payload) != _OPENING.size:
            message = f"opening record of {len(payload)} bytes, expected {_OPENING.size}"
            raise BadRecordError(message)
        version, _, _, number, log_id = _OPENING.unpack(payload)
        return cls(log_id=UUID(bytes=log_id).hex, number=number, version=version)


def mark_of(log_id: str) -> bytes:
    """The four bytes that open every record of a log but the OPEN records.

    They differ from log to log, so that record-like bytes inside a payload, or a record of
    another log, are never taken for a record: whoever sends spans does not know the log's id.
    """
    return zlib.crc32(UUID(hex=log_id).bytes).to_bytes(4, "little")


def digest_of(payload: bytes) -> int:
    """The XXH3-64 of a payload: a sixth of the CPU time of a CRC-32."""
    return xxh3_64_intdigest(payload)


def pack_header(
    mark: bytes, kind: Kind, payload: tuple[int, int], time_unix_ns: int, flags: Flag
) -> bytes:
    """The 24 bytes before a payload, given as its length and its `digest_of`.

    The checksum is carried on from the payload's over the header, so that the thread that has
    the payload can compute the costly part before place and time of the record are known.
    """
    length, known = payload
    checked = _CHECKED.pack(length, _CODES[kind], flags, 0, time_unix_ns)
    return mark + _checksum(checked, known).to_bytes(4, "little") + checked


def _checksum(checked: bytes, known: int) -> int:
    return xxh3_64_intdigest(checked, known) & 0xFFFFFFFF


def pack_opening(opening: Opening, time_unix_ns: int) -> bytes:
    """The OPEN record, first in every segment."""
    payload = opening.pack()
    checked = _CHECKED.pack(len(payload), _CODES[Kind.OPEN], Flag.FIRST, 0, time_unix_ns)
    return MAGIC + _opening_checksum(checked, payload).to_bytes(4, "little") + checked + payload


def _opening_checksum(checked: bytes, payload: bytes) -> int:
    """Of the record that names the version: the same in every version, so that it can be read."""
    return zlib.crc32(checked, zlib.crc32(payload))


def pack_close(mark: bytes, time_unix_ns: int, flags: Flag = Flag.FIRST) -> bytes:
    """The CLOSE record, last in every closed segment; its time is the segment's end."""
    return pack_header(mark, Kind.CLOSE, (0, digest_of(b"")), time_unix_ns, flags)


def parse(header: bytes, payload: bytes, offset: int) -> Record:
    """Check `header` and `payload`, which stand at `offset`; `BadRecordError` says why."""
    _, expected, length, code, flags, reserved, time_unix_ns = _HEADER.unpack(header)
    if len(payload) != length:
        message = f"payload of {len(payload)} bytes, expected {length}"
        raise BadRecordError(message)
    checked = header[_CHECKED_OFFSET:]
    opens = code == _CODES[Kind.OPEN]
    found = _opening_checksum(checked, payload) if opens else _checksum(checked, digest_of(payload))
    if found != expected:
        message = "checksum does not match"
        raise BadRecordError(message)
    if code not in _KINDS or reserved:
        message = f"record kind {code} of a newer version"
        raise BadRecordError(message)
    return Record(_KINDS[code], time_unix_ns, payload, offset, Flag(flags))


def payload_length(header: bytes, mark: bytes) -> int:
    """Payload bytes that follow `header`; `BadRecordError` where it is no header."""
    if len(header) < HEADER_BYTES:
        message = f"{len(header)} bytes, a record header has {HEADER_BYTES}"
        raise BadRecordError(message)
    if not header.startswith(mark):
        message = "no record of this log starts here"
        raise BadRecordError(message)
    return int.from_bytes(header[8:12], "little")


def parse_at(buffer: mmap | bytes, offset: int, mark: bytes) -> Record:
    """The record at `offset` of a whole file; `BadRecordError` where there is none."""
    header = buffer[offset : offset + HEADER_BYTES]
    start = offset + HEADER_BYTES
    length = payload_length(header, mark)
    if start + length > len(buffer):
        message = f"{len(buffer) - start} bytes of payload left, expected {length}"
        raise BadRecordError(message)
    return parse(header, buffer[start : start + length], offset)


def parse_opening(buffer: mmap | bytes) -> tuple[Opening, Record]:
    """The first record of a file and what it says; `BadRecordError` where it is no OPEN record.

    Raises `OtherVersionError` where another version wrote it: what follows cannot be judged.
    """
    record = parse_at(buffer, 0, MAGIC)
    opening = Opening.unpack(record.payload)
    if record.kind is not Kind.OPEN:
        message = f"{record.kind} record at the start"
        raise BadRecordError(message)
    if opening.version != FORMAT_VERSION:
        raise OtherVersionError(opening.number, opening.version, FORMAT_VERSION)
    return opening, record


def salvage(buffer: mmap | bytes, offset: int, mark: bytes) -> Iterator[Record]:
    """Every correct record from `offset` on, wherever it starts; bad ranges are passed over."""
    while (offset := buffer.find(mark, offset)) >= 0:
        try:
            record = parse_at(buffer, offset, mark)
        except BadRecordError:
            offset += 1
        else:
            yield record
            offset = record.end

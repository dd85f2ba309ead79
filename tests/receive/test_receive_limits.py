"""Requests that a real client refuses to send: a clear status, counted, memory bounded."""

import gzip
import json
import random
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from evalspan import wal

DATA, HEADERS, RESET, SETTINGS, WINDOW = 0, 1, 3, 4, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
NO_TABLE = struct.pack(">HI", 1, 0)  # headers come in plain text, not as table indices
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROGRAM: Final = Path(__file__).with_name("receiver_program.py")
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, INTERNAL = 0, 3, 8, 13


def bomb(zero_mib: int) -> bytes:
    """That many MiB of zeros in one gzip member, made without ever having them."""
    chunk = bytes(2**20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush(zlib.Z_FINISH)
    crc = 0
    for _ in range(zero_mib):
        crc = zlib.crc32(chunk, crc)
    trailer = struct.pack("<II", crc, (zero_mib * 2**20) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * zero_mib + end + trailer


def message(body: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message frame; `length` other than the true one is a lie."""
    size = len(body) if length is None else length
    return struct.pack(">BI", compressed, size) + body


class WireClient:
    """One HTTP/2 connection with one call at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, NO_TABLE))
        self._stream = -1
        self._buffer = b""
        self._windows: dict[int, int] = {}
        self._initial_window = 65535
        self._largest_frame = 16384

    def begin(self, path: str, encoding: str = "identity") -> None:
        """Send the headers of a call."""
        self._stream += 2
        headers = {
            ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
            "content-type": "application/grpc", "te": "trailers", "grpc-encoding": encoding,
        }  # fmt: skip
        block = b"".join(b"\0" + _text(key) + _text(value) for key, value in headers.items())
        self._socket.sendall(_frame(HEADERS, END_HEADERS, self._stream, block))

    def send(self, body: bytes, *, end: bool) -> int | None:
        """Send bytes of the call as fast as the server lets us; its status if it ends early."""
        while body:
            room = min(self._room(0), self._room(self._stream), self._largest_frame)
            if room <= 0:
                status = next(self._statuses())
                if status is not None:
                    return status
                continue
            part, body = body[:room], body[room:]
            for stream in (0, self._stream):
                self._windows[stream] = self._windows.get(stream, 0) - len(part)
            flags = END_STREAM if end and not body else 0
            self._socket.sendall(_frame(DATA, flags, self._stream, part))
        return None

    def status(self) -> int:
        """Wait for the call's grpc-status; 14 (UNAVAILABLE) where the stream was reset."""
        return next(status for status in self._statuses() if status is not None)

    def call(self, path: str, body: bytes, encoding: str = "identity") -> int:
        """Send a whole call, and give its status."""
        self.begin(path, encoding)
        early = self.send(body, end=True)
        return self.status() if early is None else early

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _room(self, stream: int) -> int:
        return (self._initial_window if stream else 65535) + self._windows.get(stream, 0)

    def _statuses(self) -> Iterator[int | None]:
        """Handle frames for ever; a value for each, None where it says nothing of the call."""
        while True:
            kind, flags, stream, payload = self._read_frame()
            yield self._handle(kind, flags, stream, payload)

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> int | None:
        if kind == SETTINGS and not flags & ACK:
            for key, value in struct.iter_unpack(">HI", payload):
                if key == 4:
                    self._initial_window = value
                elif key == 5:
                    self._largest_frame = value
            self._socket.sendall(_frame(SETTINGS, ACK, 0, b""))
        elif kind == WINDOW:
            (more,) = struct.unpack(">I", payload)
            self._windows[stream] = self._windows.get(stream, 0) + more
        elif kind == HEADERS and stream == self._stream and flags & END_STREAM:
            _, _, rest = payload.partition(b"grpc-status")
            return int(rest[1 : 1 + rest[0]])
        elif kind == RESET and stream == self._stream:
            return 14
        return None

    def _read_frame(self) -> tuple[int, int, int, bytes]:
        head = self._read(9)
        length = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:9], "big"), self._read(length)

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionResetError
            self._buffer += received
        result, self._buffer = self._buffer[:size], self._buffer[size:]
        return result


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: str) -> bytes:
    assert len(value) < 127
    return bytes([len(value)]) + value.encode()


class Program:
    """The receiver in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, str(PROGRAM), str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def end(self) -> dict[str, Any]:
        """Stop it in order; what it had counted."""
        self.process.terminate()
        assert self.process.wait(30) == 0
        counts: dict[str, Any] = json.loads((self.folder / "receiver.json").read_text())
        return counts

    def stored(self) -> list[bytes]:
        segments = wal.segments(self.folder / "wal")
        return [record.payload for segment in segments for record in wal.read(segment)]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A running receiver with the default limits."""
    running = Program(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(30)


def test_what_is_too_large_is_refused_within_bounds_of_memory(program: Program) -> None:
    client = WireClient(program.port)
    assert client.call(EXPORT, message(b"first")) == OK
    before = program.peak_mib()
    assert client.call(EXPORT, message(bytes(100 * 2**20))) == RESOURCE_EXHAUSTED
    assert client.call(EXPORT, message(b"x", length=2**32 - 1)) == RESOURCE_EXHAUSTED
    assert program.peak_mib() - before < 16, "a large message is not taken in at all"
    packed = message(bomb(1024), compressed=True)
    assert client.call(EXPORT, packed, "gzip") == RESOURCE_EXHAUSTED
    assert program.peak_mib() - before < 160, "a bomb is unpacked to the limit and no further"
    assert client.call(EXPORT, message(b"last")) == OK
    client.close()
    counts = program.end()
    assert counts["rejected"] == {"traces": {"unreadable": 3}}
    assert counts["requests"] == {"traces": 5}
    assert program.stored() == [b"first", b"last"]


def test_a_message_just_under_the_limit_is_stored(program: Program) -> None:
    body = random.Random(1).randbytes(2**20) * 64  # noqa: S311 - not a secret
    client = WireClient(program.port)
    assert client.call(EXPORT, message(body)) == OK
    assert client.call(EXPORT, message(bomb(64), compressed=True), "gzip") == OK
    client.close()
    assert program.end()["accepted"] == {"traces": 2}
    assert program.stored() == [body, bytes(64 * 2**20)]


GARBAGE = {
    "gzip that is none": (message(b"rubbish", compressed=True), "gzip", {INTERNAL}),
    "gzip cut off": (message(gzip.compress(b"x" * 999)[:-9], compressed=True), "gzip", {INTERNAL}),
    "packed, but nobody said how": (message(b"abc", compressed=True), "identity", {INTERNAL}),
    "an encoding we do not have": (message(b"abc", compressed=True), "zstd", {INTERNAL}),
    "shorter than announced": (message(b"abc", length=99), "identity", {INVALID_ARGUMENT}),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_cannot_be_read_gets_a_status_and_is_counted(program: Program, name: str) -> None:
    body, encoding, expected = GARBAGE[name]
    client = WireClient(program.port)
    assert client.call(EXPORT, body, encoding) in expected
    assert client.call(EXPORT, message(b"next")) == OK
    client.close()
    counts = program.end()
    assert sum(counts["rejected"]["traces"].values()) == 1
    assert counts["requests"] == {"traces": 2}
    assert program.stored() == [b"next"]


def test_bytes_that_are_no_request_are_stored_for_quarantine(program: Program) -> None:
    client = WireClient(program.port)
    garbage = [b"\xff" * 100, b"", b"\x0a\x05abc"]
    assert [client.call(EXPORT, message(body)) for body in garbage] == [OK] * 3
    client.close()
    assert program.end()["accepted"] == {"traces": 3}
    assert program.stored() == garbage

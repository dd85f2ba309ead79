"""A small HTTP/1.1 server: keep-alive, one write for each part of a response, no Nagle.

A response that leaves in two writes with Nagle's algorithm on waits for the client's delayed
acknowledgement, 40 ms a call; that is why the head never leaves without the body.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_BODY_BYTES = 64 * 2**20
MAX_HEAD_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response, as parts that each leave in one write after a pause in seconds."""

    status: int
    parts: tuple[tuple[float, bytes], ...]
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def head(self) -> bytes:
        """Status line and headers."""
        length = sum(len(part) for _, part in self.parts)
        known = self.status in HTTPStatus._value2member_map_
        phrase = HTTPStatus(self.status).phrase if known else "Overloaded"
        headers = {"content-type": self.content_type, "content-length": str(length)} | self.headers
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return f"HTTP/1.1 {self.status} {phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@contextlib.asynccontextmanager
async def listening(handler: Handler, host: str, port: int) -> AsyncIterator[int]:
    """Answer with `handler` inside the block; gives the port, a free one where `port` is 0."""
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            connections[task] = writer
            task.add_done_callback(connections.pop)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # client left
            await _serve_connection(handler, reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, host, port, limit=MAX_HEAD_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections.values():
            writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)


async def _serve_connection(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    open_for_more = True
    while open_for_more:
        try:
            request = await _read_request(reader, writer)
            response = await handler(request)
            open_for_more = request.headers.get("connection", "").lower() != "close"
        except _RefusedError as refused:
            response = HttpResponse(refused.status, ((0.0, str(refused).encode()),), "text/plain")
            open_for_more = False
        await _write_response(writer, response)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> HttpRequest:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as error:
        raise _RefusedError(431, "the headers are longer than 64 KiB") from error
    first, *lines = head.rstrip("\r\n").split("\r\n")
    try:
        method, path, _ = first.split(" ")
    except ValueError as error:
        raise _RefusedError(400, "not an HTTP request line") from error
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = _body_bytes(headers)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return HttpRequest(method, path.partition("?")[0], headers, await reader.readexactly(length))


def _body_bytes(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise _RefusedError(411, "send a content-length, not a chunked body")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise _RefusedError(400, "content-length is not a number")
    if int(length) > MAX_BODY_BYTES:
        raise _RefusedError(413, "the body is larger than 64 MiB")
    return int(length)


async def _write_response(writer: asyncio.StreamWriter, response: HttpResponse) -> None:
    waiting = response.head()
    for pause_seconds, part in response.parts:
        if pause_seconds:
            await asyncio.sleep(pause_seconds)
        writer.write(waiting + part)
        waiting = b""
        await writer.drain()

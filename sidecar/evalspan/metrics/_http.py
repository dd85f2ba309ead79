"""The HTTP server of the sidecar: `/metrics`, health, and pages that are mounted."""

import errno
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from evalspan.metrics._metrics import Metrics

log = structlog.get_logger()

_IN_THE_WAY: Final[Mapping[int, str]] = {
    errno.EADDRINUSE: "another program listens there, such as a second sidecar (`ss -ltnp` shows "
    "which): stop it, or set metrics.listen to a free port",
    errno.EADDRNOTAVAIL: "no network interface of this machine has this address: set "
    "metrics.listen to 127.0.0.1, to 0.0.0.0 for all interfaces, or to one that it has",
    errno.EACCES: "this user may not listen on this port: set metrics.listen to one above 1023",
}
_NO_ADDRESS: Final = "this is no address: set metrics.listen to HOST:PORT, the port up to 65535"


class ListenError(OSError):
    """The address cannot be listened on; the text says which, why, and what to set."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of a mounted page."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


# Prefix of the path → a function of path and query that answers it.
Pages = Mapping[str, Callable[[str, str], Page]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a route is handed of a request."""

    path: str
    query: str
    accept: str


_Route = Callable[[_Asked], Page]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, routes: Mapping[str, _Route]) -> None:
        self.routes = routes
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)


def serve(listen: str, metrics: Metrics, pages: Pages) -> ThreadingHTTPServer:
    """Serve in a thread until `shutdown()` is called; raises ListenError."""
    routes = {"/metrics": _shown(metrics), "/healthz": _healthy}
    server = _listening(listen, routes | {path: _mounted(page) for path, page in pages.items()})
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _listening(listen: str, routes: Mapping[str, _Route]) -> _Server:
    host, _, port = listen.rpartition(":")
    try:
        return _Server(host.strip("[]"), int(port), routes)
    except (OSError, OverflowError) as error:
        why = _IN_THE_WAY.get(getattr(error, "errno", None) or 0)
        if why is None:
            known = isinstance(error, OverflowError | socket.gaierror)
            why = _NO_ADDRESS if known else f"{error}; metrics.listen sets the address"
        message = f"cannot listen on {listen}: {why}"
        raise ListenError(message) from error


def _shown(metrics: Metrics) -> _Route:
    registry = CollectorRegistry()
    registry.register(metrics)

    def answer(asked: _Asked) -> Page:
        encoder, content_type = choose_encoder(asked.accept)
        return Page(HTTPStatus.OK, content_type, encoder(registry))

    return answer


def _mounted(page: Callable[[str, str], Page]) -> _Route:
    return lambda asked: page(asked.path, asked.query)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "evalspan"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        page = self._page()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(page.body)

    def _page(self) -> Page:
        try:
            parts = urlsplit(self.path)
        except ValueError:  # a host that is none, such as `//[`
            return _text(HTTPStatus.BAD_REQUEST, "this is no path\n")
        asked = _Asked(parts.path, parts.query, self.headers.get("Accept", ""))
        try:
            return _found(asked, self.server.routes)
        except Exception:
            log.exception("page_failed", path=parts.path[:200])
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, "this page failed; see the log\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: scrapes are not news."""


def _found(asked: _Asked, routes: Mapping[str, _Route]) -> Page:
    if asked.path == "/":
        return _home(routes)
    for path, answer in routes.items():
        below = path.endswith("/") and asked.path.startswith(path)
        if below or asked.path in (path, path.rstrip("/")):
            return answer(asked)
    return _text(HTTPStatus.NOT_FOUND, "nothing here; try /metrics or /reports/\n")


def _healthy(_asked: _Asked) -> Page:
    return _text(HTTPStatus.OK, "ok\n")


def _home(routes: Mapping[str, _Route]) -> Page:
    links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in routes)
    body = f"<!doctype html><title>evalspan</title><h1>evalspan</h1><ul>{links}</ul>"
    return Page(HTTPStatus.OK, "text/html; charset=utf-8", body.encode())


def _text(status: HTTPStatus, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", text.encode())

"""The HTTP server of the sidecar: `/metrics`, health, and pages that are mounted."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from evalspan.metrics._metrics import Metrics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of a mounted page."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


# Prefix of the path → a function of path and query that answers it.
Pages = Mapping[str, Callable[[str, str], Page]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def serve(listen: str, metrics: Metrics, pages: Pages) -> ThreadingHTTPServer:
    """Serve in a thread until `shutdown()` is called; raises OSError if the address is taken."""
    registry = CollectorRegistry()
    registry.register(metrics)

    class Handler(_Handler):
        routes: ClassVar[Pages] = {"/metrics": _never, "/healthz": _healthy, **pages}

        def metrics_page(self) -> Page:
            encoder, content_type = choose_encoder(self.headers.get("Accept", ""))
            return Page(HTTPStatus.OK, content_type, encoder(registry))

    host, _, port = listen.rpartition(":")
    server = _Server((host.strip("[]"), int(port)), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    routes: ClassVar[Pages] = {}
    server_version = "evalspan"
    sys_version = ""
    timeout = 30

    def metrics_page(self) -> Page:
        raise NotImplementedError

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
        try:
            if parts.path == "/metrics":
                return self.metrics_page()
            if parts.path == "/":
                return _home(self.routes)
            for prefix, answer in self.routes.items():
                if parts.path == prefix or parts.path.startswith(prefix.rstrip("/") + "/"):
                    return answer(parts.path, parts.query)
        except Exception:
            log.exception("page_failed", path=parts.path[:200])
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, "this page failed; see the log\n")
        return _text(HTTPStatus.NOT_FOUND, "nothing here; try /metrics or /reports/\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: scrapes are not news."""


def _never(_path: str, _query: str) -> Page:
    return _text(HTTPStatus.NOT_FOUND, "try /metrics\n")


def _healthy(_path: str, _query: str) -> Page:
    return _text(HTTPStatus.OK, "ok\n")


def _home(routes: Pages) -> Page:
    links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in routes)
    body = f"<!doctype html><title>evalspan</title><h1>evalspan</h1><ul>{links}</ul>"
    return Page(HTTPStatus.OK, "text/html; charset=utf-8", body.encode())


def _text(status: HTTPStatus, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", text.encode())

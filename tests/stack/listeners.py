"""Small HTTP servers for tests: a page to scrape, and a place that takes webhooks."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from processes import wait_for

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _Listener:
    """A server on a free port of 127.0.0.1, in a thread of its own."""

    def __init__(self, answer: Callable[[str, bytes], bytes]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(answer(self.path, b""))

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                self._reply(answer(self.path, self.rfile.read(size)))

            def _reply(self, content: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", OPENMETRICS)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing: the test says what it saw."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """It listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class Exposition(_Listener):
    """A page of OpenMetrics text, asked for anew at every scrape."""

    def __init__(self, text: Callable[[], str]) -> None:
        """Serve what `text` returns at every path."""
        super().__init__(lambda _path, _body: text().encode())


class Webhook(_Listener):
    """Keeps the JSON bodies that are posted to it, in order."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.bodies: list[Any] = []
        super().__init__(self._take)

    def alert(self, name: str, status: str = "firing", *, seconds: float = 180) -> dict[str, Any]:
        """Wait for an alert of this name and status that Alertmanager delivers."""

        def look() -> dict[str, Any] | None:
            found: list[dict[str, Any]] = [
                alert
                for body in list(self.bodies)
                for alert in body["alerts"]
                if alert["labels"]["alertname"] == name and alert["status"] == status
            ]
            return found[0] if found else None

        return wait_for(look, f"webhook gets {name} {status}", seconds=seconds)

    def _take(self, _path: str, body: bytes) -> bytes:
        self.bodies.append(json.loads(body))
        return b""

"""A double of Grafana's HTTP API: keeps what is written, and adds fields of its own.

It is no Grafana: it shows that the calls are those of the API's documentation as read here, that
a second run changes nothing, and that a dry run writes nothing.
"""

import json
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

TOKEN = "glsa_of_a_test"
RULES = "/api/v1/provisioning/folder/evalspan/rule-groups/"


class GrafanaDouble:
    """Folders, data sources, dashboards and rule groups by path; `writes` are the calls made.

    What it does not know of a rule, it forgets, as Grafana does.
    """

    def __init__(self, *, forgets: Collection[str] = ()) -> None:
        """Nothing is there yet; `forgets` are the keys of rules that its version does not know."""
        self._forgets = frozenset(forgets)
        self.there: dict[str, Any] = {}
        self.writes: list[tuple[str, str]] = []
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(size) or b"null")
                allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                code, said = answer(self.command, self.path, body) if allowed else (401, {})
                content = json.dumps(said).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _any  # noqa: N815 - the base class's names

            def log_message(self, *_: object) -> None:
                """Say nothing: the test says what it saw."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of(self, prefix: str) -> dict[str, Any]:
        """What stands below a path."""
        return {path: body for path, body in self.there.items() if path.startswith(prefix)}

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
        if method == "GET":
            return self._read(path)
        self.writes.append((method, path))
        keep: dict[str, Callable[[Any], str]] = {
            "/api/folders": lambda b: f"/api/folders/{b['uid']}",
            "/api/datasources": lambda b: f"/api/datasources/uid/{b['uid']}",
            "/api/dashboards/db": lambda b: f"/api/dashboards/uid/{b['dashboard']['uid']}",
        }
        place = keep[path](body) if method == "POST" else path
        if method == "PUT" and not path.startswith(RULES) and path not in self.there:
            return 404, {"message": "not found"}
        if path == "/api/folders" and place in self.there:
            return 409, {"message": "a folder with that uid already exists"}
        stored = self.there[place] = {**body, "id": len(self.writes), "version": 1}
        for rule in stored.get("rules", []):
            for key in self._forgets & rule.keys():
                del rule[key]
        if "dashboard" in body:
            stored["dashboard"] = {**body["dashboard"], "id": 7, "version": 3}
        return 200, {"status": "success"}

    def _read(self, path: str) -> tuple[int, Any]:
        if path == "/api/datasources":
            return 200, list(self.of("/api/datasources/uid/").values())
        if path in self.there:
            return 200, self.there[path]
        return 404, {"message": "not found"}

    def __enter__(self) -> Self:
        """It listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

"""The stand-in model server: three wire formats in front of one scenario."""

import asyncio
import itertools
import json
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Self

from evalspan.testing import (
    _anthropic_messages,
    _openai_chat,
    _openai_responses,
    _stand_in,
)
from evalspan.testing._conversation import Asked, BadRequestError, Json, Reply
from evalspan.testing._http import HttpRequest, HttpResponse, listening
from evalspan.testing._scenario import Fault, Latency, Scenario, load_scenario

LOCALHOST = "127.0.0.1"
START_SECONDS = 10.0
OVERLOADED = 529
SHARE_BEFORE_FIRST_TOKEN = 0.4
WIRES: Mapping[str, ModuleType] = {
    "/v1/messages": _anthropic_messages,
    "/v1/chat/completions": _openai_chat,
    "/v1/responses": _openai_responses,
}


class ModelServer:
    """A stand-in for a model provider, for tests and the demo.

    It shows that a loop of observing, judging and mending prompts works, not how good a model is.
    Use it as a context manager; it then runs in a thread on a free port of 127.0.0.1 until the
    end of the block. `url` has no trailing slash and no `/v1`: the anthropic SDK takes it as it
    is, the openai SDK takes `url + "/v1"`. `requests` counts calls by path, by role (`answer`,
    `rewrite`, `judge`) and by HTTP status (`status 429`).
    """

    def __init__(
        self,
        scenario: Scenario | Path | None = None,
        *,
        host: str = LOCALHOST,
        port: int = 0,
        latency_seconds: float | None = None,
    ) -> None:
        """Take a scenario, or the path of one, or the default one; port 0 is any free port.

        `latency_seconds`, the mean time of an answer, goes before the scenario's own latency.
        """
        given = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
        if latency_seconds is not None:
            first = latency_seconds * SHARE_BEFORE_FIRST_TOKEN
            latency = Latency(first_token_seconds=first, total_seconds=latency_seconds)
            given = given.model_copy(update={"latency": latency})
        self.scenario: Scenario = given
        self.requests: Counter[str] = Counter()
        self._host = host
        self._port = port
        start = uuid.uuid4().hex[:12]  # ids of two starts never meet, as with a real provider
        self._answer_ids = (f"{start}{number:08d}" for number in itertools.count())
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._failure: OSError | None = None

    @property
    def url(self) -> str:
        """Where the server listens, for example http://127.0.0.1:40123."""
        return f"http://{self._host}:{self._port}"

    def __enter__(self) -> Self:
        """Start, and return when connections are taken; OSError where the port is not free."""
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            message = f"the model server did not start within {START_SECONDS:g} s"
            raise TimeoutError(message)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; calls that are under way are cut off."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self.serve(lambda _: self._started.set()))
        except OSError as error:
            self._failure = error
            self._started.set()

    async def serve(self, on_start: Callable[[str], None]) -> None:
        """Serve until told to stop; `on_start` is given the address once calls are taken."""
        self._loop = asyncio.get_running_loop()
        async with listening(self._handle, self._host, self._port) as self._port:
            on_start(self.url)
            await self._stop.wait()

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        self.requests[request.path] += 1
        response = self._respond(request)
        self.requests[f"status {response.status}"] += 1
        return response

    def _respond(self, request: HttpRequest) -> HttpResponse:
        if request.method == "GET" and request.path == "/v1/models":
            return _json_response(HTTPStatus.OK, {"object": "list", "data": [], "has_more": False})
        if request.method == "GET" and request.path == "/counts":
            return _json_response(HTTPStatus.OK, dict(self.requests))
        wire = WIRES.get(request.path)
        if wire is None or request.method != "POST":
            message = f"no such route: {request.method} {request.path}; there are {list(WIRES)}"
            wire = wire or _anthropic_messages
            return _json_response(HTTPStatus.NOT_FOUND, wire.error(HTTPStatus.NOT_FOUND, message))
        try:
            return self._answer(wire, _read(wire, request.body), request.headers)
        except BadRequestError as error:
            body = wire.error(HTTPStatus.BAD_REQUEST, str(error))
            return _json_response(HTTPStatus.BAD_REQUEST, body)

    def _answer(self, wire: ModuleType, asked: Asked, headers: dict[str, str]) -> HttpResponse:
        self.requests[_stand_in.role(asked)] += 1
        attempt = headers.get("x-stainless-retry-count", "0")
        planned = _stand_in.fault(self.scenario, asked, int(attempt) if attempt.isdigit() else 0)
        if planned is not None:
            return _fault_response(wire, planned)
        answer_id = next(self._answer_ids)
        reply = _stand_in.answer(self.scenario, asked, answer_id)
        return self._reply_response(wire, asked, reply, answer_id)

    def _reply_response(
        self, wire: ModuleType, asked: Asked, reply: Reply, answer_id: str
    ) -> HttpResponse:
        first, rest = _stand_in.latency_seconds(self.scenario, asked)
        headers = {"request-id": f"req_{answer_id}", "x-request-id": f"req_{answer_id}"}
        if not asked.stream:
            body = json.dumps(wire.whole(asked, reply, answer_id)).encode()
            return HttpResponse(HTTPStatus.OK, ((first + rest, body),), headers=headers)
        events = [_event_bytes(*event) for event in wire.events(asked, reply, answer_id)]
        parts = _timed(events, first, rest)
        return HttpResponse(HTTPStatus.OK, parts, "text/event-stream", headers)


def serve_model_server(
    host: str = LOCALHOST,
    port: int = 0,
    scenario: Path | None = None,
    *,
    latency_seconds: float | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve the stand-in model server until interrupted.

    It speaks Anthropic Messages (`/v1/messages`), OpenAI Chat Completions
    (`/v1/chat/completions`) and OpenAI Responses (`/v1/responses`). It shows that the loop works,
    not how good a model is: its answers are a function of the prompt and of a written scenario.

    `host`: the address to listen on; 127.0.0.1 unless told. `port`: 0 takes a free one.
    `scenario`: a YAML file; without one the demo's. `latency_seconds`: the mean time of an
    answer, before the scenario's own. `on_start` is given the server's address, which is printed
    without it. Raises ValueError for a bad scenario and OSError for a port that is taken.
    """
    server = ModelServer(scenario, host=host, port=port, latency_seconds=latency_seconds)
    try:
        asyncio.run(server.serve(on_start or _announce))
    except KeyboardInterrupt:
        return


def _announce(url: str) -> None:
    sys.stdout.write(f"stand-in model server on {url}\n")
    sys.stdout.flush()


def _read(wire: ModuleType, body: bytes) -> Asked:
    try:
        parsed = json.loads(body)
        asked: Asked = wire.read(parsed)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the body is not a request of this API: {type(error).__name__}: {error}"
        raise BadRequestError(message) from error
    return asked


def _fault_response(wire: ModuleType, planned: Fault) -> HttpResponse:
    known = {429: "Too many requests, slow down.", OVERLOADED: "Overloaded"}
    body = wire.error(planned.status, known.get(planned.status, "The scenario asked for an error."))
    wait = planned.retry_after_seconds
    headers = {} if wait is None else {"retry-after": f"{wait:g}"}
    return _json_response(planned.status, body, headers)


def _json_response(status: int, body: Json, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status, ((0.0, json.dumps(body).encode()),), headers=headers or {})


def _event_bytes(name: str | None, data: Json | str) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"event: {name}\ndata: {text}\n\n".encode() if name else f"data: {text}\n\n".encode()


def _timed(
    events: Iterable[bytes], first_seconds: float, rest_seconds: float
) -> tuple[tuple[float, bytes], ...]:
    """One part without a latency; else the first half of the events, and the rest later."""
    listed = list(events)
    if not rest_seconds:
        return ((first_seconds, b"".join(listed)),)
    half = len(listed) // 2
    return (first_seconds, b"".join(listed[:half])), (rest_seconds, b"".join(listed[half:]))

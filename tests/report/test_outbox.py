"""Sending reports: at least once, over gRPC and HTTP, to real servers."""

import gzip
import os
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from pydantic import ValidationError
from report_samples import NOW, sample

from evalspan.report import Flushed, OtlpSettings, Outbox, publish, render
from evalspan.report._send import Sent


class Collector(LogsServiceServicer):  # type: ignore[misc]
    """Keeps requests; answers with `code` and `refused` where a test sets them."""

    def __init__(self) -> None:
        self.requests: list[ExportLogsServiceRequest] = []
        self.metadata: dict[str, str] = {}
        self.code: grpc.StatusCode | None = None
        self.refused = 0

    def Export(self, request: ExportLogsServiceRequest, context: Any) -> ExportLogsServiceResponse:  # noqa: ANN401, N802
        if self.code:
            context.abort(self.code, "not now")
        self.metadata = dict(context.invocation_metadata())
        self.requests.append(request)
        response = ExportLogsServiceResponse()
        response.partial_success.rejected_log_records = self.refused
        response.partial_success.error_message = "too old" if self.refused else ""
        return response


@contextmanager
def grpc_collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    collector = Collector()
    add_LogsServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def http_collector(statuses: list[int]) -> Iterator[tuple[list[tuple[str, Any, bytes]], str]]:
    """Answer with `statuses` one by one, then with 204, as Loki does."""
    seen: list[tuple[str, Any, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers, gzip.decompress(content)))
            status = statuses.pop(0) if statuses else 204
            self.send_response(status)
            self.send_header("Retry-After", "120")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield seen, f"http://127.0.0.1:{server.server_port}/otlp"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


REQUEST = render(sample(), "otlp")
assert isinstance(REQUEST, bytes)


def test_grpc_sends_the_report_with_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGS_TOKEN", "Bearer x")
    with grpc_collector() as (collector, endpoint):
        options = OtlpSettings(endpoint=endpoint, headers_env={"Authorization": "LOGS_TOKEN"})
        assert publish(REQUEST, Outbox(tmp_path, options), NOW) == Flushed(1, 0, ())
    assert collector.requests[0].SerializeToString() == REQUEST
    assert collector.metadata["authorization"] == "Bearer x"
    assert list(tmp_path.iterdir()) == []


def test_http_sends_the_report_to_loki_s_path(tmp_path: Path) -> None:
    with http_collector([]) as (seen, endpoint):
        options = OtlpSettings(endpoint=endpoint, protocol="http")
        assert publish(REQUEST, Outbox(tmp_path, options), NOW) == Flushed(1, 0, ())
    path, headers, content = seen[0]
    assert (path, content) == ("/otlp/v1/logs", REQUEST)
    assert headers["Content-Type"] == "application/x-protobuf"


def test_what_cannot_be_sent_waits_over_a_restart(tmp_path: Path) -> None:
    with grpc_collector() as (collector, endpoint):
        options = OtlpSettings(endpoint=endpoint)
        collector.code = grpc.StatusCode.UNAVAILABLE
        first = publish(REQUEST, Outbox(tmp_path, options), NOW)
        assert (first.sent, first.waiting, first.failures[0].tries) == (0, 1, 1)
        assert first.failures[0].error.endswith("UNAVAILABLE: not now")
        collector.code = None
        again = Outbox(tmp_path, options)
        assert again.flush(NOW) == Flushed(0, 1, ())
        assert again.flush(NOW + timedelta(seconds=5)) == Flushed(1, 0, ())
    assert collector.requests[0].SerializeToString() == REQUEST


def test_a_server_that_is_not_there_is_an_error_not_a_crash(tmp_path: Path) -> None:
    for protocol in ("grpc", "http"):
        endpoint = "http://127.0.0.1:1"
        options = OtlpSettings(endpoint=endpoint, protocol=protocol, timeout_seconds=5)
        flushed = publish(REQUEST, Outbox(tmp_path / protocol, options), NOW)
        assert (flushed.sent, flushed.waiting, flushed.failures[0].dead) == (0, 1, False)


def test_a_missing_secret_is_an_error_and_the_report_waits(tmp_path: Path) -> None:
    options = OtlpSettings(endpoint="localhost:1", headers_env={"authorization": "NO_SUCH_VAR"})
    flushed = publish(REQUEST, Outbox(tmp_path, options), NOW)
    assert "the environment variable NO_SUCH_VAR is not set" in flushed.failures[0].error
    assert flushed.waiting == 1


def test_retry_after_is_kept(tmp_path: Path) -> None:
    with http_collector([503]) as (_, endpoint):
        outbox = Outbox(tmp_path, OtlpSettings(endpoint=endpoint, protocol="http"))
        assert publish(REQUEST, outbox, NOW).waiting == 1
        assert outbox.flush(NOW + timedelta(seconds=119)) == Flushed(0, 1, ())
        assert outbox.flush(NOW + timedelta(seconds=125)) == Flushed(1, 0, ())


def test_a_bad_request_is_put_aside_at_once(tmp_path: Path) -> None:
    with http_collector([400]) as (_, endpoint):
        outbox = Outbox(tmp_path, OtlpSettings(endpoint=endpoint, protocol="http"))
        flushed = publish(REQUEST, outbox, NOW)
    assert (flushed.waiting, flushed.failures[0].dead) == (0, True)
    assert next((tmp_path / "dead").iterdir()).read_bytes() == REQUEST


def test_refused_records_are_told_and_not_repeated(tmp_path: Path) -> None:
    with grpc_collector() as (collector, endpoint):
        collector.refused = 2
        flushed = publish(REQUEST, Outbox(tmp_path, OtlpSettings(endpoint=endpoint)), NOW)
    assert flushed.failures[0].error == f"{endpoint}: 2 log records refused: too old"
    assert flushed.failures[0].dead


def test_tries_end_and_waits_grow_with_jitter_up_to_a_limit(tmp_path: Path) -> None:
    with grpc_collector() as (collector, endpoint):
        collector.code = grpc.StatusCode.INTERNAL
        options = OtlpSettings(
            endpoint=endpoint, max_tries=8, first_wait_seconds=10, longest_wait_seconds=100
        )
        outbox = Outbox(tmp_path, options)
        outbox.put(REQUEST)
        now, waits = NOW, []
        for _ in range(7):
            assert outbox.flush(now).waiting == 1
            due = int(next(tmp_path.glob("*.binpb")).name.split(".")[2])
            waits.append(due - now.timestamp())
            now += timedelta(seconds=waits[-1])
        last = outbox.flush(now)
    assert [failure.dead for failure in last.failures] == [True]
    for wait, full in zip(waits, (10, 20, 40, 80, 100, 100, 100), strict=True):
        assert full / 2 <= wait <= full + 1


def test_a_server_that_is_away_for_long_gets_it_all_the_same(tmp_path: Path) -> None:
    with grpc_collector() as (collector, endpoint):
        collector.code = grpc.StatusCode.UNAVAILABLE
        outbox = Outbox(tmp_path, OtlpSettings(endpoint=endpoint, max_tries=2))
        outbox.put(REQUEST)
        for hours in range(5):
            assert outbox.flush(NOW + timedelta(hours=hours)).waiting == 1
        collector.code = None
        assert outbox.flush(NOW + timedelta(hours=9)) == Flushed(1, 0, ())


def test_a_request_that_another_process_sent_is_no_failure(tmp_path: Path) -> None:
    def steal(request: bytes, _: OtlpSettings) -> Sent:
        next(tmp_path.glob("*.binpb")).unlink()
        return Sent() if request else Sent("empty")

    outbox = Outbox(tmp_path, OtlpSettings(endpoint="localhost:1"), send=steal)
    assert publish(REQUEST, outbox, NOW) == Flushed(1, 0, ())


def test_a_failure_is_one_line_for_a_log(tmp_path: Path) -> None:
    def refuse(request: bytes, _: OtlpSettings) -> Sent:
        return Sent(f"{len(request)} bytes\nlevel=error forged\x1b[31m")

    outbox = Outbox(tmp_path, OtlpSettings(endpoint="localhost:1"), send=refuse)
    (failure,) = publish(REQUEST, outbox, NOW).failures
    assert str(failure).isprintable()
    assert "not sent at try 1, will be sent again" in str(failure)


def test_the_same_request_twice_is_kept_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, OtlpSettings(endpoint="localhost:1"))
    assert outbox.put(REQUEST) == outbox.put(REQUEST)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("endpoint", ["file:///etc/passwd", "", "ftp://x"])
def test_an_endpoint_is_an_address(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="expected an address"):
        OtlpSettings(endpoint=endpoint)


def test_requests_are_sent_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    sent: list[bytes] = []
    down = True

    def log_store(request: bytes, _: OtlpSettings) -> Sent:
        if down:
            return Sent("not there")
        sent.append(request)
        return Sent()

    outbox = Outbox(tmp_path, OtlpSettings(endpoint="localhost:1"), send=log_store)
    requests = [b"%d" % number for number in range(9)]
    for place, request in enumerate(requests):
        name = outbox.put(request)
        os.utime(tmp_path / f"{name}.0.0.binpb", (place, place))
    first = outbox.flush(NOW)
    assert (first.waiting, len(first.failures)) == (9, 1)
    down = False
    assert outbox.flush(NOW) == Flushed(0, 9, ())
    assert outbox.flush(NOW + timedelta(minutes=1)) == Flushed(9, 0, ())
    assert sent == requests


def test_what_is_put_aside_holds_up_nothing(tmp_path: Path) -> None:
    def picky(request: bytes, _: OtlpSettings) -> Sent:
        return Sent("bad", retry=False) if request == b"0" else Sent()

    outbox = Outbox(tmp_path, OtlpSettings(endpoint="localhost:1"), send=picky)
    for request in (b"0", b"1", b"2"):
        outbox.put(request)
    flushed = outbox.flush(NOW)
    assert (flushed.sent, flushed.waiting, len(flushed.failures)) == (2, 0, 1)

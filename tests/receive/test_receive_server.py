"""The server around the methods: health, address, TLS, Annotate, shutdown, counters."""

import asyncio
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError

from evalspan.receive import Counters, ListenError, ReceiveSettings, publish

Start = Callable[..., Any]
Until = Callable[[Callable[[], bool]], Any]
Code = grpc.StatusCode


async def test_health(start: Start) -> None:
    receiver = await start(shutdown_grace="5m")
    async with grpc.aio.insecure_channel(receiver.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "opentelemetry.proto.collector.trace.v1.TraceService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        # one who only watches is told, and does not hold up the end
        async with asyncio.timeout(60):
            await receiver.finish()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_second_sidecar_on_the_same_port_is_told_what_to_do(start: Start) -> None:
    receiver = await start()
    with pytest.raises(ListenError, match=r"receive\.listen") as caught:
        await start(listen=receiver.address)
    assert receiver.address in str(caught.value)


async def test_shutdown_finishes_what_was_accepted(start: Start, until: Until) -> None:
    for _ in range(30):  # an answer that is lost together with its connection is lost by chance
        on_disk: Future[int] = Future()
        receiver = await start(append=lambda *_, on_disk=on_disk: on_disk)
        calls = [asyncio.ensure_future(receiver.call("trace", b"x")) for _ in range(50)]
        await until(lambda receiver=receiver: len(receiver.stored) == 50)
        receiver.stop.set()
        late = await receiver.refusal("trace", b"late")
        assert (late.code(), late.details()) == (Code.UNAVAILABLE, "evalspan: shutting down")
        assert not any(call.done() for call in calls)
        on_disk.set_result(1)
        assert await asyncio.gather(*calls) == [b""] * 50
        await receiver.finish()
        assert receiver.counters.rejected == {("traces", "stopping"): 1}
        assert not_reachable(receiver.counters.port)


def not_reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_shutdown_does_not_wait_for_ever(start: Start, until: Until) -> None:
    receiver = await start(append=lambda *_: Future(), shutdown_grace="200ms")
    call = asyncio.ensure_future(receiver.refusal("trace", b"x"))
    await until(lambda: bool(receiver.stored))
    async with asyncio.timeout(10):
        await receiver.finish()
        assert (await call).code() in {Code.UNAVAILABLE, Code.CANCELLED}


async def test_annotate_answers_and_stores_nothing(start: Start) -> None:
    receiver = await start(annotate=lambda request: b"<" + request + b">")
    assert await receiver.call("annotate", b"spans") == b"<spans>"
    assert receiver.stored == []
    assert receiver.counters.snapshot()["annotated"] == 1


async def test_annotate_without_inline_checks_is_unimplemented(start: Start) -> None:
    refusal = await (await start()).refusal("annotate", b"spans")
    assert refusal.code() is Code.UNIMPLEMENTED
    assert "inline: true" in (refusal.details() or "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DecodeError("bad"), Code.INVALID_ARGUMENT),
        (ValueError("bad"), Code.INVALID_ARGUMENT),
        (RuntimeError("secret of a span"), Code.UNAVAILABLE),
        (SystemExit(3), Code.UNAVAILABLE),
    ],
)
async def test_annotate_that_fails(start: Start, error: BaseException, code: Code) -> None:
    def fail(_: bytes) -> bytes:
        raise error

    receiver = await start(annotate=fail)
    for _ in range(5):  # the threads live on
        refusal = await receiver.refusal("annotate", b"x")
        assert refusal.code() is code
        assert "secret" not in (refusal.details() or "")


async def test_annotate_that_hangs_costs_its_deadline_and_no_more(start: Start) -> None:
    release = threading.Event()

    def hang(_: bytes) -> bytes:
        release.wait(30)
        return b""

    receiver = await start(
        annotate=hang, annotate_deadline="100ms", annotate_threads=1, annotate_waiting=1
    )
    first, second, third = await asyncio.gather(
        *(receiver.refusal("annotate", b"x") for _ in range(3))
    )
    assert {first.code(), second.code(), third.code()} == {Code.UNAVAILABLE}
    assert receiver.counters.snapshot()["rejected"] == {"annotate": {"busy": 1, "deadline": 2}}
    assert await receiver.call("trace", b"x") == b"", "export does not notice"
    release.set()

    for _ in range(500):  # the hung thread comes back and works again
        try:
            assert await receiver.call("annotate", b"x") == b""
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.01)
        else:
            break
    assert receiver.counters.annotated == 1


def certificate(directory: Path) -> tuple[Path, Path]:
    key, chain = directory / "key.pem", directory / "chain.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(key)]
    command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(chain)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, chain


async def test_tls(start: Start, tmp_path: Path) -> None:
    key, chain = certificate(tmp_path)
    receiver = await start(tls_certificate=chain, tls_key=key)
    assert (await receiver.refusal("trace", b"x")).code() is Code.UNAVAILABLE
    credentials = grpc.ssl_channel_credentials(chain.read_bytes())
    address = f"localhost:{receiver.counters.port}"
    async with grpc.aio.secure_channel(address, credentials) as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        assert await method(b"x", timeout=10) == b""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tls_key": "key.pem"}, "belong together"),
        ({"tls_client_ca": "ca.pem"}, "needs tls_certificate"),
        ({"max_message_mib": 64, "max_in_flight_mib": 32}, "must hold at least one message"),
        ({"listen": "4317"}, "pattern"),
        ({"read_timeout": "fast"}, "expected a duration"),
        ({"max_mesage_mib": 1}, "max_mesage_mib"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ReceiveSettings.model_validate(wrong)


async def test_the_counters_file_is_always_whole(tmp_path: Path, until: Until) -> None:
    path, stop = tmp_path / "run" / "receiver.json", asyncio.Event()
    counters = Counters(gauges={"wal_bytes": lambda: 42.0})
    task = asyncio.ensure_future(publish(counters, path, stop, every_seconds=0.01))
    await until(path.exists)
    for number in range(100):
        counters.requests["traces"] = number
        assert json.loads(path.read_text())["gauges"] == {"wal_bytes": 42.0}
        await asyncio.sleep(0)
    stop.set()
    await task
    assert json.loads(path.read_text())["requests"] == {"traces": 99}
    assert [file.name for file in path.parent.iterdir()] == ["receiver.json"]


async def test_a_counters_file_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    counters, stop = Counters(), asyncio.Event()
    stop.set()
    await publish(counters, tmp_path / "run" / "receiver.json", stop)
    assert counters.snapshot()["snapshot_errors"] == 1


def test_latencies_fall_into_their_buckets() -> None:
    counters = Counters()
    for seconds in (0.0005, 0.001, 0.3, 99.0):
        counters.observe_append(seconds)
    append = counters.snapshot()["append_seconds"]
    found = dict(zip([*append["bounds"], "more"], append["buckets"], strict=True))
    assert {bound: count for bound, count in found.items() if count} == {
        0.001: 2,
        0.5: 1,
        "more": 1,
    }
    assert (append["count"], append["sum"]) == (4, pytest.approx(99.3015))


async def test_a_unix_socket_can_be_listened_on(start: Start, tmp_path: Path) -> None:
    receiver = await start(listen=f"unix:{tmp_path}/evalspan.sock")
    assert receiver.counters.port == 0
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/evalspan.sock") as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        assert await export(b"x", timeout=10) == b""

"""Export: what is answered, and when."""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from evalspan.receive._retry import retry_trailer
from evalspan.wal import LogFullError

Start = Callable[..., Any]
Until = Callable[[Callable[[], bool]], Any]
Code = grpc.StatusCode


def retry_info(trailer: Any) -> tuple[Status, RetryInfo]:  # noqa: ANN401 - gRPC's metadata
    status = Status.FromString(dict(trailer)["grpc-status-details-bin"])
    (detail,) = status.details
    info = RetryInfo()
    assert detail.Unpack(info)
    return status, info


def refuse(error: Exception) -> Callable[[str, bytes], "Future[int]"]:
    def append(_: str, __: bytes) -> "Future[int]":
        future: Future[int] = Future()
        future.set_exception(error)
        return future

    return append


@pytest.mark.parametrize("compression", list(grpc.Compression))
async def test_the_bytes_are_stored_as_they_are(
    start: Start, compression: grpc.Compression
) -> None:
    receiver = await start()
    payload = bytes(range(256)) * 300
    assert await receiver.call("trace", payload, compression=compression) == b""
    assert await receiver.call("logs", b"not a request", compression=compression) == b""
    assert await receiver.call("trace", b"", compression=compression) == b""
    assert receiver.stored == [("traces", payload), ("logs", b"not a request"), ("traces", b"")]
    counts = receiver.counters.snapshot()
    assert counts["requests"] == counts["accepted"] == {"traces": 2, "logs": 1}
    assert counts["accepted_bytes"] == {"traces": len(payload), "logs": 13}
    assert counts["rejected"] == {}
    assert counts["append_seconds"]["count"] == 3
    assert (counts["in_flight_requests"], counts["in_flight_bytes"]) == (0, 0)


async def test_ok_comes_after_the_record_is_on_disk(start: Start, until: Until) -> None:
    on_disk: Future[int] = Future()
    receiver = await start(append=lambda *_: on_disk)
    call = asyncio.ensure_future(receiver.call("trace", b"x" * 1000))
    await until(lambda: bool(receiver.stored))
    await asyncio.sleep(0.1)
    assert not call.done()
    assert receiver.counters.snapshot()["in_flight_bytes"] == 1000
    on_disk.set_result(1)
    assert await call == b""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_log_asks_to_come_back(start: Start, number: int) -> None:
    receiver = await start(append=refuse(OSError(number, "no room")), retry_after="7s")
    refusal = await receiver.refusal("trace", b"x")
    assert refusal.code() is Code.RESOURCE_EXHAUSTED
    assert "no room" in (refusal.details() or "")
    status, info = retry_info(refusal.trailing_metadata())
    assert status.code == Code.RESOURCE_EXHAUSTED.value[0]
    assert info.retry_delay.ToTimedelta() == timedelta(seconds=7)
    assert receiver.counters.snapshot()["rejected"] == {"traces": {"log_full": 1}}


async def test_the_logs_own_error_means_full_raised_or_returned(start: Start) -> None:
    full = LogFullError("make room")

    def raises(_: str, __: bytes) -> "Future[int]":
        raise full

    for append in (raises, refuse(full)):
        receiver = await start(append=append)
        assert (await receiver.refusal("logs", b"x")).code() is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "error", [RuntimeError("the disk broke"), OSError(errno.EIO, "bad"), ValueError(), KeyError(1)]
)
async def test_the_unexpected_is_unavailable_and_never_unknown(
    start: Start, error: Exception
) -> None:
    receiver = await start(append=refuse(error))
    refusal = await receiver.refusal("trace", b"x")
    assert refusal.code() is Code.UNAVAILABLE
    assert type(error).__name__ in (refusal.details() or "")
    assert receiver.counters.snapshot()["rejected"] == {"traces": {"error": 1}}


async def test_metrics_are_sent_elsewhere_with_a_word(start: Start) -> None:
    receiver = await start()
    refusal = await receiver.refusal("metrics", b"x")
    assert refusal.code() is Code.UNIMPLEMENTED
    assert "Prometheus" in (refusal.details() or "")
    assert receiver.stored == []


async def test_a_sender_that_went_away_is_stored_and_counted_once(
    start: Start, until: Until
) -> None:
    on_disk: Future[int] = Future()
    receiver = await start(append=lambda *_: on_disk)
    call = asyncio.ensure_future(receiver.call("trace", b"x"))
    await until(lambda: bool(receiver.stored))
    call.cancel()
    await asyncio.wait({call})
    on_disk.set_result(1)
    await until(lambda: receiver.counters.in_flight_requests == 0)
    counts = receiver.counters.snapshot()
    assert (counts["accepted"], counts["rejected"]) == ({"traces": 1}, {})


async def test_many_at_once_are_all_answered(start: Start) -> None:
    receiver = await start(max_in_flight_mib=64)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(receiver.address, options) as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        await asyncio.gather(*(method(b"%d" % n, timeout=30) for n in range(300)))
    assert sorted(receiver.stored) == sorted(("traces", b"%d" % n) for n in range(300))
    assert receiver.counters.in_flight_bytes == 0


@given(st.timedeltas(timedelta(0), timedelta(days=300)), st.text(max_size=300))
def test_the_handwritten_trailer_is_what_google_reads(delay: timedelta, message: str) -> None:
    trailer = retry_trailer(Code.RESOURCE_EXHAUSTED, message, delay)
    status, info = retry_info(trailer)
    assert (status.code, status.message) == (8, message)
    assert info.retry_delay.ToTimedelta() == delay

"""Senders that take their time, and more senders than there is memory for."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from evalspan.receive._budget import Budget, BusyError
from evalspan.receive._counters import Counters
from evalspan.receive._intake import Intake
from evalspan.receive._settings import ReceiveSettings

Start = Callable[..., Any]
Until = Callable[[Callable[[], bool]], Any]
Code = grpc.StatusCode
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


@asynccontextmanager
async def silent_senders(receiver: Any, until: Until, count: int) -> AsyncIterator[None]:  # noqa: ANN401 - the fixture's
    """So many calls that send nothing; when they have hung up, every place is free again."""
    async with grpc.aio.insecure_channel(receiver.address) as channel:
        calls = [channel.stream_unary(EXPORT)(never()) for _ in range(count)]
        await until(lambda: receiver.counters.requests["traces"] == count)
        yield
        for call in calls:
            call.cancel()
    await until(lambda: receiver.counters.in_flight_requests == 0)
    assert receiver.counters.in_flight_bytes == 0


async def test_a_sender_that_sends_nothing_gives_its_place_back(start: Start) -> None:
    receiver = await start(read_timeout="100ms", max_message_mib=1, max_in_flight_mib=1)
    async with grpc.aio.insecure_channel(receiver.address) as channel:
        silent = channel.stream_unary(EXPORT)(never())
        assert await silent.code() is Code.UNAVAILABLE
    assert await receiver.call("trace", b"x") == b""
    assert receiver.counters.snapshot()["rejected"] == {"traces": {"slow_sender": 1}}


async def test_a_sender_that_hangs_up_gives_its_place_back(start: Start, until: Until) -> None:
    receiver = await start(max_message_mib=1, max_in_flight_mib=1)
    async with grpc.aio.insecure_channel(receiver.address) as channel:
        silent = channel.stream_unary(EXPORT)(never())
        await until(lambda: receiver.counters.in_flight_bytes == 2**20)
        silent.cancel()
        await until(lambda: receiver.counters.in_flight_requests == 0)
    assert await receiver.call("trace", b"x") == b""
    rejected = receiver.counters.snapshot()["rejected"]["traces"]
    assert sum(rejected.values()) == 1


async def test_beyond_the_memory_senders_wait_and_are_then_told_to_retry(
    start: Start, until: Until
) -> None:
    on_disk: Future[int] = Future()
    receiver = await start(
        append=lambda *_: on_disk, max_message_mib=1, max_in_flight_mib=1, busy_wait="200ms"
    )
    first = asyncio.ensure_future(receiver.call("trace", b"x"))
    await until(lambda: bool(receiver.stored))
    refusal = await receiver.refusal("trace", b"y")
    assert refusal.code() is Code.RESOURCE_EXHAUSTED
    assert "max_in_flight_mib" in (refusal.details() or "")
    assert "grpc-status-details-bin" in dict(refusal.trailing_metadata() or ())
    on_disk.set_result(1)
    assert await first == b""
    assert receiver.counters.snapshot()["rejected"] == {"traces": {"busy": 1}}


async def test_senders_that_send_nothing_lock_nobody_out(start: Start, until: Until) -> None:
    receiver = await start(
        read_timeout="60s",
        crowded_read_timeout="50ms",
        busy_wait="30s",
        max_message_mib=1,
        max_in_flight_mib=8,
    )
    async with silent_senders(receiver, until, 8):
        assert await receiver.call("trace", b"x") == b""
        assert receiver.counters.rejected == {("traces", "slow_sender"): 1}, "one place was enough"


async def test_more_silent_senders_than_places_pass_by_one_another(
    start: Start, until: Until
) -> None:
    receiver = await start(
        read_timeout="60s",
        crowded_read_timeout="20ms",
        busy_wait="30s",
        max_message_mib=1,
        max_in_flight_mib=2,
    )
    async with silent_senders(receiver, until, 20):
        answers = await asyncio.gather(*(receiver.call("trace", b"x") for _ in range(5)))
        assert answers == [b""] * 5


@pytest.mark.parametrize("own_connection", [True, False])
async def test_an_honest_sender_has_its_turn_among_many_that_send_nothing(
    start: Start, until: Until, *, own_connection: bool
) -> None:
    receiver = await start(
        read_timeout="60s",
        crowded_read_timeout="60s",
        busy_wait="3s",
        max_message_mib=1,
        max_in_flight_mib=8,
    )
    codes: Counter[Code] = Counter()

    async def silent(channel: grpc.aio.Channel) -> None:
        while True:  # it comes back at once, whatever it is asked
            codes[await channel.stream_unary(EXPORT)(never()).code()] += 1

    async def honest(channel: grpc.aio.Channel) -> bool:
        """Whether it is served when it comes back a few times, as a Collector does."""
        for _ in range(5):
            with suppress(grpc.aio.AioRpcError):
                return bool(await channel.unary_unary(EXPORT)(b"x") == b"")
        return False

    apart = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        grpc.aio.insecure_channel(receiver.address) as channel,
        grpc.aio.insecure_channel(receiver.address, apart) as own,
    ):
        crowd = [asyncio.ensure_future(silent(channel)) for _ in range(200)]
        await until(lambda: receiver.counters.in_flight_requests == 200)
        served = [await honest(own if own_connection else channel) for _ in range(3)]
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)
    assert all(served), "it has the address of all the others"
    assert set(codes) <= {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED}, "it is told to come back"
    await until(lambda: receiver.counters.in_flight_requests == 0)
    assert receiver.counters.accepted["traces"] == 3
    assert receiver.counters.rejected["traces", "slow_sender"] > 0
    assert receiver.counters.in_flight_bytes == 0


async def test_a_slow_sender_has_its_whole_time_while_nobody_waits(start: Start) -> None:
    receiver = await start(
        read_timeout="60s", crowded_read_timeout="1ms", max_message_mib=1, max_in_flight_mib=2
    )

    async def slowly() -> AsyncIterator[bytes]:
        assert await receiver.call("trace", b"x") == b""  # there is a second place
        yield b"y"

    async with grpc.aio.insecure_channel(receiver.address) as channel:
        assert await channel.stream_unary(EXPORT)(slowly()) == b""
    assert not receiver.counters.rejected


async def test_the_budget_is_first_come_first_served_and_never_overdrawn() -> None:
    counters = Counters()
    budget = Budget(10, counters)
    order: list[int] = []

    async def take(name: int, size: int) -> None:
        await budget.reserve(size, 10)
        order.append(name)
        assert counters.in_flight_bytes <= 10
        await asyncio.sleep(0)
        budget.release(size)

    sizes = [6, 6, 1, 10, 3, 3, 3, 1]
    await asyncio.gather(*(take(name, size) for name, size in enumerate(sizes)))
    assert order == list(range(len(sizes)))
    assert counters.in_flight_bytes == 0


async def test_who_gives_up_waiting_takes_nothing_with_him() -> None:
    counters = Counters()
    budget = Budget(10, counters)
    await budget.reserve(10, 1)
    waiting = [asyncio.ensure_future(budget.reserve(10, 0.01)) for _ in range(3)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [BusyError] * 3
    cancelled = asyncio.ensure_future(budget.reserve(4, 10))
    await asyncio.sleep(0)
    budget.release(10)  # it is its turn in the moment in which it is cancelled
    cancelled.cancel()
    await asyncio.wait({cancelled})
    assert counters.in_flight_bytes == 0
    await budget.reserve(10, 0.01)


class SlowNetwork:
    """A call whose answer has not left yet when its method returns."""

    def __init__(self) -> None:
        self.sent: list[Callable[[object], None]] = []

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self.sent.append(callback)

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    async def read(self) -> bytes:
        return b"x"


async def test_the_end_waits_for_answers_to_leave() -> None:
    intake = Intake(ReceiveSettings(), Counters())
    call: Any = SlowNetwork()

    async def work(_: bytes) -> bytes:
        return b"done"

    assert await intake.answer("traces", call, work) == b"done"
    idle = asyncio.ensure_future(intake.idle())
    await asyncio.sleep(0.05)
    assert not idle.done()
    call.sent[0](call)
    async with asyncio.timeout(10):
        await idle

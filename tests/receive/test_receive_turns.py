"""Many connections that send nothing: addresses take turns, and too many are not kept waiting."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as some

from evalspan.receive._budget import Budget, BusyError
from evalspan.receive._counters import Counters
from evalspan.receive._intake import Intake
from evalspan.receive._settings import ReceiveSettings
from evalspan.receive._turns import Turn, Turns, address_of

Start = Callable[..., Any]
Until = Callable[[Callable[[], bool]], Any]
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
APART = [("grpc.use_local_subchannel_pool", 1)]


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def another_host(port: int) -> AsyncIterator[str]:
    """An address that leads to the receiver, which sees who uses it as another host."""
    tasks: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        tasks.add(asyncio.ensure_future(pass_on(there[0], writer)))
        tasks.add(asyncio.ensure_future(pass_on(reader, there[1])))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_many_connections_of_one_host_are_not_in_the_way_of_another(
    start: Start, until: Until
) -> None:
    on_disk: Future[int] = Future()
    receiver = await start(
        append=lambda *_: on_disk,
        read_timeout="60s",
        crowded_read_timeout="20ms",
        busy_wait="1h",
        max_message_mib=1,
        max_in_flight_mib=1,
    )

    async def waiting(count: int) -> None:
        await until(lambda: receiver.counters.in_flight_requests == 1 + count)

    first = asyncio.ensure_future(receiver.call("trace", bytes(2**20)))
    await until(lambda: bool(receiver.stored))  # it has the only place until it is on disk
    async with AsyncExitStack() as held:
        host = await held.enter_async_context(another_host(receiver.counters.port))
        own = await held.enter_async_context(grpc.aio.insecure_channel(host, APART))
        channels = [
            await held.enter_async_context(grpc.aio.insecure_channel(receiver.address, APART))
            for _ in range(40)
        ]
        crowd = [channel.stream_unary(EXPORT)(never()) for channel in channels * 2]
        await waiting(len(crowd))
        honest = own.unary_unary(EXPORT)(b"x", timeout=30)
        await waiting(len(crowd) + 1)
        on_disk.set_result(1)
        assert await honest == b""
        assert receiver.counters.rejected["traces", "slow_sender"] < 10, "it was the second"
        for call in crowd:
            call.cancel()
    assert await first == b""
    await until(lambda: receiver.counters.in_flight_requests == 0)
    assert receiver.counters.in_flight_bytes == 0


class Silent:
    """A call whose message never comes."""

    def add_done_callback(self, _: Callable[[object], None]) -> None:
        pass

    def peer(self) -> str:
        return "ipv4:192.0.2.1:1"

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        raise PermissionError(code.name)


async def test_more_than_can_have_their_turn_in_time_are_refused_at_once() -> None:
    settings = {"busy_wait": "2s", "max_message_mib": 1, "max_in_flight_mib": 1}
    counters = Counters()
    intake = Intake(ReceiveSettings.model_validate(settings), counters)
    call: Any = Silent()

    async def work(_: bytes) -> bytes:
        raise AssertionError

    calls = [asyncio.ensure_future(intake.answer("traces", call, work)) for _ in range(1501)]
    done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    assert {str(task.exception()) for task in done} == {"RESOURCE_EXHAUSTED"}
    assert counters.rejected["traces", "busy"] == 500, "1 reads, 1000 wait"
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert sum(counters.rejected.values()) == counters.requests["traces"] == 1501
    assert counters.in_flight_bytes == counters.in_flight_requests == 0


async def test_who_gives_up_just_when_it_is_its_turn_loses_no_place() -> None:
    counters = Counters()
    budget = Budget(2, counters, most_waiting=lambda: 2)
    await budget.reserve(2, 10)
    waiting = [asyncio.ensure_future(budget.reserve(1, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.sleep(0)  # they have given up, and are still in the line
    budget.release(2)
    await asyncio.wait({*waiting, asyncio.ensure_future(budget.reserve(2, 10))})
    assert all(task.cancelled() for task in waiting)
    assert (counters.in_flight_bytes, budget.waiting) == (2, 0)


async def test_many_requests_of_a_proxy_at_once_are_all_served(start: Start) -> None:
    receiver = await start(max_message_mib=1, max_in_flight_mib=1)
    async with grpc.aio.insecure_channel(receiver.address) as channel:
        call = channel.unary_unary(EXPORT)
        answers = await asyncio.gather(*(call(b"x", timeout=30) for _ in range(300)))
    assert answers == [b""] * 300
    assert not receiver.counters.rejected


async def order_of(peers: list[str], holder: str = "unix:") -> list[str]:
    """In which order they are served when all of them wait for the place of `holder`."""
    budget = Budget(1, Counters())
    await budget.reserve(1, 10, holder)
    order: list[str] = []

    async def take(peer: str) -> None:
        await budget.reserve(1, 10, peer)
        order.append(peer)
        budget.release(1)

    waiting = [asyncio.ensure_future(take(peer)) for peer in peers]
    await asyncio.sleep(0)
    assert budget.waiting == len(peers)
    budget.release(1)
    await asyncio.gather(*waiting)
    assert sorted(order) == sorted(peers)
    assert budget.waiting == 0
    return order


async def test_a_peer_that_asks_often_is_not_in_the_way_of_the_others() -> None:
    order = await order_of([*["crowd"] * 50, "one", "two", "one"], holder="crowd")
    assert order[:6] == ["crowd", "one", "two", "crowd", "one", "crowd"]


async def test_addresses_take_turns_and_of_each_its_connections() -> None:
    crowd = [f"ipv4:192.0.2.1:{port}" for port in range(1, 51)]
    peers = [*crowd, crowd[0], "ipv4:192.0.2.2:7", "ipv6:%5B2001:db8::1%5D:7", "ipv4:192.0.2.2:7"]
    order = await order_of(peers)
    assert order[:6] == [
        crowd[0], "ipv4:192.0.2.2:7", "ipv6:%5B2001:db8::1%5D:7",
        crowd[1], "ipv4:192.0.2.2:7", crowd[2],
    ]  # fmt: skip
    assert order[-1] == crowd[0], "its second one is behind the first ones of the others"
    assert sorted(order) == sorted(peers)


async def test_who_asks_most_is_sent_away_when_too_many_wait() -> None:
    counters = Counters()
    budget = Budget(1, counters, most_waiting=lambda: 4)
    await budget.reserve(1, 10, "ipv4:192.0.2.1:1")
    peers = [
        *["ipv4:192.0.2.1:1", "ipv4:192.0.2.1:2", "ipv4:192.0.2.1:1", "ipv4:192.0.2.1:1"],
        *["ipv4:192.0.2.2:1", "ipv4:192.0.2.1:2", "ipv4:192.0.2.1:3"],
    ]
    waiting = [asyncio.ensure_future(budget.reserve(1, 1000, peer)) for peer in peers]
    done, _ = await asyncio.wait(waiting, timeout=0.05)
    assert [number for number, task in enumerate(waiting) if task in done] == [2, 3, 5]
    assert [type(task.exception()) for task in done] == [BusyError] * 3
    for _ in range(4):
        budget.release(1)
        await asyncio.sleep(0)
    budget.release(1)
    await asyncio.gather(*(task for task in waiting if task not in done))
    assert counters.in_flight_bytes == 0


async def test_nobody_waits_where_nobody_may() -> None:
    budget = Budget(1, Counters(), most_waiting=lambda: 0)
    await budget.reserve(1, 10)
    with pytest.raises(BusyError):
        await budget.reserve(1, 1000)
    assert budget.waiting == 0


@given(some.lists(some.tuples(some.integers(0, 3), some.integers(0, 3)), max_size=40), some.data())
def test_turns_are_fair_and_lose_nobody(
    peers: list[tuple[int, int]], data: some.DataObject
) -> None:
    turns = Turns()
    left: list[Turn] = []
    loop = asyncio.new_event_loop()
    try:
        for host, port in peers:
            left.append(Turn(f"ipv4:192.0.2.{host}:{port}", 1, loop.create_future()))
            turns.add(left[-1])
    finally:
        loop.close()
    while left:
        before = Counter(address_of(turn.peer) for turn in left)
        how = data.draw(some.sampled_from(["take", "take_excess", "remove"]))
        if how == "remove":
            gone = data.draw(some.sampled_from(left))
            turns.remove(gone)
        else:
            gone = getattr(turns, how)()
        if how == "take_excess":
            assert before[address_of(gone.peer)] == max(before.values())
        left.remove(gone)
        assert turns.waiting == len(left)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4000", "ipv4:192.0.2.1"),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:4000", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2:ffff::4%5D:5000", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4000", "fe80::/64"),
        ("unix:", "unix"),
    ],
)
def test_the_address_of_a_peer_is_its_host(peer: str, address: str) -> None:
    assert address_of(peer) == address

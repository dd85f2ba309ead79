"""A receiver over a log in memory, started as often as a test likes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from evalspan.receive import Counters, ReceiveSettings, serve


def accept(_: str, __: bytes) -> "Future[int]":
    future: Future[int] = Future()
    future.set_result(1)
    return future


@dataclass
class Receiver:
    """A running receiver and what it stored."""

    counters: Counters
    stop: asyncio.Event
    stored: list[tuple[str, bytes]] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.counters.port}"

    async def finish(self) -> None:
        self.stop.set()
        if self.task:
            await self.task

    async def call(self, service: str, payload: bytes, **how: Any) -> bytes:  # noqa: ANN401 - gRPC's own options
        method = {"annotate": "evalspan.v1.EvaluationService/Annotate"}.get(
            service,
            f"opentelemetry.proto.collector.{service}.v1.{service.capitalize()}Service/Export",
        )
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(self.address, options) as channel:
            reply: bytes = await channel.unary_unary(f"/{method}")(payload, timeout=30, **how)
            return reply

    async def refusal(self, service: str, payload: bytes, **how: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - as above
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(service, payload, **how)
        return caught.value


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(append=..., annotate=..., counters=..., **settings)` gives a `Receiver`."""
    running: list[Receiver] = []

    async def begin(
        append: Callable[[str, bytes], "Future[int]"] = accept,
        annotate: Callable[[bytes], bytes] | None = None,
        **settings: Any,  # noqa: ANN401 - whatever the setting takes
    ) -> Receiver:
        receiver = Receiver(Counters(), asyncio.Event())

        def store(signal: str, payload: bytes) -> "Future[int]":
            receiver.stored.append((signal, payload))
            return append(signal, payload)

        up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        receiver.task = asyncio.ensure_future(
            serve(
                ReceiveSettings.model_validate({"listen": "127.0.0.1:0", **settings}),
                store,
                annotate,
                receiver.counters,
                receiver.stop,
                listening=up.set_result,
            )
        )
        await asyncio.wait({up, receiver.task}, return_when=asyncio.FIRST_COMPLETED)
        if receiver.task.done():
            await receiver.task
        running.append(receiver)
        return receiver

    yield begin
    for receiver in running:
        await receiver.finish()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Any]:
    """`await until(condition)` waits for it, ten seconds at most."""

    async def wait(condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.01)
        pytest.fail("the condition was not met within ten seconds")

    return wait

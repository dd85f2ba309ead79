"""What was answered OK is readable after kill -9 at any moment."""

import asyncio
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import grpc

from evalspan import wal

PROGRAM = Path(__file__).with_name("receiver_program.py")
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
KILLS = 5
SENDERS = 8


async def start(folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(30):
        return process, int(await process.stdout.readline())


async def send(channel: grpc.aio.Channel, name: str, acknowledged: list[bytes]) -> None:
    """Send numbered requests until the receiver is gone."""
    export = channel.unary_unary(EXPORT)
    for number in range(100_000):
        payload = f"{name}/{number}/".encode() * (1 + number % 50)
        try:
            await export(payload, timeout=30)
        except grpc.aio.AioRpcError:
            return
        acknowledged.append(payload)


async def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    moments = random.Random(7)  # noqa: S311 - the same moments in every run
    acknowledged: list[bytes] = []
    for kill in range(KILLS):
        process, port = await start(tmp_path)
        before = len(acknowledged)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            senders = [
                asyncio.ensure_future(send(channel, f"{kill}/{sender}", acknowledged))
                for sender in range(SENDERS)
            ]
            wanted = before + moments.randrange(20, 400)
            async with asyncio.timeout(60):
                while len(acknowledged) < wanted:  # noqa: ASYNC110 - a number, not an event
                    await asyncio.sleep(0.001)
            process.kill()
            assert await process.wait() == -signal.SIGKILL
            await asyncio.gather(*senders)
    process, _ = await start(tmp_path)
    process.terminate()
    assert await process.wait() == 0
    segments = wal.segments(tmp_path / "wal")
    stored = Counter(record.payload for segment in segments for record in wal.read(segment))
    assert set(acknowledged) <= set(stored)
    assert set(stored.values()) == {1}
    assert len(stored) - len(acknowledged) <= KILLS * SENDERS, "only those in flight are extra"
    times = [wal.close_time(segment) for segment in segments]
    assert times == sorted(times)

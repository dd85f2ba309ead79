"""A Collector with the durable config loses nothing that it answered with OK when it is killed."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import grpc
import pytest
from collector_runs import Collector, config
from otlp_stub import OtlpClient, OtlpStub
from processes import wait_for

pytestmark = pytest.mark.stack

Run = Callable[..., Collector]

DURABLE = config("collector-durable.yaml")
SPANS_A_REQUEST = 20
KILLS = 3


def start(run: Run) -> Collector:
    return run(DURABLE)


def send_until_refused(collector: Collector, numbers: Iterator[int], most: int) -> list[str]:
    """Send numbered spans; returns the names of those that were answered with OK."""
    accepted: list[str] = []
    with OtlpClient(collector.endpoint) as client:
        for number in (next(numbers) for _ in range(most)):
            names = [f"span {number}.{part}" for part in range(SPANS_A_REQUEST)]
            try:
                client.send_spans(*names, padding=200)
            except grpc.RpcError:
                return accepted
            accepted += names
    return accepted


def test_what_waits_on_disk_arrives_after_a_kill(run: Run, sidecar: OtlpStub) -> None:
    sidecar.down = True
    collector = start(run)
    accepted = send_until_refused(collector, count(), most=50)
    assert len(accepted) == 50 * SPANS_A_REQUEST
    collector.kill()
    assert not sidecar.spans

    sidecar.down = False
    start(run)
    wait_for(lambda: set(accepted) == set(sidecar.spans), "every accepted span arrives")


def test_kills_at_random_moments_lose_nothing(run: Run, sidecar: OtlpStub) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    numbers = count()
    accepted: set[str] = set()
    for _ in range(KILLS):
        collector = start(run)
        with ThreadPoolExecutor(2) as senders:
            sent = [
                senders.submit(send_until_refused, collector, numbers, 100_000) for _ in range(2)
            ]
            time.sleep(chance.uniform(0.3, 0.8))  # the moment of the kill, not a wait
            sidecar.down = chance.random() < 0.5
            collector.kill()
            accepted |= {name for one in sent for name in one.result()}
    assert accepted
    sidecar.down = False
    start(run)
    wait_for(lambda: accepted <= set(sidecar.spans), "every accepted span arrives")

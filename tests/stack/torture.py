"""Feed numbered spans through the real Collector while parts of the way are killed."""

import os
import random
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from processes import Process, wait_for

from evalspan.testing import plain_span, request, span

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SENDERS = 4
TRACES_PER_REQUEST = 5
REQUESTS_PER_SECOND = 40
SPANS_PER_TRACE = 3
CALL_SECONDS = 10.0
LAST_SECONDS = 120.0
PARTS = ("receive", "pipeline")


def batch(number: int) -> ExportTraceServiceRequest:
    """Return request `number`: traces of one plain span and two model calls, all numbered."""
    spans = []
    now = time.time_ns()
    for trace in range(number * TRACES_PER_REQUEST, (number + 1) * TRACES_PER_REQUEST):
        first = trace * SPANS_PER_TRACE + 1
        spans.append(plain_span("answer", number=first, trace=trace + 1, start_unix_nano=now))
        spans += [
            span(number=n, trace=trace + 1, parent=first, start_unix_nano=now)
            for n in (first + 1, first + 2)
        ]
    return request(spans, scope="shop", resource={"service.name": "torture"})


class Senders:
    """Apps that send each request until it is told OK; their threads run in the block."""

    def __init__(self, address: str) -> None:
        """Nothing is sent before the block is entered."""
        self.requests = 0
        self.repeated = 0
        self._address = address
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(SENDERS)
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        """Start to send."""
        self._running = [self._threads.submit(self._run) for _ in range(SENDERS)]
        return self

    def __exit__(self, *_: object) -> None:
        """Get the last requests acknowledged and stop; raises what a thread raised."""
        self._stop.set()
        for thread in self._running:
            thread.result(timeout=LAST_SECONDS)
        self._threads.shutdown()

    @property
    def spans(self) -> int:
        """Spans acknowledged, once the block was left: numbered from 1 to this."""
        return self.requests * TRACES_PER_REQUEST * SPANS_PER_TRACE

    def _run(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            export = channel.unary_unary(
                METHOD,
                request_serializer=ExportTraceServiceRequest.SerializeToString,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            while not self._stop.is_set():
                with self._lock:
                    number = self.requests
                    self.requests += 1
                self._send(export, batch(number))
                self._stop.wait(SENDERS / REQUESTS_PER_SECOND)

    def _send(
        self,
        export: "grpc.UnaryUnaryMultiCallable[Message, ExportTraceServiceResponse]",
        content: ExportTraceServiceRequest,
    ) -> None:
        while True:
            try:
                answer = export(content, timeout=CALL_SECONDS, wait_for_ready=True)
            except grpc.RpcError:
                with self._lock:
                    self.repeated += 1
                continue
            assert answer.partial_success.rejected_spans == 0, answer.partial_success
            return


def part_of(sidecar: Process, name: str) -> int | None:
    """Return the process id of a part of the sidecar, if it runs now."""
    children = Path(f"/proc/{sidecar.pid}/task/{sidecar.pid}/children").read_text().split()
    for child in children:
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if b"--only" in command and command[command.index(b"--only") + 1] == name.encode():
            return int(child)
    return None


def kill_part(sidecar: Process, name: str) -> None:
    """Kill a part with SIGKILL, once it runs; the sidecar starts it again by itself."""
    number = wait_for(lambda: part_of(sidecar, name), f"{name} runs")
    os.kill(number, signal.SIGKILL)


def rounds(chance: random.Random, kills: int) -> list[tuple[float, str]]:
    """Return (seconds to wait, what to kill) for each kill, each victim about as often."""
    victims = [(*PARTS, "collector")[number % 3] for number in range(kills)]
    chance.shuffle(victims)
    return [(chance.uniform(0.2, 4.0), victim) for victim in victims]


def torment(sidecar: Process, collector: Process, plan: list[tuple[float, str]]) -> None:
    """Carry out the plan; the Collector is started again on its ports, with its queue."""
    for seconds, victim in plan:
        time.sleep(seconds)
        if victim == "collector":
            collector.kill()
            collector.run()
        else:
            kill_part(sidecar, victim)

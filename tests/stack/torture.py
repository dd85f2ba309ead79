"""Feed numbered spans through the real Collector while parts of the way are killed."""

import os
import random
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from processes import Process, answers, listens, wait_for

from evalspan.testing import plain_span, request, span, tool_span

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SENDERS = 4
TRACES_PER_REQUEST = 5
SPANS_PER_TRACE = 4
SPANS_PER_REQUEST = TRACES_PER_REQUEST * SPANS_PER_TRACE
REQUESTS_PER_SECOND = 20
# Every so many requests the model calls are of a kind that a judge is asked about.
JUDGED_EVERY = 40
JUDGED_MODEL = "judged-model"
# Every so many requests one from so long ago is sent again, as after a lost answer.
REPEATED_EVERY = 10
REPEATED_AFTER = 25
CALL_SECONDS = 10.0
LAST_SECONDS = 180.0
PARTS = ("receive", "pipeline", "analyse")
SUPERVISOR, COLLECTOR = "supervisor", "collector"
VICTIMS = (*PARTS, SUPERVISOR, COLLECTOR)


def batch(number: int) -> ExportTraceServiceRequest:
    """Return request `number`: traces of a plain span, two model calls and a tool, all numbered."""
    first = number * TRACES_PER_REQUEST
    traces = [_trace(first + place, number) for place in range(TRACES_PER_REQUEST)]
    return request(*traces, scope="shop", resource={"service.name": "torture"})


def _trace(trace: int, batch_number: int) -> list[Span]:
    """Return a trace; its spans have the ids, and say as an attribute the numbers, from 1 on."""
    root = trace * SPANS_PER_TRACE + 1
    now = time.time_ns()
    model = JUDGED_MODEL if batch_number % JUDGED_EVERY == 0 else "gpt-4o-mini"
    calls = [
        span(number=n, trace=trace + 1, parent=root, start_unix_nano=now, model=model)
        for n in (root + 1, root + 2)
    ]
    tool = tool_span(number=root + 3, trace=trace + 1, parent=root)
    tool.start_time_unix_nano, tool.end_time_unix_nano = now, now + 10**6
    spans = [
        plain_span("answer", number=root, trace=trace + 1, start_unix_nano=now),
        *calls,
        tool,
    ]
    for place, one in enumerate(spans):
        one.attributes.add(key="torture.number").value.int_value = root + place
    return spans


class Senders:
    """Apps that send each request until it is told OK; their threads run in the block."""

    def __init__(self, address: str) -> None:
        """Nothing is sent before the block is entered."""
        self.acknowledged: list[int] = []
        self.repeated = 0
        self.sent_again = 0
        self._next = 0
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
    def spans(self) -> list[int]:
        """Numbers of the spans that were acknowledged, in order."""
        firsts = (number * SPANS_PER_REQUEST + 1 for number in self.acknowledged)
        return sorted(n for first in firsts for n in range(first, first + SPANS_PER_REQUEST))

    def _run(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            export = channel.unary_unary(
                METHOD,
                request_serializer=ExportTraceServiceRequest.SerializeToString,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            earlier: deque[ExportTraceServiceRequest] = deque(maxlen=REPEATED_AFTER)
            while not self._stop.is_set():
                with self._lock:
                    number, self._next = self._next, self._next + 1
                earlier.append(batch(number))
                self._send(export, earlier[-1])
                with self._lock:
                    self.acknowledged.append(number)
                if number % REPEATED_EVERY == 0 and len(earlier) == REPEATED_AFTER:
                    self._send(export, earlier[0])
                    with self._lock:
                        self.sent_again += 1
                self._stop.wait(SENDERS / REQUESTS_PER_SECOND)

    def _send(
        self,
        export: "grpc.UnaryUnaryMultiCallable[Message, ExportTraceServiceResponse]",
        content: ExportTraceServiceRequest,
    ) -> None:
        """Send the same bytes until the answer is OK."""
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
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
    chance.shuffle(victims)
    return [(chance.uniform(0.2, 3.0), victim) for victim in victims]


@dataclass
class Torment:
    """Kills by a plan; what it kills and does not come back by itself is started again."""

    sidecar: Process
    collector: Process
    killed: Counter[str] = field(default_factory=Counter)

    def carry_out(self, plan: Sequence[tuple[float, str]]) -> None:
        """Kill one after the other, at work; the Collector keeps its ports and its queue."""
        for seconds, victim in plan:
            wait_for(lambda: listens(self.sidecar.ports["otlp"]), "the receiver is back")
            wait_for(lambda: answers(f"{self.sidecar.url()}/metrics"), "the pipeline is back")
            time.sleep(seconds)
            self._kill(victim)
            self.killed[victim] += 1

    def _kill(self, victim: str) -> None:
        if victim in PARTS:
            kill_part(self.sidecar, victim)
            return
        process = self.collector if victim == COLLECTOR else self.sidecar
        process.kill()
        process.run()

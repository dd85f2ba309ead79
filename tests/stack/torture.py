"""Feed numbered spans through the real Collector while parts of the way are killed."""

import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
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
TRACES_PER_REQUEST = 20
REQUESTS_PER_SECOND = 10
SPANS_PER_TRACE = 3
CALL_SECONDS = 10.0
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


@dataclass
class Sender:
    """An app that sends each request until it is told OK; its thread runs in the block."""

    address: str
    acknowledged: int = 0
    repeated: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _failure: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start to send."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Get the last request acknowledged and stop; raises what the thread raised."""
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the last request was never acknowledged"
        if self._failure:
            raise self._failure[0]

    @property
    def spans(self) -> int:
        """Spans acknowledged: numbered from 1 to this."""
        return self.acknowledged * TRACES_PER_REQUEST * SPANS_PER_TRACE

    def _run(self) -> None:
        try:
            with grpc.insecure_channel(self.address) as channel:
                export = channel.unary_unary(
                    METHOD,
                    request_serializer=ExportTraceServiceRequest.SerializeToString,
                    response_deserializer=ExportTraceServiceResponse.FromString,
                )
                while not self._stop.is_set():
                    self._send(export, batch(self.acknowledged))
                    self._stop.wait(1 / REQUESTS_PER_SECOND)
        except BaseException as error:  # noqa: BLE001 - raised where the thread is joined
            self._failure.append(error)

    def _send(
        self,
        export: "grpc.UnaryUnaryMultiCallable[Message, ExportTraceServiceResponse]",
        content: ExportTraceServiceRequest,
    ) -> None:
        while True:
            try:
                answer = export(content, timeout=CALL_SECONDS, wait_for_ready=True)
            except grpc.RpcError:
                self.repeated += 1
                continue
            assert answer.partial_success.rejected_spans == 0, answer.partial_success
            self.acknowledged += 1
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

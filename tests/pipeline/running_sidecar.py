"""A real sidecar on free ports: gRPC in, tables and metrics out."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families

from evalspan import pipeline

DEADLINE_SECONDS = 90.0
STARTS = 3
EXIT_FATAL = 2
SEND_ANYTHING = [("grpc.max_send_message_length", -1)]
METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
CONFIG = """\
data: {data}
receive: {{listen: "127.0.0.1:0"}}
metrics: {{listen: "127.0.0.1:{http}"}}
wal: {{segment_age: 200ms, tick_every: 200ms}}
settle: {{idle: 1s}}
analysis: {{every: 1s}}
"""


@dataclass
class Sidecar:
    """What a test sees of a running sidecar."""

    folder: Path
    settings: pipeline.Settings
    channel: grpc.Channel
    address: str
    _senders: dict[str, Any] = field(default_factory=dict)

    def send(self, payload: bytes, signal_name: str = "traces", *, gzip: bool = False) -> str:
        """Send the bytes as a request; returns the name of the status."""
        send = self._senders.setdefault(signal_name, self.channel.unary_unary(METHODS[signal_name]))
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        try:
            send(payload, timeout=60, compression=compression)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = (s for f in text_string_to_metric_families(text) for s in f.samples)
        return sum(
            s.value
            for s in samples
            if s.name == name and all(s.labels.get(k) == v for k, v in labels.items())
        )

    def pids(self) -> dict[str, int]:
        """Return the process of each part."""
        parts = ("receive", "pipeline", "analyse")
        run = self.settings.run_folder
        return {part: int((run / f"{part}.lock").read_text(encoding="utf-8")) for part in parts}


def wait_for(what: str, ready: Callable[[], Any]) -> Any:  # noqa: ANN401 - what is waited for
    """Return the first true answer; fails after the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.1)
    message = f"{what}: not within {DEADLINE_SECONDS} s"
    raise TimeoutError(message)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(folder: Path, more: str = "") -> Iterator[Sidecar]:
    """Run a sidecar until the end of the block; it must end by itself when told to."""
    config, told = folder / "evalspan.yaml", folder / "sidecar.log"
    process, sidecar = _started(folder, config, more, told)
    try:
        yield sidecar
        assert process.poll() is None, told.read_text(encoding="utf-8")
    finally:
        sidecar.channel.close()
        _end(process, told)


def _started(
    folder: Path, config: Path, more: str, told: Path
) -> tuple["subprocess.Popen[bytes]", Sidecar]:
    """Start it; once more where another program took the free port in the meantime."""
    for _ in range(STARTS):
        text = CONFIG.format(data=folder / "data", http=free_port()) + more
        config.write_text(text, encoding="utf-8")
        settings = pipeline.load_settings(config)
        with told.open("wb") as log:
            command = [sys.executable, "-m", "evalspan", "serve", "--config", str(config)]
            process = subprocess.Popen(command, stderr=log)
        try:
            found = wait_for("a sidecar that is up", partial(_up, process, folder, settings))
        except TimeoutError:
            process.terminate()
            raise
        if isinstance(found, Sidecar):
            return process, found
        assert found == EXIT_FATAL, told.read_text(encoding="utf-8")
    message = told.read_text(encoding="utf-8")
    raise AssertionError(message)


def _up(
    process: "subprocess.Popen[bytes]", folder: Path, settings: pipeline.Settings
) -> "Sidecar | int | None":
    """Return the sidecar when all parts of it are up, its exit code if it has ended."""
    if (code := process.poll()) is not None:
        return code or -1
    try:
        word = json.loads((settings.run_folder / "receiver.json").read_text(encoding="utf-8"))
        channel = grpc.insecure_channel(f"127.0.0.1:{word['port']}", SEND_ANYTHING)
        sidecar = Sidecar(folder, settings, channel, settings.metrics.listen)
        return sidecar if sidecar.metric("evalspan_analysis_up") == 1.0 else None
    except (OSError, ValueError, KeyError):
        return None


def _end(process: "subprocess.Popen[bytes]", told: Path) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(DEADLINE_SECONDS)
    finally:
        process.kill()
    assert code == 0, told.read_text(encoding="utf-8")

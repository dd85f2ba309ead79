"""Start the Collector with config files that take their addresses from the environment."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import ROOT, answers, call, free_ports, listens, wait_for

CONFIGS = ROOT / "collector-config"
PORTS = ("grpc", "http", "health", "metrics")
STOP_SECONDS = 30
# A port that was free a moment ago can be taken: then the Collector is started anew.
ATTEMPTS = 3
ADDRESS_TAKEN = "address already in use"


def config(name: str) -> str:
    """Return the argument that loads a file of collector-config/."""
    return f"--config={CONFIGS / name}"


@dataclass(frozen=True)
class Collector:
    """A running Collector; `ports` by the names of PORTS."""

    ports: Mapping[str, int]
    log_path: Path
    running: "subprocess.Popen[bytes]"

    @property
    def endpoint(self) -> str:
        """Where apps send OTLP over gRPC."""
        return f"127.0.0.1:{self.ports['grpc']}"

    def log(self) -> str:
        """Return what it printed."""
        return self.log_path.read_text(errors="replace")

    def is_ready(self, by: str) -> bool:
        """Say whether the health check answers, or another port listens."""
        if by == "health":
            return answers(f"http://127.0.0.1:{self.ports['health']}")
        return listens(self.ports[by])

    def alive(self) -> None:
        """Raise AssertionError with the log when it has ended."""
        if self.running.poll() is not None:
            msg = f"the Collector ended with {self.running.returncode}\n{self.log()}"
            raise AssertionError(msg)

    def counter(self, name: str) -> float:
        """Sum one of the Collector's own counters over its labels."""
        text = call(f"http://127.0.0.1:{self.ports['metrics']}/metrics").decode()
        values = re.findall(rf"^{name}(?:_total)?(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self.running.kill()
        self.running.wait(STOP_SECONDS)

    def stop(self) -> int:
        """End it with SIGTERM; returns its exit code."""
        self.running.terminate()
        try:
            return self.running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


def start_collector(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    ready: str,
    attempt: int = 1,
) -> Collector:
    """Start it on free ports and wait for its health check, or for another port (`ready`)."""
    ports = free_ports(PORTS)
    addresses = {
        "EVALSPAN_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{ports['grpc']}",
        "EVALSPAN_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{ports['http']}",
        "EVALSPAN_HEALTH_ENDPOINT": f"127.0.0.1:{ports['health']}",
        "EVALSPAN_METRICS_PORT": str(ports["metrics"]),
    }
    log_path = folder / f"collector-{ports['grpc']}.log"
    with log_path.open("wb") as log:
        running = subprocess.Popen(
            list(map(str, command)),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment, **addresses},
        )
    collector = Collector(ports, log_path, running)
    try:
        wait_for(lambda: collector.is_ready(ready), "the Collector", alive=collector.alive)
    except BaseException:
        collector.kill()
        if ADDRESS_TAKEN in collector.log() and attempt < ATTEMPTS:
            return start_collector(command, folder, environment, ready, attempt + 1)
        raise
    return collector


def validate(binary: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `otelcol-evalspan validate`; the caller looks at the exit code."""
    return subprocess.run(
        [binary, "validate", *arguments], capture_output=True, text=True, timeout=60, check=False
    )

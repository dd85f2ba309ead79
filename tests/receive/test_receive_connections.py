"""Connections that send nothing, more of them than the process may have descriptors."""

import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from evalspan import wal
from evalspan.processes import Job
from evalspan.receive import ReceiveSettings
from evalspan.receive._connections import most_connections

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LIMIT: Final = 256


class Program:
    """The receiver's own program, with so many descriptors; it may ask for more up to `hard`."""

    def __init__(self, folder: Path, soft: int, hard: int) -> None:
        self._folder = folder
        job = Job(
            receive=ReceiveSettings(listen="127.0.0.1:0"),
            wal=wal.WalSettings(keep_free_mib=0, segment_age=timedelta(milliseconds=100)),
            log_folder=folder / "wal",
            run_folder=folder / "run",
            above=0,
            parent=None,
        )
        limited = (
            f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
            "runpy.run_module('evalspan.processes', run_name='__main__')"
        )
        command = [sys.executable, "-c", limited, job.model_dump_json()]
        self.process = subprocess.Popen(command)
        self.wait_until(lambda: self.port > 0)

    @property
    def port(self) -> int:
        return int(self.counts().get("port", 0))

    def counts(self) -> dict[str, Any]:
        """What it has counted; nothing before its start."""
        with suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads((self._folder / "run/receiver.json").read_text())
            return found
        return {}

    def closed_segments(self) -> int:
        return len(wal.segments(self._folder / "wal"))

    def wait_until(self, condition: Any) -> None:  # noqa: ANN401 - a function without arguments
        for _ in range(1000):
            assert self.process.poll() is None, "it ended"
            if condition():
                return
            threading.Event().wait(0.02)
        pytest.fail("the condition was not met within twenty seconds")

    def end(self) -> dict[str, Any]:
        self.process.terminate()
        assert self.process.wait(30) == 0
        return self.counts()


@contextmanager
def program(folder: Path, soft: int, hard: int) -> Iterator[Program]:
    running = Program(folder, soft, hard)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(30)


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as held:
        yield [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(count)
        ]


def hung_up(connection: socket.socket) -> bool:
    """Whether the server has closed it; what it sends before that is of no interest."""
    connection.setblocking(False)  # noqa: FBT003 - socket's own
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


@contextmanager
def sender(port: int) -> Iterator[Any]:
    """A function that sends a request over one connection and gives the answer."""
    apart = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", apart) as channel:
        call = channel.unary_unary(EXPORT)
        yield lambda payload: call(payload, timeout=30, wait_for_ready=True)


def test_the_receiver_takes_as_many_descriptors_as_it_may_have(tmp_path: Path) -> None:
    with (
        program(tmp_path, LIMIT, 4 * LIMIT) as running,
        idle_connections(running.port, LIMIT + 50) as connections,
        sender(running.port) as send,
    ):
        assert send(b"new") == b""
        assert not any(map(hung_up, connections))
        running.wait_until(lambda: running.closed_segments() > 0)
        assert running.end()["accepted"] == {"traces": 1}


def test_connections_leave_the_log_its_descriptors(tmp_path: Path) -> None:
    with program(tmp_path, LIMIT, LIMIT) as running, sender(running.port) as send:
        assert send(b"before") == b""
        with idle_connections(running.port, LIMIT + 50) as connections:
            running.wait_until(lambda: any(map(hung_up, connections)))
            for number in range(3):
                assert send(b"among them %d" % number) == b""
                running.wait_until(lambda number=number: running.closed_segments() > number)
        with sender(running.port) as another:
            assert another(b"after") == b""
        counts = running.end()
    assert counts["accepted"] == {"traces": 5}
    assert not counts["rejected"]


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(64, 32), (256, 128), (1024, 896), (20_000, 4096), (resource.RLIM_INFINITY, 4096)],
)
def test_connections_are_bounded(descriptors: int, connections: int) -> None:
    assert most_connections(descriptors) == connections

"""Start a real program for a test, wait until it answers, stop it, keep its log.

In: the names a program may have, a function from free ports to its command line.
Out: a running `Process` with its ports. A program that is not there skips the
test, or fails it when EVALSPAN_REQUIRE_STACK=1 is set.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".stack" / "bin"
START_SECONDS = 180.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
LOG_TAIL_BYTES = 6000
# A port that was free a moment ago can be taken: then the program is started anew.
START_ATTEMPTS = 3
ADDRESS_TAKEN = "address already in use"

Value = TypeVar("Value")
Ports = Mapping[str, int]


class NotReady(Exception):  # noqa: N818 - a state, and control flow
    """What is waited for is not there yet; the text says what is."""


def absent(what: str) -> Never:
    """Skip the test that needs `what`; with EVALSPAN_REQUIRE_STACK=1 fail it."""
    reason = f"{what} is not here; `make stack` gets it"
    if os.environ.get("EVALSPAN_REQUIRE_STACK") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(*names: str) -> Path:
    """Return the first of the programs that .stack/bin or the PATH has."""
    for name in names:
        built = BUILT / name
        if os.access(built, os.X_OK):
            return built
        found = shutil.which(name)
        if found:
            return Path(found)
    absent(" or ".join(names))


def free_ports(names: Sequence[str]) -> dict[str, int]:
    """Return one port of 127.0.0.1 for each name, all different, nobody listening now."""
    with ExitStack() as held:
        probes = {name: held.enter_context(socket.socket()) for name in names}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {name: probe.getsockname()[1] for name, probe in probes.items()}


def wait_for(
    look: Callable[[], Value | None],
    what: str,
    *,
    seconds: float = START_SECONDS,
    alive: Callable[[], None] = lambda: None,
) -> Value:
    """Call `look` until it returns something true; AssertionError at the deadline.

    `alive` is called between two looks and raises when waiting has become useless.
    """
    deadline = time.monotonic() + seconds
    last: object = "nothing"
    while True:
        try:
            found = look()
        except (OSError, NotReady) as error:
            found, last = None, error
        if found:
            return found
        alive()
        if time.monotonic() > deadline:
            msg = f"{what}: not after {seconds:g} s; last: {last}"
            raise AssertionError(msg)
        time.sleep(POLL_SECONDS)


def call(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """Answer of an HTTP server on this machine; raises NotReady with its words on an error."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")[:500]
        msg = f"{url}: {error.code} {text}"
        raise NotReady(msg) from error
    return content


def call_json(url: str) -> Any:  # noqa: ANN401 - what the server says
    """Parsed JSON answer of an HTTP server on this machine."""
    return json.loads(call(url))


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on the port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Launch:
    """How a program is started, and how one sees that it is ready."""

    name: str
    folder: Path
    port_names: Sequence[str]
    command: Callable[[Ports], Sequence[str | Path]]
    ready: Callable[[Ports], bool]
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, kind: "type[Kind]", attempt: int = 1) -> "Kind":
        """Start it on free ports and wait until it is ready."""
        process = kind(self, free_ports(self.port_names))
        try:
            process.run()
        except AssertionError:
            if ADDRESS_TAKEN in process.log() and attempt < START_ATTEMPTS:
                return self.start(kind, attempt + 1)
            raise
        return process

    def spawn(self, ports: Ports, log_path: Path) -> "subprocess.Popen[bytes]":
        """Start it and do not wait; what it prints is added to the log."""
        with log_path.open("ab") as log:
            return subprocess.Popen(
                [str(part) for part in self.command(ports)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )


class Process:
    """A program that was started: its ports by name, its log, how to stop it."""

    def __init__(self, launch: Launch, ports: Ports) -> None:
        """Nothing runs yet."""
        self.name = launch.name
        self.ports = ports
        self.folder = launch.folder
        self._launch = launch
        self._log = launch.folder / f"{launch.name}.log"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._running, f"{self.name} was not started"
        return self._running.pid

    def run(self) -> None:
        """Start it, again on the same ports after a kill, and wait until it is ready."""
        self._running = self._launch.spawn(self.ports, self._log)
        try:
            wait_for(
                lambda: self._launch.ready(self.ports), f"{self.name} is ready", alive=self.alive
            )
        except BaseException as error:
            self.stop()
            error.add_note(f"--- log of {self.name} ---\n{self.log()}")
            raise

    def url(self, port: str = "http") -> str:
        """Address of one of its ports."""
        return f"http://127.0.0.1:{self.ports[port]}"

    def log(self) -> str:
        """Return the end of what it printed."""
        content = self._log.read_bytes() if self._log.exists() else b""
        return content[-LOG_TAIL_BYTES:].decode(errors="replace")

    def alive(self) -> None:
        """Raise AssertionError when it has ended."""
        code = self._running.poll() if self._running else None
        if code is not None:
            msg = f"{self.name} ended with {code}"
            raise AssertionError(msg)

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it with SIGTERM, and kill it if it does not end."""
        try:
            self._signal(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()

    def _signal(self, number: int) -> None:
        """Signal its group and wait until it has ended."""
        if self._running and self._running.poll() is None:
            os.killpg(self._running.pid, number)
            self._running.wait(STOP_SECONDS)


Kind = TypeVar("Kind", bound=Process)


def answers(url: str) -> bool:
    """Say whether the address answers with success."""
    call(url)
    return True

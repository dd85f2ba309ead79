"""The sidecar of the demo: a process of its own, on ports that are free."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from evalspan import pipeline
from evalspan.demo import CONFIG

OTLP: Final = 4317
HTTP: Final = 9464
WAIT_SECONDS: Final = 120.0
# So often another program may take a port between our choice of it and our use of it.
MOST_TRIES: Final = 5
# What the log says once each of the two ports is ours.
_LISTENS: Final = ("event=receiving", "event=serving")

Alive = Callable[[], None]


@contextmanager
def sidecar(folder: Path) -> Iterator[tuple[Any, Alive]]:
    """Run the sidecar in a folder; yields its settings once it listens, and a look at its life.

    That look raises ChildProcessError, with the last words of the sidecar, once it has ended.
    """
    process, settings = _start(folder)
    try:
        yield settings, lambda: _require_life(process, folder)
    finally:
        _end(process)


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], Any]:
    """Start it; where a port was taken meanwhile, again with others."""
    ports = _ports(OTLP, HTTP)
    for tries_left in reversed(range(MOST_TRIES)):
        settings = _configure(folder, *ports)
        process = _spawn(folder)
        try:
            _until_it_listens(process, folder)
        except ChildProcessError:
            if not tries_left or _are_free(ports):
                raise
            ports = _ports(0, 0)
        except BaseException:
            _end(process)
            raise
        else:
            return process, settings
    raise AssertionError  # the last try returns or raises


def _spawn(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evalspan", "serve", "--config", str(folder / "evalspan.yaml")]
    with (folder / "sidecar.log").open("wb") as log:
        return subprocess.Popen(command, stderr=log)  # noqa: S603 - our own command


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(60)


def _configure(folder: Path, otlp: int, http: int) -> Any:  # noqa: ANN401 - Settings
    """Write the config with these ports; returns the settings."""
    text = CONFIG.read_text(encoding="utf-8")
    values = {"OTLP_PORT": otlp, "HTTP_PORT": http, "DATA": folder / "data"}
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / "evalspan.yaml"
    config.write_text(text, encoding="utf-8")
    return pipeline.load_settings(config)


def _until_it_listens(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for its own word: who answers on its ports may be another program."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not all(word in _log(folder) for word in _LISTENS):
        _require_life(process, folder)
        if time.monotonic() >= deadline:
            message = f"the sidecar does not listen after {WAIT_SECONDS:.0f} s; see sidecar.log"
            raise TimeoutError(message)
        time.sleep(0.1)
    _require_life(process, folder)


def _require_life(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.poll() is not None:
        lines = _log(folder).splitlines() or ["it said nothing"]
        why = next((line for line in lines if "cannot_start" in line), lines[-1])
        message = f"the sidecar has ended: {why}"
        raise ChildProcessError(message)


def _log(folder: Path) -> str:
    return (folder / "sidecar.log").read_text("utf-8", "replace")


def _are_free(ports: Sequence[int]) -> bool:
    return _ports(*ports) == list(ports)


def _ports(*wanted: int) -> list[int]:
    """Return the wanted ports where they are free, else free ones; each is another one."""
    with ExitStack() as held:
        return [_bind(held.enter_context(socket.socket()), port) for port in wanted]


def _bind(probe: socket.socket, wanted: int) -> int:
    for port in (wanted, 0):
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return int(probe.getsockname()[1])
    message = "no port of 127.0.0.1 is free"
    raise OSError(message)

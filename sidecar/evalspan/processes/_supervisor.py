"""The parent of the parts: starts them and keeps them running.

receive: gRPC and the log. pipeline: everything after the log, and the HTTP pages.
analyse: judges, detection, causes and reports. They share the data folder and
nothing else, so that one of them can die without the others noticing.

A program of its own that imports nothing beyond the standard library: it lives as
long as the sidecar and does next to nothing.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Final

PARTS: Final = ("receive", "pipeline", "analyse")
# A part that dies at once is started again after a wait that doubles up to this.
LONGEST_WAIT_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 10.0
STOP_SECONDS: Final = 30.0
# The part found a mistake that starting again does not mend (a setting, a taken port).
EXIT_FATAL: Final = 2


class _Part:
    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.wait_seconds = 0.5
        self.start_at = time.monotonic()


class Supervisor:
    """Runs the parts until it is told to stop; returns the exit code for the command."""

    def __init__(self, options: Sequence[str], parts: Sequence[str] = PARTS) -> None:
        """Run these parts; `options` are those of `evalspan serve`."""
        self._options = list(options)
        self._parts = [_Part(name) for name in parts]
        self._stopping = False
        self._fatal = False

    def run(self) -> int:
        """Start the parts, start again what dies, stop all at SIGINT or SIGTERM."""
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        while not self._stopping:
            for part in self._parts:
                self._tend(part)
            time.sleep(0.1)
        self._end()
        return EXIT_FATAL if self._fatal else 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tend(self, part: _Part) -> None:
        if part.process is None:
            if time.monotonic() >= part.start_at:
                self._start(part)
            return
        code = part.process.poll()
        if code is None:
            if time.monotonic() - part.started > STEADY_SECONDS:
                part.wait_seconds = 0.5
            return
        part.process = None
        if code == EXIT_FATAL:
            self._stopping = self._fatal = True
            return
        _say("warning", "part_ended", part.name, code=code, again_in_seconds=part.wait_seconds)
        part.start_at = time.monotonic() + part.wait_seconds
        part.wait_seconds = min(2 * part.wait_seconds, LONGEST_WAIT_SECONDS)

    def _start(self, part: _Part) -> None:
        command = [sys.executable, "-m", "evalspan", "serve", *self._options]
        # A group of its own: Ctrl-C reaches the parent, which stops the parts in order.
        part.process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "--only", part.name],
            env={**os.environ, "EVALSPAN_PARENT": str(os.getpid())},
            start_new_session=True,
        )
        part.started = time.monotonic()

    def _end(self) -> None:
        """Stop the parts one after the other, first those that take in."""
        for part in self._parts:
            if part.process is None:
                continue
            part.process.terminate()
            try:
                part.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _say("error", "part_killed", part.name, after_seconds=STOP_SECONDS)
                part.process.kill()
                part.process.wait()
            part.process = None


def _say(level: str, event: str, part: str, **more: float) -> None:
    """Write a line as the parts write theirs; no value here needs quotes."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    facts = {"timestamp": now, "level": level, "event": event, "part": part, **more}
    sys.stderr.write(" ".join(f"{key}={value}" for key, value in facts.items()) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(Supervisor(sys.argv[1:]).run())

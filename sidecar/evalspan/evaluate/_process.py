"""Run the user's checks in another process, which may hang or die without harm to this one."""

import json
import os
import pickle
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from evalspan.evaluate._check import Check
from evalspan.evaluate._verdicts import SCHEMA, Line, of_error, of_lines
from evalspan.evaluate._views import traces

_LOAD_SECONDS: Final = 60.0
# A check that hangs on every span must not hold up a batch for hours.
_MOST_LOSSES: Final = 3
_SOURCE_ROOT: Final = str(Path(__file__).resolve().parents[2])


class WorkerError(RuntimeError):
    """The worker hung, died, or could not be started."""


class Worker:
    """One child process, started when first needed and again after it was lost.

    It answers line by line, so that after a loss it is known which span was to
    blame; that span gets an error and the rest is asked again. Not safe for use
    by two threads.
    """

    def __init__(self, folder: Path, dimensions: Sequence[str]) -> None:
        """Remember where the user's modules are; nothing is started yet."""
        self._folder = folder
        self._dimensions = list(dimensions)
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._losses: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin a batch: a check that lost its worker too often in the last one is asked again."""
        self._losses.clear()

    def run(self, check: Check, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the verdicts of the user's check; what goes wrong becomes a row with an error."""
        if check.shape == "spans":
            return self._whole(check, frame)
        return of_lines(self._one_by_one(check, frame))

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None
            self._rest = b""

    def _whole(self, check: Check, frame: pl.DataFrame) -> pl.DataFrame:
        if self._losses[check.name] >= _MOST_LOSSES:
            rows = pl.Series(range(frame.height), dtype=pl.UInt32)
            return of_error(rows, self._given_up(check))
        try:
            self._send(check, frame, 0)
            answer = self._receive(check.time_limit_seconds)
        except WorkerError as error:
            self.close()
            self._losses[check.name] += 1
            return of_error(pl.Series(range(frame.height), dtype=pl.UInt32), str(error))
        return pl.DataFrame(answer["columns"], schema=SCHEMA)

    def _one_by_one(self, check: Check, frame: pl.DataFrame) -> Iterator[tuple[int, list[Line]]]:
        subjects = _subjects(check, frame)
        done = 0
        while done < len(subjects) and self._losses[check.name] < _MOST_LOSSES:
            try:
                self._send(check, frame, done)
                while done < len(subjects):
                    answer = self._receive(check.time_limit_seconds)
                    yield answer["row"], [_line(line) for line in answer["lines"]]
                    done += 1
            except WorkerError as error:
                self.close()
                self._losses[check.name] += 1
                yield subjects[done], _failure(str(error))
                done += 1
        for row in subjects[done:]:
            yield row, _failure(self._given_up(check))

    def _given_up(self, check: Check) -> str:
        return f"not asked: its worker was lost {self._losses[check.name]} times in this batch"

    def _send(self, check: Check, frame: pl.DataFrame, start: int) -> None:
        child = self._started()
        head = pickle.dumps((check.use, check.shape, dict(check.arguments), start))
        body = frame.write_ipc(None, compression="uncompressed").getvalue()
        sizes = len(head).to_bytes(4, "big") + len(body).to_bytes(8, "big")
        try:
            assert child.stdin is not None  # noqa: S101 - it was opened as a pipe
            child.stdin.write(sizes + head + body)
            child.stdin.flush()
        except OSError as error:
            msg = f"its worker process died: {error}"
            raise WorkerError(msg) from error
        self._receive(_LOAD_SECONDS)  # the user's module is loaded, which is no call of the check

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            paths = [_SOURCE_ROOT, os.environ.get("PYTHONPATH", "")]
            self._child = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                [sys.executable, "-m", "evalspan.evaluate._worker", json.dumps(self._setup())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
            )
            self._receive(_LOAD_SECONDS)
        return self._child

    def _setup(self) -> dict[str, Any]:
        return {"folder": str(self._folder), "dimensions": self._dimensions}

    def _receive(self, limit_seconds: float) -> dict[str, Any]:
        """Return the next line of the child; raises WorkerError after the limit or its end."""
        if b"\n" not in self._rest:
            self._read_line(limit_seconds)
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _read_line(self, limit_seconds: float) -> None:
        """Read until a whole line is here."""
        child = self._child
        if child is None or child.stdout is None:
            msg = "its worker process is gone"
            raise WorkerError(msg)
        deadline = time.monotonic() + limit_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    msg = f"TimeoutError: no answer within {limit_seconds:g} s"
                    raise WorkerError(msg)
                piece = os.read(child.stdout.fileno(), 1 << 16)
                if not piece:
                    msg = f"its worker process ended with exit code {child.wait()}"
                    raise WorkerError(msg)
                self._rest += piece


def _subjects(check: Check, frame: pl.DataFrame) -> list[int]:
    """Return the row that each answer will be about, as far as it is known before."""
    if check.shape == "span":
        return list(range(frame.height))
    return [rows[0] for rows in traces(frame)]


def _failure(text: str) -> list[Line]:
    return [("", None, None, None, None, text)]


def _line(parts: list[Any]) -> Line:
    item, value, passed, reason, evidence, error = parts
    return item, value, passed, reason, evidence, error

"""A sidecar as a process, an app that sends to it until it is gone, and a disk that fills up."""

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import grpc
import polars as pl
import pytest
from processes import NotReady, Process, wait_for

from evalspan import pipeline
from evalspan.testing import plain_span, request, span

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SPANS_PER_REQUEST = 3
CONFIG = """
data: $data
receive: {listen: "127.0.0.1:$otlp"}
metrics: {listen: "127.0.0.1:$http"}
wal: {segment_age: 300ms, tick_every: 300ms}
settle: {idle: 500ms}
checks: {status: {use: status, match: "true"}}
"""


def payload(number: int, padding: str = "") -> bytes:
    """Return request `number`: one trace of three spans, numbered from 1 on."""
    first, now = number * SPANS_PER_REQUEST + 1, time.time_ns()
    spans = [
        plain_span(
            "answer",
            number=first,
            trace=number + 1,
            start_unix_nano=now,
            attributes={"padding": padding},
        ),
        *(
            span(number=n, trace=number + 1, parent=first, start_unix_nano=now)
            for n in (first + 1, first + 2)
        ),
    ]
    return request(*spans).SerializeToString()


def numbers_of(requests: list[int]) -> set[int]:
    """Return the numbers of the spans in these requests."""
    firsts = (number * SPANS_PER_REQUEST + 1 for number in requests)
    return {n for first in firsts for n in range(first, first + SPANS_PER_REQUEST)}


@contextmanager
def export_to(sidecar: Process) -> Iterator["grpc.UnaryUnaryMultiCallable[bytes, bytes]"]:
    """Connect to the sidecar's OTLP port."""
    with grpc.insecure_channel(urlsplit(sidecar.url("otlp")).netloc) as channel:
        yield channel.unary_unary(EXPORT)


class Load:
    """Apps that send as fast as they are answered, until the sidecar is gone."""

    THREADS = 3

    def __init__(self, sidecar: Process) -> None:
        """Nothing is sent before the block is entered."""
        self.acknowledged: list[int] = []
        self._sidecar = sidecar
        self._lock = threading.Lock()
        self._next = 0
        self._threads = ThreadPoolExecutor(self.THREADS)
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        """Start to send and wait until the first requests are acknowledged."""
        self._running = [self._threads.submit(self._run) for _ in range(self.THREADS)]
        wait_for(lambda: len(self.acknowledged) > 20 * self.THREADS, "requests are acknowledged")
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until every thread was refused."""
        for thread in self._running:
            thread.result(timeout=60)
        self._threads.shutdown()

    def _run(self) -> None:
        with export_to(self._sidecar) as export:
            while True:
                with self._lock:
                    number, self._next = self._next, self._next + 1
                try:
                    export(payload(number), timeout=20)
                except grpc.RpcError:
                    return
                with self._lock:
                    self.acknowledged.append(number)


def stored(sidecar: Process) -> list[int]:
    """Return the numbers of the spans that can be read from the tables, in order."""
    spans = pl.read_delta(str(settings_of(sidecar).tables_folder / "spans"))
    return spans["span_id"].str.to_integer(base=16).sort().to_list()


def settings_of(sidecar: Process) -> pipeline.Settings:
    """Return the settings that the sidecar runs with."""
    return pipeline.load_settings(sidecar.folder / "evalspan.yaml")


def wait_until_stored(sidecar: Process, wanted: set[int]) -> list[int]:
    """Wait until these spans are stored and scored; return the numbers of all that are."""

    def look() -> list[int]:
        book = pipeline.read_ledger(settings_of(sidecar)).as_dict()
        if not book["balanced"] or book["pending"] or not book["checks"]:
            raise NotReady(str(book))
        if book["received"][0]["stored"] < len(wanted):
            raise NotReady(str(book))
        if book["checks"][0]["done"] < book["received"][0]["stored"]:
            raise NotReady(str(book))
        return stored(sidecar)

    return wait_for(look, "everything acknowledged is stored and scored", seconds=120)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    """Mount a disk of this size; skips the test where that is not allowed."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs"]
    made = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, left_bytes: int) -> Path:
    """Take all but so many bytes that the disk has left; returns the file to delete."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for chunk in (2**20, 2**12):
            try:
                while True:
                    file.write(bytes(chunk))
            except OSError:
                continue
        file.truncate(file.tell() - left_bytes)
    return filler

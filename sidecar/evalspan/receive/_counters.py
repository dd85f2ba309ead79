"""What the receiver counts, and the file by which the other process sees it."""

import asyncio
import json
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

APPEND_BUCKETS_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip


class Counters:
    """Plain numbers, changed by the receiver's event loop only.

    `gauges` are read at every snapshot: what other parts know, such as the bytes of the log.
    """

    def __init__(self, gauges: Mapping[str, Callable[[], float]] | None = None) -> None:
        self._gauges = dict(gauges or {})
        self._started_unix_seconds = time.time()
        self.port = 0
        """Port listened on; 0 before the start and for a unix socket."""
        self.requests: Counter[str] = Counter()
        """Calls begun, by signal: traces, logs, metrics, annotate."""
        self.accepted: Counter[str] = Counter()
        """Requests on disk, by signal."""
        self.accepted_bytes: Counter[str] = Counter()
        """Their bytes after decompression."""
        self.rejected: Counter[tuple[str, str]] = Counter()
        """Requests not stored, by signal and reason; with `accepted` and those in flight they
        add up to `requests`."""
        self.rejected_before: Counter[tuple[str, str]] = Counter()
        """The same of the receivers before this one, for the ledger."""
        self.annotated = 0
        """Annotate calls that were answered; the others are in `rejected`."""
        self.in_flight_requests = 0
        self.in_flight_bytes = 0
        """Memory spoken for; see `max_in_flight_mib`."""
        self.append_seconds_sum = 0.0
        self._append_buckets = [0] * (len(APPEND_BUCKETS_SECONDS) + 1)
        self.snapshot_errors = 0
        """Snapshots that could not be written."""

    def count_on_from(self, path: Path) -> None:
        """Keep what the receivers before left in the file: a refusal stands nowhere else.

        It is no count of this process: Prometheus would take a total that comes back after
        hours for refusals of the last minutes. A crash of the machine can leave a file without
        content, which says nothing.
        """
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return
        for signal, reasons in before.get("rejected_in_all", before["rejected"]).items():
            self.rejected_before.update({(signal, reason): n for reason, n in reasons.items()})

    def observe_append(self, seconds: float) -> None:
        """Time from a request in memory to a request on disk."""
        self.append_seconds_sum += seconds
        self._append_buckets[bisect_left(APPEND_BUCKETS_SECONDS, seconds)] += 1

    def snapshot(self) -> dict[str, Any]:
        """Everything as JSON values; `append_seconds.buckets` are counts per bucket, not sums."""
        return {
            "pid": os.getpid(),
            "port": self.port,
            "started_unix_seconds": self._started_unix_seconds,
            "time_unix_seconds": time.time(),
            "requests": dict(self.requests),
            "accepted": dict(self.accepted),
            "accepted_bytes": dict(self.accepted_bytes),
            "rejected": _by_signal(self.rejected),
            "rejected_in_all": _by_signal(self.rejected + self.rejected_before),
            "annotated": self.annotated,
            "in_flight_requests": self.in_flight_requests,
            "in_flight_bytes": self.in_flight_bytes,
            "append_seconds": {
                "bounds": list(APPEND_BUCKETS_SECONDS),
                "buckets": list(self._append_buckets),
                "count": sum(self._append_buckets),
                "sum": self.append_seconds_sum,
            },
            "snapshot_errors": self.snapshot_errors,
            "gauges": {name: read() for name, read in self._gauges.items()},
        }


def _by_signal(rejected: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (signal, reason), count in sorted(rejected.items()):
        found.setdefault(signal, {})[reason] = count
    return found


def write_snapshot(counters: Counters, path: Path) -> None:
    """Replace `path` by a snapshot; a reader sees the old or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(counters.snapshot()), encoding="utf-8")
    temporary.replace(path)


async def publish(
    counters: Counters, path: Path, stop: asyncio.Event, every_seconds: float = 1.0
) -> None:
    """Write a snapshot again and again until `stop`, and a last one then.

    A full disk must not end the receiver: it is counted, and seen as an old
    `time_unix_seconds`.
    """
    while not stop.is_set():
        _try_write(counters, path)
        try:
            await asyncio.wait_for(stop.wait(), every_seconds)
        except TimeoutError:
            continue
    _try_write(counters, path)


def _try_write(counters: Counters, path: Path) -> None:
    try:
        write_snapshot(counters, path)
    except OSError:
        counters.snapshot_errors += 1

"""What is read at the time of a scrape: the receiver's counters, lag, the open regressions."""

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from evalspan import __version__, evaluate, wal
from evalspan.metrics import Gauge
from evalspan.pipeline._changes import FIRING
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._write import WriteSide

# A word of another process that is older than this is no word of a living one.
RECEIVER_STALE_SECONDS: Final = 5.0
ANALYSIS_STALE_ROUNDS: Final = 5


def gauges(
    settings: Settings,
    write: WriteSide,
    evaluator: evaluate.Evaluator,
    checklists: Mapping[str, evaluate.Checklist] = MappingProxyType({}),
) -> Iterator[Gauge]:
    """Yield every value that is not counted in this process."""
    yield Gauge("evalspan_build_info", 1, {"version": __version__})
    for check in evaluator.checks.values():
        labels = {"check": check.name, "revision": check.revision, "evaluator": "check"}
        yield Gauge("evalspan_check_info", 1, labels)
    for name, checklist in checklists.items():
        labels = {"check": name, "revision": checklist.revision, "evaluator": "judge"}
        yield Gauge("evalspan_check_info", 1, labels)
    yield Gauge("evalspan_pending_spans", write.pending_spans)
    yield from _lag(write)
    yield from _receiver(settings.run_folder / "receiver.json")
    yield from _analysis(settings)
    yield from _accounts(settings.run_folder / "accounts.json")


def _lag(write: WriteSide) -> Iterator[Gauge]:
    waiting = deque(write.waiting())
    age = 0.0
    while waiting:
        try:
            age = time.time() - wal.close_time(waiting[0]) / 1e9
            break
        except FileNotFoundError:  # stored and removed since it was listed
            waiting.popleft()
    yield Gauge("evalspan_pending_segments", len(waiting))
    yield Gauge("evalspan_pipeline_lag_seconds", max(0.0, age))


def _receiver(path: Path) -> Iterator[Gauge]:
    word = read_word(path)
    fresh = time.time() - word.get("time_unix_seconds", 0.0) < RECEIVER_STALE_SECONDS
    yield Gauge("evalspan_receiver_up", float(fresh))
    for signal, count in word.get("accepted", {}).items():
        yield Gauge("evalspan_requests", count, {"signal": signal})
    for signal, count in word.get("accepted_bytes", {}).items():
        yield Gauge("evalspan_request_bytes", count, {"signal": signal})
    reasons: dict[str, int] = {}
    for by_reason in word.get("rejected", {}).values():
        for reason, count in by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + count
    for reason, count in reasons.items():
        yield Gauge("evalspan_rejected_requests", count, {"reason": reason})
    if "wal_bytes" in word.get("gauges", {}):
        yield Gauge("evalspan_wal_bytes", word["gauges"]["wal_bytes"])


def _analysis(settings: Settings) -> Iterator[Gauge]:
    word = read_word(settings.run_folder / "analysis.json")
    allowed = ANALYSIS_STALE_ROUNDS * settings.analysis.every.total_seconds() + 30
    fresh = time.time() - word.get("time_unix_seconds", 0.0) < allowed
    yield Gauge("evalspan_analysis_up", float(fresh))
    for row in word.get("regressions", []):
        yield from _regression(row)


def _regression(row: dict[str, Any]) -> Iterator[Gauge]:
    """Yield what is shown of a regression that is not resolved; open is what alerts look at."""
    labels = {k: row[k] for k in ("id", "check", "kind", "direction", "slice")}
    if row["state"] in FIRING:
        yield Gauge("evalspan_regression_open", 1, labels)
    yield Gauge("evalspan_regression_state", 1, {**labels, "state": row["state"]})
    for name in ("effect", "baseline_score", "candidate_score"):
        if row[name] is not None:
            yield Gauge(f"evalspan_regression_{name}", row[name], labels)
    for side in ("baseline", "candidate"):
        yield Gauge("evalspan_regression_samples", row[f"{side}_n"], {**labels, "side": side})
    name = "evalspan_regression_change_timestamp_seconds"
    yield Gauge(name, row["change_time_unix_seconds"], labels)


def _accounts(path: Path) -> Iterator[Gauge]:
    """Yield what the tables lack; nothing before the analysis has counted it."""
    word = read_word(path)
    if "spans_unaccounted" in word:
        yield Gauge("evalspan_spans_unaccounted", word["spans_unaccounted"])
    for name in ("evaluations_unaccounted", "evaluations_pending"):
        for check, count in word.get(name, {}).items():
            yield Gauge(f"evalspan_{name}", count, {"check": check})


def read_word(path: Path) -> dict[str, Any]:
    """Return what another process wrote; empty if it wrote nothing yet.

    A crash of the machine can leave a file without content: nobody waits for the disk here.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write_word(path: Path, word: dict[str, Any]) -> None:
    """Leave word for another process; it sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(word), encoding="utf-8")
    new.replace(path)

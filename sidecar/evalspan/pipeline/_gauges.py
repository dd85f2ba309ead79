"""What is read at the time of a scrape: the receiver's counters, lag, the open regressions."""

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from evalspan import __version__, evaluate, wal
from evalspan.metrics import Gauge
from evalspan.pipeline._changes import FIRING
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._word import read_word
from evalspan.pipeline._write import WriteSide

log = structlog.get_logger()

# A word of another process that is older than this is no word of a living one.
RECEIVER_STALE_SECONDS: Final = 5.0
ANALYSIS_STALE_ROUNDS: Final = 5


def gauges(
    settings: Settings,
    write: WriteSide,
    evaluator: evaluate.Evaluator,
    checklists: Mapping[str, evaluate.Checklist] = MappingProxyType({}),
    failed_merges: Mapping[str, int] = MappingProxyType({}),
    receiver: "ReceiverWord | None" = None,
) -> Iterator[Gauge]:
    """Yield every value that is read where it stands; `failed_merges` by table.

    `receiver` is what is known from one scrape to the next.
    """
    yield Gauge("evalspan_build_info", 1, {"version": __version__})
    for check in evaluator.checks.values():
        labels = {"check": check.name, "revision": check.revision, "evaluator": "check"}
        yield Gauge("evalspan_check_info", 1, labels)
    for name, checklist in checklists.items():
        labels = {"check": name, "revision": checklist.revision, "evaluator": "judge"}
        yield Gauge("evalspan_check_info", 1, labels)
    if write.pending_spans is not None:
        yield Gauge("evalspan_pending_spans", write.pending_spans)
    for table, count in failed_merges.items():
        yield Gauge("evalspan_failed_merges", count, {"table": table})
    yield from _lag(write)
    yield from _receiver(settings.run_folder / "receiver.json", receiver or ReceiverWord())
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


class _Word(BaseModel):
    """What the values of a word are read from; what it says beyond that is for others."""

    model_config = ConfigDict(frozen=True)

    time_unix_seconds: float = 0.0


class _Receiver(_Word):
    accepted: dict[str, float] = {}
    accepted_bytes: dict[str, float] = {}
    rejected: dict[str, dict[str, float]] = {}
    gauges: dict[str, float] = {}


class _Regression(BaseModel):
    id: str
    check: str
    kind: str
    direction: str
    slice: str
    state: str
    effect: float | None
    baseline_score: float | None
    candidate_score: float | None
    baseline_n: float | None
    candidate_n: float | None
    change_time_unix_seconds: float | None


class _Analysis(_Word):
    regressions: tuple[_Regression, ...] = ()
    errors: dict[str, float] = {}


class _Accounts(_Word):
    spans_unaccounted: float | None = None
    evaluations_unaccounted: dict[str, float] = {}
    evaluations_pending: dict[str, float] = {}


_AWord = TypeVar("_AWord", bound=_Word)


def _read(path: Path, kind: type[_AWord]) -> tuple[_AWord, Gauge]:
    """Return a word, an empty one if there is none or it is damaged, and whether it is that."""
    word: _AWord | None = None
    if path.exists():
        try:
            found = read_word(path)
            word = None if found is None else kind.model_validate(found)
        except (ValidationError, OSError) as error:
            log.warning("word_damaged", file=str(path), why=str(error))
    else:
        word = kind()
    return word or kind(), Gauge("evalspan_word_damaged", word is None, {"word": path.stem})


class ReceiverWord:
    """The last word of the receiver that could be read.

    A counter that leaves the page and comes back looks like one that was at 0 in between.
    """

    def __init__(self) -> None:
        self._last = _Receiver()

    def read(self, path: Path) -> tuple[_Receiver, Gauge]:
        """Return the word, or the one before it, and whether what stands there is damaged."""
        word, damaged = _read(path, _Receiver)
        if word.time_unix_seconds:  # one that is damaged or not there is empty
            self._last = word
        return self._last, damaged


def _receiver(path: Path, last: ReceiverWord) -> Iterator[Gauge]:
    word, damaged = last.read(path)
    yield damaged
    fresh = time.time() - word.time_unix_seconds < RECEIVER_STALE_SECONDS
    yield Gauge("evalspan_receiver_up", float(fresh))
    for signal, count in word.accepted.items():
        yield Gauge("evalspan_requests", count, {"signal": signal})
    for signal, count in word.accepted_bytes.items():
        yield Gauge("evalspan_request_bytes", count, {"signal": signal})
    reasons: Counter[str] = Counter()
    for by_reason in word.rejected.values():
        reasons.update(by_reason)
    for reason, count in reasons.items():
        yield Gauge("evalspan_rejected_requests", count, {"reason": reason})
    if "wal_bytes" in word.gauges:
        yield Gauge("evalspan_wal_bytes", word.gauges["wal_bytes"])


def _analysis(settings: Settings) -> Iterator[Gauge]:
    word, damaged = _read(settings.run_folder / "analysis.json", _Analysis)
    yield damaged
    allowed = ANALYSIS_STALE_ROUNDS * settings.analysis.every.total_seconds() + 30
    fresh = time.time() - word.time_unix_seconds < allowed
    yield Gauge("evalspan_analysis_up", float(fresh))
    for part, count in word.errors.items():
        yield Gauge("evalspan_analysis_errors", count, {"part": part})
    for row in word.regressions:
        yield from _regression(row)


def _regression(row: _Regression) -> Iterator[Gauge]:
    """Yield what is shown of a regression that is not resolved; open is what alerts look at."""
    labels = {
        "id": row.id,
        "check": row.check,
        "kind": row.kind,
        "direction": row.direction,
        "slice": row.slice,
    }
    if row.state in FIRING:
        yield Gauge("evalspan_regression_open", 1, labels)
    yield Gauge("evalspan_regression_state", 1, {**labels, "state": row.state})
    values = {
        "effect": row.effect,
        "baseline_score": row.baseline_score,
        "candidate_score": row.candidate_score,
        "change_timestamp_seconds": row.change_time_unix_seconds,
    }
    for name, value in values.items():
        if value is not None:
            yield Gauge(f"evalspan_regression_{name}", value, labels)
    for side, count in (("baseline", row.baseline_n), ("candidate", row.candidate_n)):
        if count is not None:
            yield Gauge("evalspan_regression_samples", count, {**labels, "side": side})


def _accounts(path: Path) -> Iterator[Gauge]:
    """Yield what the tables lack; nothing before the analysis has counted it."""
    word, damaged = _read(path, _Accounts)
    yield damaged
    if word.spans_unaccounted is not None:
        yield Gauge("evalspan_spans_unaccounted", word.spans_unaccounted)
    for check, count in word.evaluations_unaccounted.items():
        yield Gauge("evalspan_evaluations_unaccounted", count, {"check": check})
    for check, count in word.evaluations_pending.items():
        yield Gauge("evalspan_evaluations_pending", count, {"check": check})

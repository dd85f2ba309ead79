"""The two equations of the ledger, from the tables and the log, none from memory."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from evalspan import store, wal
from evalspan.model import EVENTS, LEDGER, QUARANTINE, SCORES, SPANS, Table
from evalspan.pipeline._log import last_done

# A segment takes seconds to come and less to count: a second try nearly always suffices.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One equation. `balanced` says whether it holds."""

    subject: str
    received: int
    stored: int
    duplicate: int
    quarantined: int
    pending: int
    reasons: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    """Stored log records whose content could not be put into their spans, by error."""

    @property
    def balanced(self) -> bool:
        """Received = stored + duplicate + quarantined + pending."""
        return self.received == self.stored + self.duplicate + self.quarantined + self.pending


@dataclass(frozen=True, slots=True)
class CheckLine:
    """The equation of one check. `pending` is what a judge has still to answer.

    `asked` is how many a judge was left with, in all: what was written beside the scores
    counts nothing of them as done. A check without a judge has none, and so nothing pending.
    """

    check: str
    expected: int
    done: int
    skipped: int
    error: int
    pending: int
    reasons: dict[str, int] = field(default_factory=dict)
    asked: int = 0

    @property
    def balanced(self) -> bool:
        """Expected = done + skipped + error + pending, and no more pending than was asked."""
        return 0 <= self.pending <= self.asked


@dataclass(frozen=True, slots=True)
class Rejected:
    """Requests that were answered with an error, by reason.

    They were never accepted and most of them never read, so that nobody knows how many
    spans they held; a sender that was told to come again may have done so.
    """

    signal: str
    reason: str
    requests: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of everything received and everything to be evaluated.

    `rejected` stands beside the equations: its requests are in no other number.
    """

    lines: tuple[Line, ...]
    checks: tuple[CheckLine, ...]
    rejected: tuple[Rejected, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether every equation holds."""
        received = all(line.balanced for line in self.lines)
        return received and all(line.balanced for line in self.checks)

    @property
    def pending(self) -> int:
        """Everything that is still to be done."""
        waiting = sum(line.pending for line in self.lines)
        return waiting + sum(line.pending for line in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "balanced": self.balanced,
            "pending": self.pending,
            "received": [asdict(line) | {"balanced": line.balanced} for line in self.lines],
            "checks": [asdict(line) | {"balanced": line.balanced} for line in self.checks],
            "rejected": [asdict(line) for line in self.rejected],
        }


def rejected_of(word: Mapping[str, Any]) -> tuple[Rejected, ...]:
    """Return the requests that the receiver refused, from the word that it leaves."""
    by_signal = sorted(word.get("rejected_in_all", {}).items())
    return tuple(
        Rejected(signal, reason, count)
        for signal, reasons in by_signal
        for reason, count in sorted(reasons.items())
    )


def ledger(log_folder: Path, tables: store.Store, rejected: tuple[Rejected, ...] = ()) -> Ledger:
    """Count rows of the tables against what the log received.

    `received` was counted from the bytes, apart from the decoding; `stored` and
    `quarantined` are the rows that can be read now. It is one moment of a running
    sidecar: segments up to the last one in LEDGER by their rows, later ones by what
    the log holds; if a segment was finished in between, everything is counted anew.
    """
    for _ in range(_TRIES):
        done = last_done(log_folder, tables)
        found = replace(_ledger(log_folder, _Until(tables, done)), rejected=rejected)
        if last_done(log_folder, tables) == done:
            return found
    return found


@dataclass(frozen=True, slots=True)
class _Until:
    """The tables as they were when segment `last` was done."""

    tables: store.Store
    last: int | None

    def scan(self, table: Table) -> pl.LazyFrame:
        frame = self.tables.scan(table)
        return frame if self.last is None else frame.filter(pl.col("segment") <= self.last)


def _ledger(log_folder: Path, tables: _Until) -> Ledger:
    written = _written(tables)
    waiting = _waiting(log_folder, tables.last or 0)
    rows = {
        "spans": (_rows(tables, SPANS), _quarantined(tables, "traces")),
        "log_records": (_rows(tables, EVENTS, source="log"), _quarantined(tables, "logs")),
    }
    lines = []
    for subject, (stored, quarantined) in rows.items():
        counts = written.get(subject, Counter())
        pending = waiting[subject]
        line = Line(
            subject,
            counts["received"] + pending,
            stored,
            counts["duplicate"],
            sum(quarantined.values()),
            pending,
            quarantined,
            _by_reason(counts, "unread"),
        )
        lines.append(line)
    return Ledger(tuple(lines), tuple(_checks(tables, written)))


def _written(tables: _Until) -> dict[str, Counter[str]]:
    frame = tables.scan(LEDGER).group_by("subject", "outcome", "reason").agg(pl.col("count").sum())
    totals: dict[str, Counter[str]] = {}
    for subject, outcome, reason, count in frame.collect().iter_rows():
        counter = totals.setdefault(subject, Counter())
        counter[outcome] += count
        if outcome in {"skipped", "unread"}:
            counter[f"{outcome}:{reason}"] += count
    return totals


def _by_reason(counts: Counter[str], outcome: str) -> dict[str, int]:
    return {k.partition(":")[2]: n for k, n in counts.items() if k.startswith(f"{outcome}:")}


def _waiting(log_folder: Path, done: int) -> Counter[str]:
    """Count what is in the log and not in the ledger."""
    totals: Counter[str] = Counter(spans=0, log_records=0)
    for row in wal.inspect(log_folder, after=done):
        totals["spans"] += row["spans"]
        totals["log_records"] += row["log_records"]
    return totals


def _rows(tables: _Until, table: Table, source: str | None = None) -> int:
    frame = tables.scan(table)
    if source is not None:
        frame = frame.filter(pl.col("source") == source)
    return int(frame.select(pl.len()).collect().item())


def _quarantined(tables: _Until, signal: str) -> dict[str, int]:
    frame = tables.scan(QUARANTINE).filter(pl.col("signal") == signal)
    return dict(frame.group_by("reason").len().collect().iter_rows())


def _checks(tables: _Until, written: dict[str, Counter[str]]) -> list[CheckLine]:
    # A trace that was forgotten counts as a new one where a span of it comes again.
    verdict = ["check", "trace_id", "span_id", "attempt", "segment"]
    scores = tables.scan(SCORES).filter(pl.col("evaluator").is_in(["check", "judge"]))
    outcomes = (
        scores.group_by(verdict)
        .agg(
            error=(pl.col("error").is_not_null() & (pl.col("item") == "")).any()
            | pl.col("error").is_not_null().all(),
            skipped=pl.col("skipped").is_not_null().all(),
        )
        .group_by("check")
        .agg(
            error=pl.col("error").sum(),
            skipped=pl.col("skipped").sum(),
            rows=pl.len(),
        )
        .collect()
    )
    made = {row["check"]: row for row in outcomes.iter_rows(named=True)}
    lines = []
    for subject, counts in sorted(written.items()):
        if not subject.startswith("check:"):
            continue
        check = subject.removeprefix("check:")
        row = made.get(check, {"error": 0, "skipped": 0, "rows": 0})
        skipped = counts["skipped"]
        done = row["rows"] - row["error"] - row["skipped"]
        reasons = _by_reason(counts, "skipped")
        pending = counts["expected"] - done - skipped - row["error"]
        asked = counts["expected"] - skipped - counts["done"] - counts["error"]
        lines.append(
            CheckLine(
                check, counts["expected"], done, skipped, row["error"], pending, reasons, asked
            ),
        )
    return lines

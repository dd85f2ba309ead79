"""The two equations of the ledger, from the tables and the log, none from memory."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from evalspan import store, wal
from evalspan.model import EVENTS, LEDGER, QUARANTINE, SCORES, SPANS, Table


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

    @property
    def balanced(self) -> bool:
        """Received = stored + duplicate + quarantined + pending."""
        return self.received == self.stored + self.duplicate + self.quarantined + self.pending


@dataclass(frozen=True, slots=True)
class CheckLine:
    """The equation of one check. `pending` is what a judge has still to answer."""

    check: str
    expected: int
    done: int
    skipped: int
    error: int
    pending: int
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Expected = done + skipped + error + pending, nothing below zero."""
        return self.pending >= 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of everything received and everything to be evaluated."""

    lines: tuple[Line, ...]
    checks: tuple[CheckLine, ...]

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
        }


def ledger(log_folder: Path, tables: store.Store) -> Ledger:
    """Count rows of the tables against what the log received.

    `received` was counted from the bytes, apart from the decoding; `stored` and
    `quarantined` are the rows that can be read now.
    """
    written = _written(tables)
    waiting = _waiting(log_folder, tables)
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
        )
        lines.append(line)
    return Ledger(tuple(lines), tuple(_checks(tables, written)))


def _written(tables: store.Store) -> dict[str, Counter[str]]:
    frame = tables.scan(LEDGER).group_by("subject", "outcome", "reason").agg(pl.col("count").sum())
    totals: dict[str, Counter[str]] = {}
    for subject, outcome, reason, count in frame.collect().iter_rows():
        counter = totals.setdefault(subject, Counter())
        counter[outcome] += count
        if outcome == "skipped":
            counter[f"skipped:{reason}"] += count
    return totals


def _waiting(log_folder: Path, tables: store.Store) -> Counter[str]:
    """Count what is in the log and not in the ledger."""
    totals: Counter[str] = Counter(spans=0, log_records=0)
    app = wal.log_id(log_folder)
    done = tables.committed(LEDGER, app) if app else 0
    for row in wal.inspect(log_folder):
        if row["segment"] > done:
            totals["spans"] += row["spans"]
            totals["log_records"] += row["log_records"]
    return totals


def _rows(tables: store.Store, table: Table, source: str | None = None) -> int:
    frame = tables.scan(table)
    if source is not None:
        frame = frame.filter(pl.col("source") == source)
    return int(frame.select(pl.len()).collect().item())


def _quarantined(tables: store.Store, signal: str) -> dict[str, int]:
    frame = tables.scan(QUARANTINE).filter(pl.col("signal") == signal)
    return dict(frame.group_by("reason").len().collect().iter_rows())


def _checks(tables: store.Store, written: dict[str, Counter[str]]) -> list[CheckLine]:
    verdict = ["check", "trace_id", "span_id", "attempt"]
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
        reasons = {k.partition(":")[2]: n for k, n in counts.items() if k.startswith("skipped:")}
        pending = counts["expected"] - done - skipped - row["error"]
        lines.append(
            CheckLine(check, counts["expected"], done, skipped, row["error"], pending, reasons),
        )
    return lines

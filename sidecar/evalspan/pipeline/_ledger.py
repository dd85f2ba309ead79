"""The two equations of the ledger, from the tables and the log, none from memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from evalspan import store, wal
from evalspan.model import EVENTS, LEDGER, QUARANTINE, SCORES, SPANS, Table

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
    `quarantined` are the rows that can be read now. It is one moment of a running
    sidecar: segments up to the last one in LEDGER by their rows, later ones by what
    the log holds; if a segment was finished in between, everything is counted anew.
    """
    app = wal.log_id(log_folder)
    for _ in range(_TRIES):
        done = tables.committed(LEDGER, app) if app else 0
        found = _ledger(log_folder, _Until(tables, done))
        if app is None or tables.committed(LEDGER, app) == done:
            return found
    return found


def pending_judgements(tables: store.Store, checklists: Iterable[str]) -> dict[str, int]:
    """Return checklist → how many spans its judge has still to answer."""
    written = _written(_Until(tables, None))
    scores = tables.scan(SCORES).filter(pl.col("evaluator") == "judge", pl.col("item") == "")
    made = dict(scores.group_by("check").len().collect().iter_rows())
    counts = {name: written.get(f"check:{name}", Counter()) for name in checklists}
    return {n: c["expected"] - c["skipped"] - made.get(n, 0) for n, c in counts.items()}


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
        )
        lines.append(line)
    return Ledger(tuple(lines), tuple(_checks(tables, written)))


def _written(tables: _Until) -> dict[str, Counter[str]]:
    frame = tables.scan(LEDGER).group_by("subject", "outcome", "reason").agg(pl.col("count").sum())
    totals: dict[str, Counter[str]] = {}
    for subject, outcome, reason, count in frame.collect().iter_rows():
        counter = totals.setdefault(subject, Counter())
        counter[outcome] += count
        if outcome == "skipped":
            counter[f"skipped:{reason}"] += count
    return totals


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
        asked = counts["expected"] - skipped - counts["done"] - counts["error"]
        lines.append(
            CheckLine(
                check, counts["expected"], done, skipped, row["error"], pending, reasons, asked
            ),
        )
    return lines

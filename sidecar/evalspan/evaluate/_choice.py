"""Which spans a check is asked about, and the ledger of what became of all of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from evalspan.evaluate._frame import numbers

Mask = NDArray[np.bool_]
_HASHES: Final = float(2**64)


class Asks(Protocol):
    """What a check and a checklist have in common: condition, sample and shape."""

    @property
    def match(self) -> pl.Expr | None:
        """Condition, None for all."""

    @property
    def sample(self) -> float:
        """Share of traces, 0 to 1."""

    @property
    def shape(self) -> str:
        """`trace`, or anything else for spans."""


class Count(NamedTuple):
    """One line of the ledger: subject (`check:NAME`), outcome, reason, how many."""

    subject: str
    outcome: str
    reason: str
    number: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """SCORES, and what became of everything that was to be evaluated."""

    scores: pa.Table
    counts: list[Count]

    def __add__(self, other: "Evaluated") -> "Evaluated":
        """Return the verdicts of both, and what became of everything together."""
        totals: Counter[tuple[str, str, str]] = Counter()
        for subject, outcome, reason, number in (*self.counts, *other.counts):
            totals[subject, outcome, reason] += number
        return Evaluated(
            pa.concat_tables([self.scores, other.scores]),
            [Count(*line, number) for line, number in totals.items()],
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows that a check is asked about, and how many subjects were left out and why.

    If the condition could not be computed, `problem` says why and `rows` is one row
    of each subject.
    """

    rows: Mask
    expected: int
    skipped: Mapping[str, int]
    problem: str = ""


class Chooser:
    """Says which rows of a frame a check is asked about; the first `new` rows are new."""

    def __init__(self, frame: pl.DataFrame, new: int) -> None:
        """Read the column `counts`; the frame is complete."""
        self._frame = frame
        self._new = np.arange(frame.height) < new
        self._counts = frame["counts"].fill_null(value=True).to_numpy()
        self._trace: NDArray[np.int64] | None = None

    def choose(self, check: Asks, *, sample: bool = True) -> Choice:
        """Return the rows for this check; without `sample` none is left to chance."""
        try:
            matches = self._matches(check.match)
        except Exception as error:  # noqa: BLE001 - a cast that this data does not fit; it is a row
            told = " ".join(str(error).split())[:300]
            return self.everyone(check, f"its match could not be computed: {told}")
        kept = self._sampled(check.sample if sample else 1)
        if check.shape == "trace":
            return self._traces(matches, kept)
        rows = self._new & self._counts
        return Choice(
            rows & matches & kept,
            int(self._new.sum()),
            {
                "duplicate": int((self._new & ~self._counts).sum()),
                "filter": int((rows & ~matches).sum()),
                "sampled": int((rows & matches & ~kept).sum()),
            },
        )

    def _matches(self, match: pl.Expr | None) -> Mask:
        height = self._frame.height
        if match is None:
            return np.ones(height, dtype=bool)
        answer = self._frame.select(answer=match)["answer"]
        if len(answer) == 1 != height:
            answer = answer.new_from_index(0, height)
        return answer.cast(pl.Boolean).fill_null(value=False).to_numpy()

    def everyone(self, check: Asks, problem: str) -> Choice:
        """Return one row of each subject, none of which can be asked because of a problem."""
        if check.shape != "trace":
            rows = self._new & self._counts
            duplicates = {"duplicate": int((self._new & ~self._counts).sum())}
            return Choice(rows, int(self._new.sum()), duplicates, problem)
        first = np.zeros(self._frame.height, dtype=bool)
        first[np.unique(self._numbers()[self._new], return_index=True)[1]] = True
        return Choice(first, int(first.sum()), {}, problem)

    def _traces(self, matches: Mask, kept: Mask) -> Choice:
        """Choose whole traces: those with a new span of which a span that counts matches."""
        trace = self._numbers()
        size = int(trace.max(initial=-1)) + 1
        is_new, matched, is_kept = (np.zeros(size, dtype=bool) for _ in range(3))
        is_new[trace[self._new]] = True
        matched[trace[self._counts & matches]] = True
        is_kept[trace[kept]] = True
        return Choice(
            (is_new & matched & is_kept)[trace] & self._counts,
            int(is_new.sum()),
            {
                "filter": int((is_new & ~matched).sum()),
                "sampled": int((is_new & matched & ~is_kept).sum()),
            },
        )

    def _numbers(self) -> NDArray[np.int64]:
        if self._trace is None:
            self._trace = numbers(self._frame["trace_id"])
        return self._trace

    def _sampled(self, share: float) -> Mask:
        if share >= 1:
            return np.ones(self._frame.height, dtype=bool)
        ids = self._frame["trace_id"].unique(maintain_order=True)
        kept = [xxhash.xxh3_64_intdigest(i.encode()) / _HASHES < share for i in ids]
        return np.asarray(kept, dtype=bool)[self._numbers()]


def asks_of(check: Asks, column: str) -> bool:
    """Say whether the condition of a check or checklist names a column."""
    return check.match is not None and column in check.match.meta.root_names()


def count(name: str, choice: Choice, verdicts: pl.DataFrame) -> list[Count]:
    """Return the ledger of one check: a span, or a trace, is one, however many items it has."""
    subject = f"check:{name}"
    failed = verdicts.filter(pl.col("error").is_not_null())["row"].n_unique()
    done = choice.expected - sum(choice.skipped.values()) - failed
    lines = [
        Count(subject, "expected", "", choice.expected),
        Count(subject, "done", "", done),
        *(Count(subject, "skipped", why, number) for why, number in choice.skipped.items()),
        Count(subject, "error", "", failed),
    ]
    return [line for line in lines if line.number]

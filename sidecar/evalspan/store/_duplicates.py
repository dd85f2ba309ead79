"""Recognise what was delivered twice within a window of time.

Delivery is at least once, and a repeat may come in a request that was batched
anew, so that it is recognised row by row: same ids, same bytes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

Keys = npt.NDArray[np.uint64]


Seconds = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Run:
    """Keys of some rows, sorted by their first half, and when each row was accepted."""

    first: Keys
    second: Keys
    accepted: Seconds

    def has(self, first: Keys, second: Keys, since: int) -> npt.NDArray[np.bool_]:
        place = np.minimum(np.searchsorted(self.first, first), len(self.first) - 1)
        found: npt.NDArray[np.bool_] = self.first[place] == first
        same: npt.NDArray[np.bool_] = found & (self.second[place] == second)
        return same & (self.accepted[place] >= since)

    def since(self, since: int) -> "_Run":
        young = self.accepted >= since
        return _Run(self.first[young], self.second[young], self.accepted[young])


class Duplicates:
    """Remembers the keys of rows for a window of time, 20 bytes a row.

    What is a repeat depends on the rows that are kept, when each was accepted, and the
    time of the segment, to the second, and on nothing else: who reads the kept rows
    back and goes on from there comes to the same answers.

    A key is a 64-bit hash of ids and content together, and `content`, the 64-bit
    hash of the bytes: two different rows are taken for one with a chance of about
    2^-128 per pair.
    Sorted runs are merged when they reach the same size, so that a look-up goes
    through few of them.
    """

    def __init__(self, ids: tuple[str, ...], window: timedelta) -> None:
        """Remember rows by these id columns and `content` for this long."""
        self.ids = ids
        self._window = window
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        """Return how many rows are remembered."""
        return sum(len(run.first) for run in self._runs)

    def mark(self, rows: pl.DataFrame, now: datetime) -> pl.Series:
        """Return which rows came before, in these rows or earlier; remember the others.

        `now` is the time of the segment: a row accepted longer before than the window is
        forgotten. Reads the ids, `content` and `received_time`.
        """
        since = self._since(now)
        self._runs = [run for run in self._runs if run.accepted.max(initial=0) >= since]
        if rows.is_empty():
            return pl.Series("duplicate", [], dtype=pl.Boolean)
        come = self._run(rows)
        seen = duplicates_of(come.first, come.second)
        for run in self._runs:
            seen |= run.has(come.first, come.second, since)
        self._add(_Run(come.first[~seen], come.second[~seen], come.accepted[~seen]), since)
        return pl.Series("duplicate", seen)

    def remember(self, rows: pl.DataFrame, now: datetime) -> None:
        """Remember rows that are stored already; `now` is the time of the next segment."""
        since = self._since(now)
        self._add(self._run(rows).since(since), since)

    def _since(self, now: datetime) -> int:
        return max(0, int((now - self._window).timestamp()))

    def _run(self, rows: pl.DataFrame) -> _Run:
        key = pl.struct(*self.ids, "content")
        first = rows.select(key.hash().alias("first"))["first"].to_numpy()
        accepted = rows["received_time"].dt.epoch("s").cast(pl.UInt32).to_numpy()
        return _Run(first, rows["content"].to_numpy().view(np.uint64), accepted)

    def _add(self, run: _Run, since: int) -> None:
        if len(run.first) == 0:
            return
        while self._runs and len(self._runs[-1].first) <= 2 * len(run.first):
            run = _joined(self._runs.pop().since(since), run)
        self._runs.append(_joined(run))


def _joined(*runs: _Run) -> _Run:
    first = np.concatenate([run.first for run in runs])
    second = np.concatenate([run.second for run in runs])
    accepted = np.concatenate([run.accepted for run in runs])
    order = np.argsort(first, kind="stable")
    return _Run(first[order], second[order], accepted[order])


def duplicates_of(first: Keys, second: Keys) -> npt.NDArray[np.bool_]:
    """Return which keys stand earlier in the same arrays."""
    order = np.lexsort((np.arange(len(first)), second, first))
    same = np.zeros(len(first), dtype=np.bool_)
    equal = (first[order][1:] == first[order][:-1]) & (second[order][1:] == second[order][:-1])
    same[order[1:]] = equal
    return same

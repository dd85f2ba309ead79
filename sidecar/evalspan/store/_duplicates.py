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


@dataclass(frozen=True, slots=True)
class _Run:
    """Keys of some rows, sorted by their first half; `newest` is when the last one came."""

    first: Keys
    second: Keys
    newest: datetime

    def has(self, first: Keys, second: Keys) -> npt.NDArray[np.bool_]:
        place = np.minimum(np.searchsorted(self.first, first), len(self.first) - 1)
        found: npt.NDArray[np.bool_] = self.first[place] == first
        same: npt.NDArray[np.bool_] = found & (self.second[place] == second)
        return same


class Duplicates:
    """Remembers the keys of rows for a window of time, 16 bytes a row.

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

        `now` is the time of the segment: what is older than the window is forgotten.
        """
        self._runs = [run for run in self._runs if run.newest >= now - self._window]
        if rows.is_empty():
            return pl.Series("duplicate", [], dtype=pl.Boolean)
        first, second = self._keys(rows)
        seen = duplicates_of(first, second)
        for run in self._runs:
            seen |= run.has(first, second)
        self._add(first[~seen], second[~seen], now)
        return pl.Series("duplicate", seen)

    def remember(self, rows: pl.DataFrame, now: datetime) -> None:
        """Remember rows that are stored already."""
        if not rows.is_empty():
            self._add(*self._keys(rows), now)

    def _keys(self, rows: pl.DataFrame) -> tuple[Keys, Keys]:
        key = pl.struct(*self.ids, "content")
        first = rows.select(key.hash().alias("first"))["first"].to_numpy()
        return first, rows["content"].to_numpy().view(np.uint64)

    def _add(self, first: Keys, second: Keys, now: datetime) -> None:
        if len(first) == 0:
            return
        run = _sorted_run(first, second, now)
        while self._runs and len(self._runs[-1].first) <= 2 * len(run.first):
            last = self._runs.pop()
            run = _sorted_run(
                np.concatenate([last.first, run.first]),
                np.concatenate([last.second, run.second]),
                max(last.newest, run.newest),
            )
        self._runs.append(run)


def _sorted_run(first: Keys, second: Keys, newest: datetime) -> _Run:
    order = np.argsort(first, kind="stable")
    return _Run(first[order], second[order], newest)


def duplicates_of(first: Keys, second: Keys) -> npt.NDArray[np.bool_]:
    """Return which keys stand earlier in the same arrays."""
    order = np.lexsort((np.arange(len(first)), second, first))
    same = np.zeros(len(first), dtype=np.bool_)
    equal = (first[order][1:] == first[order][:-1]) & (second[order][1:] == second[order][:-1])
    same[order[1:]] = equal
    return same

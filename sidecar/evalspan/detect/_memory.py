"""What one look knew, for the next look at the same history and what came since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from evalspan.detect._compare import Claim
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slice
from evalspan.detect._states import Incident
from evalspan.detect._stream import Ints, Mask
from evalspan.detect._walk import Known, Walker


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows by a hash of 64 bits each: a history of every check would take much memory."""

    columns: pl.Schema
    hashes: pl.Series

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "_Rows":
        """Hash every row over all columns."""
        return cls(rows.schema, rows.hash_rows())

    def same(self, new: "_Rows") -> int:
        """Number of rows from the first on that are the same in every column."""
        if self.columns != new.columns:
            return 0
        height = min(len(self.hashes), len(new.hashes))
        differs = (self.hashes.head(height) != new.hashes.head(height)).to_numpy()
        return int(differs.argmax()) if differs.any() else height


class Memory:
    """The last look at one stream of verdicts.

    After a batch nothing depends on later rows. So a look at the same rows and some more judges
    the new batches alone; where rows came late it goes back to before them, and where the history
    begins elsewhere, or settings changed, to the beginning. It says the same as a look without a
    memory, but for the rounding of weighted sums.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._rows = _Rows.of(pl.DataFrame())
        self._settings: DetectSettings | None = None
        self._batch: Ints = np.zeros(0, dtype=np.int64)
        self._first_test = -1
        self._names: Sequence[Slice] = ()
        self._known: list[Known] = []

    def keep(self, walker: Walker, rows: pl.DataFrame) -> None:
        """Remember a walk over ``rows``, in their order, that has come to its end."""
        self._rows, self._settings = _Rows.of(rows), walker.settings
        self._batch, self._first_test = walker.stream.batch, walker.stream.first_test
        self._names, self._known = walker.slices.names, walker.known

    def resume(self, walker: Walker, rows: pl.DataFrame) -> None:
        """Let a walk over ``rows`` go on from where they are the same as those remembered."""
        stream = walker.stream
        if (walker.settings, stream.first_test) != (self._settings, self._first_test):
            return
        same = self._rows.same(_Rows.of(rows))
        # a batch is the same if all its rows are: the one of the first other row is not
        others = [batch[same] for batch in (self._batch, stream.batch) if same < len(batch)]
        batches = int(min(others, default=len(stream.ends)))
        known = self._known[: max(0, batches - stream.first_test)]
        numbers = {name: number for number, name in enumerate(walker.slices.names)}
        if known and all(name in numbers for name in self._used(known)):
            rows_kept = int(np.searchsorted(stream.batch, batches))
            walker.go_on(self._moved(known, numbers, rows_kept, len(stream.batch)))

    def _used(self, known: Sequence[Known]) -> set[Slice]:
        """Names of the slices of all claims."""
        incidents = [incident for each in known for incident in each.incidents]
        return {self._names[c.slice] for i in incidents for c in (i.first, i.claim)}

    def _moved(
        self, known: Sequence[Known], numbers: Mapping[Slice, int], kept: int, size: int
    ) -> list[Known]:
        """What was known, in numbers of the new walk: more rows, other numbers of slices."""
        masks: dict[int, Mask] = {}

        def mask(old: Mask) -> Mask:
            if id(old) not in masks:
                masks[id(old)] = np.zeros(size, dtype=np.bool_)
                masks[id(old)][:kept] = old[:kept]
            return masks[id(old)]

        def claim(old: Claim) -> Claim:
            return replace(old, slice=numbers[self._names[old.slice]])

        def incident(old: Incident) -> Incident:
            first, now = claim(old.first), claim(old.claim)
            return replace(old, first=first, claim=now, left_out=mask(old.left_out))

        return [
            replace(
                each,
                incidents=tuple(incident(old) for old in each.incidents),
                left_out=mask(each.left_out),
            )
            for each in known
        ]

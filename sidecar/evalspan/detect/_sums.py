"""Sums of scores per slice, stratum and batch, running over all batches or up to one."""

from dataclasses import dataclass, field

import numpy as np

from evalspan.detect._slices import Slices
from evalspan.detect._stream import Floats, Ints, Mask, Stream
from evalspan.stats import sums_by


@dataclass(frozen=True)
class Membership:
    """Which rows lie in which cell, a cell being the rows of one slice in one stratum.

    Entries are pairs of ``row`` and ``cell`` in order of batches, those of a batch beginning at
    its ``offset``; ``start`` is the first cell of each slice and ``cells`` their number.
    """

    row: Ints
    cell: Ints
    offset: Ints
    start: Ints
    cells: int


@dataclass(frozen=True)
class Cells:
    """Running sums per cell.

    ``sums`` has shape (4, batches + 1, cells): weight, weight², weight·score, weight·score² of
    the rows before a batch; ``base`` the same of rows that may serve as baseline; ``start`` is
    the first cell of each slice.
    """

    sums: Floats
    base: Floats
    start: Ints

    def of(self, number: int) -> slice:
        """Cells of one slice."""
        stop = self.start[number + 1] if number + 1 < len(self.start) else self.sums.shape[2]
        return slice(int(self.start[number]), int(stop))


@dataclass
class Tally:
    """Sums per cell of the rows that ``keep`` marks, up to one batch after another."""

    moments: Floats
    membership: Membership
    keep: Mask
    until: int = -1
    sums: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Begin before the first batch."""
        self.sums = np.zeros((4, self.membership.cells))

    def at(self, batch: int) -> Floats:
        """Sums of the rows until a batch, shape (4, cells); going forward costs the new rows."""
        if batch < self.until:
            self.until, self.sums = -1, np.zeros_like(self.sums)
        first, last = self.membership.offset[[self.until + 1, batch + 1]]
        rows = self.membership.row[first:last]
        kept = self.keep[rows]
        cells, rows = self.membership.cell[first:last][kept], rows[kept]
        size = self.membership.cells
        fresh = np.stack([sums_by(cells, moment[rows], size) for moment in self.moments])
        self.until, self.sums = batch, self.sums + fresh
        return self.sums


def moments(stream: Stream) -> Floats:
    """Weight, weight², weight·score, weight·score² of each row, shape (4, rows)."""
    w, y = stream.weight, stream.score
    return np.stack([w, w * w, w * y, w * y * y])


def find_members(stream: Stream, slices: Slices) -> Membership:
    """All pairs of a row and a cell it lies in, in order of batches."""
    start, parts = [0], []
    for rows in slices.rows:
        strata = stream.strata[rows]
        used = np.bincount(strata) > 0
        parts.append((np.cumsum(used) - 1)[strata] + start[-1])
        start.append(start[-1] + int(used.sum()))
    row, cell = np.concatenate(slices.rows), np.concatenate(parts)
    batch = stream.batch[row]
    # small numbers are sorted in linear time
    order = np.argsort(batch.astype(np.min_scalar_type(len(stream.ends))), kind="stable")
    return Membership(
        row=row[order],
        cell=cell[order],
        offset=np.searchsorted(batch[order], np.arange(len(stream.ends) + 1)),
        start=np.array(start[:-1], dtype=np.int64),
        cells=start[-1],
    )


def count_cells(stream: Stream, membership: Membership, keep: Mask) -> Cells:
    """Running sums of every cell over the rows that ``keep`` marks."""
    sums = _per_batch(stream, membership, keep)
    base = sums if stream.base.all() else _per_batch(stream, membership, keep & stream.base)
    return Cells(sums, base, membership.start)


def _per_batch(stream: Stream, membership: Membership, keep: Mask) -> Floats:
    kept = keep[membership.row]
    return running_sums(stream, membership.row[kept], membership.cell[kept], membership.cells)


def running_sums(stream: Stream, row: Ints, label: Ints, width: int) -> Floats:
    """Sums of the moments of rows before each batch per label, shape (4, batches + 1, labels)."""
    height = len(stream.ends) + 1
    flat = (stream.batch[row] + 1) * width + label
    sums = [sums_by(flat, moment[row], height * width) for moment in moments(stream)]
    return np.asarray(np.cumsum(np.stack(sums).reshape(4, height, width), axis=1))

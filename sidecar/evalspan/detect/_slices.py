"""Slices of a stream and their running sums per stratum and batch."""

import json
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evalspan.detect._settings import DetectSettings
from evalspan.detect._stream import Floats, Ints, Mask, Stream
from evalspan.stats import sums_by

Slice = tuple[tuple[str, str], ...]
"""Attribute and value pairs, ordered by attribute; empty for everything."""


@dataclass(frozen=True)
class Slices:
    """Every slice with its rows, the first being everything.

    ``prefix[g, b]`` is a hash of the set of rows of slice g in batches before b: two slices
    with equal hashes have had the same rows so far and are one hypothesis.
    """

    names: list[Slice]
    rows: list[Ints]
    prefix: NDArray[np.uint64]
    depth: Ints


@dataclass(frozen=True)
class Cells:
    """Running sums per cell, a cell being the rows of one slice in one stratum.

    ``sums`` has shape (4, batches + 1, cells): weight, weight², weight·score, weight·score² of
    the rows before a batch; ``start`` is the first cell of each slice.
    """

    sums: Floats
    start: Ints

    def of(self, number: int) -> slice:
        """Cells of one slice."""
        stop = self.start[number + 1] if number + 1 < len(self.start) else self.sums.shape[2]
        return slice(int(self.start[number]), int(stop))


def name_json(name: Slice) -> str:
    """The slice as JSON object text with ordered keys."""
    return json.dumps(dict(name), sort_keys=True, ensure_ascii=False)


def find_slices(stream: Stream, settings: DetectSettings) -> Slices:
    """All slices of one and two attributes that ever reach the minimum sample on both sides."""
    count = len(stream.time)
    batches = len(stream.ends)
    marks = np.random.default_rng(0).integers(0, 2**63, count, dtype=np.uint64)
    found: list[tuple[int, int, Slice, Ints]] = []
    for size in (1, 2):
        for names in combinations(sorted(settings.dimensions), size):
            found += _combinations(stream, names, settings.minimum_sample)
    # those that fill first are kept: a choice that later rows cannot change
    found.sort(key=lambda item: (item[0], item[1], item[2]))
    kept = sorted(found[: settings.max_slices], key=lambda item: (item[1], item[2]))
    names_all: list[Slice] = [(), *(item[2] for item in kept)]
    rows = [np.arange(count), *(item[3] for item in kept)]
    prefix = np.zeros((len(rows), batches + 1), dtype=np.uint64)
    for number, members in enumerate(rows):
        np.add.at(prefix[number], stream.batch[members] + 1, marks[members])
    return Slices(
        names_all,
        rows,
        np.cumsum(prefix, axis=1, dtype=np.uint64),
        np.array([len(name) for name in names_all]),
    )


def _combinations(
    stream: Stream, names: tuple[str, ...], minimum: int
) -> list[tuple[int, int, Slice, Ints]]:
    """Slices over the named dimensions as (batch when filled, depth, name, rows)."""
    columns = [stream.codes[name] for name in names]
    known = np.flatnonzero(np.logical_and.reduce([column >= 0 for column in columns]))
    if known.size == 0:
        return []
    label = np.zeros(known.size, dtype=np.int64)
    for name, column in zip(names, columns, strict=True):
        label = label * len(stream.values[name]) + column[known]
    order = np.argsort(label, kind="stable")
    values, starts = np.unique(label[order], return_index=True)
    found = []
    for value, members in zip(values, np.split(known[order], starts[1:]), strict=True):
        if members.size < 2 * minimum:
            continue
        parts = []
        rest = int(value)
        for name in reversed(names):
            rest, number = divmod(rest, len(stream.values[name]))
            parts.append((name, stream.values[name][number]))
        filled = int(stream.batch[members[2 * minimum - 1]])
        found.append((filled, len(names), tuple(reversed(parts)), members))
    return found


def running_sums(stream: Stream, slices: Slices, keep: Mask) -> Cells:
    """Running sums of every slice over the rows that ``keep`` marks."""
    width = int(stream.strata.max(initial=0)) + 1
    batches = len(stream.ends)
    moments = np.stack(
        [
            stream.weight,
            stream.weight**2,
            stream.weight * stream.score,
            stream.weight * stream.score**2,
        ]
    )
    moments = moments * keep
    owner = np.concatenate([np.full(len(rows), number) for number, rows in enumerate(slices.rows)])
    members = np.concatenate(slices.rows)
    cell_label = owner * width + stream.strata[members]
    labels, cell = np.unique(cell_label, return_inverse=True)
    flat = (stream.batch[members] + 1) * labels.size + cell
    size = (batches + 1) * labels.size
    sums = np.stack([sums_by(flat, moment[members], size) for moment in moments])
    sums = np.cumsum(sums.reshape(4, batches + 1, labels.size), axis=1)
    numbers = labels // width
    start = np.searchsorted(numbers, np.arange(len(slices.rows)))
    return Cells(sums, start.astype(np.int64))

"""Slices of a stream: the row sets that are watched, with their names."""

import json
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evalspan.detect._settings import DetectSettings
from evalspan.detect._stream import Ints, Stream

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

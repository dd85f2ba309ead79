"""Which attribute values hold the failures of a total, over many dimensions at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from evalspan.stats import sums_by

Floats = NDArray[np.float64]

PRIOR_TOTAL = 100.0
"""Counts by which a set's rate before is drawn to the overall rate."""
DENSITY_POWER = 0.2
"""Weight of the density of excess failures against their number."""
SMALLEST_Z = 2.0
LARGEST_DEPTH = 3
CAUSE_SHARE = 0.3
"""A further cause holds at least this share of all excess failures."""
TAIL = 0.999
"""Quantile of the calmer side's deviations that the noise must account for."""
SMALLEST_NOISE = 0.01
SLACK_NATS = 2.0
MOST_CAUSES = 10

LOCALISED = pl.Schema(
    {
        "slice": pl.String(),
        "score": pl.Float64(),
        "excess": pl.Float64(),
        "z": pl.Float64(),
        "cause": pl.Boolean(),
    }
)
"""Columns of a localisation; ``cause`` marks the sets that together make the answer."""


@dataclass(frozen=True)
class Leaves:
    """Leaf rows with codes of their dimensions and the sorted values these number."""

    codes: list[NDArray[np.int64]]
    values: list[list[str]]
    names: tuple[str, ...]

    def labels(self, chosen: tuple[int, ...]) -> tuple[NDArray[np.int64], tuple[int, ...]]:
        """Number of each leaf's combination over the chosen dimensions, and the sizes."""
        sizes = tuple(len(self.values[i]) for i in chosen)
        return np.ravel_multi_index([self.codes[i] for i in chosen], sizes), sizes

    def name(self, chosen: tuple[int, ...], cell: int, sizes: tuple[int, ...]) -> str:
        """The combination as JSON object text with ordered keys."""
        numbers = np.unravel_index(cell, sizes)
        pairs = {
            self.names[i]: self.values[i][int(n)] for i, n in zip(chosen, numbers, strict=True)
        }
        return json.dumps(pairs, sort_keys=True, ensure_ascii=False)


def localise(
    leaves: pl.DataFrame,
    dimensions: Sequence[str],
    depth: int = LARGEST_DEPTH,
) -> pl.DataFrame:
    """Sets of attribute values by their excess failures, most first.

    ``leaves`` has the dimensions and the counts ``failed``, ``total`` now and ``failed_before``,
    ``total_before``. Excess E = failed − total·r0, r0 the rate before drawn to the overall rate;
    score E·(E/total)^0.2, so that of two sets with like excess the denser stands first; sets with
    z ≤ 2 are left out. Columns of :data:`LOCALISED`.
    """
    coded = _encode(leaves, dimensions)
    counts = np.stack(
        [
            leaves[name].cast(pl.Float64).to_numpy()
            for name in ("failed", "total", "failed_before", "total_before")
        ]
    )
    rate = counts[2].sum() / max(counts[3].sum(), 1.0)
    whole = max(counts[0].sum() - counts[1].sum() * rate, 0.0)
    live = np.ones(counts.shape[1], dtype=np.bool_)
    found = _excesses(coded, counts, live, rate, depth)
    causes: list[str] = []
    rest = found
    while rest and rest[0][2] >= CAUSE_SHARE * whole and len(causes) < MOST_CAUSES:
        causes.append(rest[0][0])
        live &= ~_members(coded, leaves, rest[0][0])
        rest = _excesses(coded, counts, live, rate, depth)
    rows = [(name, score, excess, z, name in causes) for name, score, excess, z in found]
    return pl.DataFrame(rows, schema=LOCALISED, orient="row")


def _excesses(
    coded: Leaves, counts: Floats, live: NDArray[np.bool_], rate: float, depth: int
) -> list[tuple[str, float, float, float]]:
    """Name, score, excess and z of each set with an excess, by score."""
    found = []
    for chosen in _subsets(len(coded.names), depth):
        label, sizes = coded.labels(chosen)
        sums = [sums_by(label[live], c[live], int(np.prod(sizes))) for c in counts]
        failed, total, failed0, total0 = sums
        before = (failed0 + PRIOR_TOTAL * rate) / (total0 + PRIOR_TOTAL)
        excess = failed - total * before
        # the noise of the rate before is part of the noise of the excess
        variance = total * before * (1 - before) * (1 + total / (total0 + PRIOR_TOTAL))
        z = excess / np.sqrt(np.maximum(variance, 1e-9))
        for cell in np.flatnonzero((z > SMALLEST_Z) & (total > 0)):
            score = excess[cell] * (excess[cell] / total[cell]) ** DENSITY_POWER
            name = coded.name(chosen, int(cell), sizes)
            found.append((name, float(score), float(excess[cell]), float(z[cell])))
    return sorted(found, key=lambda item: (-item[1], item[0]))


def localise_values(leaves: pl.DataFrame, dimensions: Sequence[str]) -> pl.DataFrame:
    """Sets of attribute values whose leaves deviate together from their forecast.

    ``leaves`` has the dimensions, ``real`` and ``predict``. A leaf deviates by
    2·(predict − real)/(predict + real); the noise is robust, by the median absolute deviation and
    the tail of the calmer side. A set's evidence is n·mean²/2 in units of the noise, minus the log
    of the number of sets of its kind and one nat per attribute. The best set is taken, its leaves
    put aside, until what is left is noise; all have the direction of the first.
    """
    coded = _encode(leaves, dimensions)
    real, predict = (leaves[key].cast(pl.Float64).to_numpy() for key in ("real", "predict"))
    live = (real + predict) > 0
    deviation = np.zeros(len(real))
    deviation[live] = 2 * (predict - real)[live] / (predict + real)[live]
    deviation -= np.median(deviation[live]) if live.any() else 0.0
    scaled = deviation / _noise(deviation[live])
    rows: list[tuple[str, float, float, float, bool]] = []
    side = 0.0
    while live.any() and len(rows) < MOST_CAUSES:
        name, nats, z, members = _strongest(coded, scaled, live, side)
        if nats < SLACK_NATS + len(coded.names) * np.log(2):
            break
        side = side or float(np.sign(z))
        excess = float((real - predict)[members & live].sum())
        rows.append((name, nats, excess, z, True))
        live = live & ~members
    return pl.DataFrame(rows, schema=LOCALISED, orient="row")


def _strongest(
    coded: Leaves, scaled: Floats, live: NDArray[np.bool_], side: float
) -> tuple[str, float, float, NDArray[np.bool_]]:
    best: tuple[float, tuple[int, ...], int, float] = (-np.inf, (), 0, 0.0)
    for chosen in _subsets(len(coded.names), len(coded.names)):
        label, sizes = coded.labels(chosen)
        size = int(np.prod(sizes))
        n = np.bincount(label[live], minlength=size)
        total = sums_by(label[live], scaled[live], size)
        nats = total**2 / (2 * np.maximum(n, 1)) - np.log(size) - len(chosen)
        nats = np.where((n > 0) & (total * side >= 0), nats, -np.inf)
        cell = int(nats.argmax())
        if nats[cell] > best[0]:
            best = (float(nats[cell]), chosen, cell, float(total[cell] / np.sqrt(n[cell])))
    label, sizes = coded.labels(best[1])
    return coded.name(best[1], best[2], sizes), best[0], best[3], label == best[2]


def _noise(deviation: Floats) -> float:
    if not deviation.size:
        return SMALLEST_NOISE
    middle = float(np.median(np.abs(deviation))) / float(scipy.special.ndtri(0.75))
    low, high = np.quantile(deviation, [1 - TAIL, TAIL])
    # causes push one side out; the other side shows the tail of the noise alone
    tail = min(float(high), -float(low)) / float(scipy.special.ndtri(TAIL))
    return max(middle, tail, SMALLEST_NOISE)


def _subsets(count: int, depth: int) -> list[tuple[int, ...]]:
    return [c for size in range(1, min(depth, count) + 1) for c in combinations(range(count), size)]


def _encode(leaves: pl.DataFrame, dimensions: Sequence[str]) -> Leaves:
    codes, values = [], []
    for name in dimensions:
        text = leaves[name].cast(pl.String).fill_null("")
        known = text.unique().sort().to_list()
        numbers = {value: number for number, value in enumerate(known)}
        codes.append(text.replace_strict(numbers, return_dtype=pl.Int64).to_numpy())
        values.append(known)
    return Leaves(codes, values, tuple(dimensions))


def _members(coded: Leaves, leaves: pl.DataFrame, name: str) -> NDArray[np.bool_]:
    mask = np.ones(leaves.height, dtype=np.bool_)
    for key, value in json.loads(name).items():
        position = coded.names.index(key)
        mask &= coded.codes[position] == coded.values[position].index(value)
    return mask

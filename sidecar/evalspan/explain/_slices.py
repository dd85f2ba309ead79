"""Slices of one and two attributes, ranked by the evidence that they changed."""

import json
import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evalspan.explain._settings import ExplainSettings
from evalspan.explain._sides import Floats, Ints, Mask, Sides
from evalspan.stats import (
    Sums,
    mixture_log_evidence,
    stratified_difference,
    stratified_sums,
    sums_by,
)

STILL_CHANGES = 2.0
"""z at which the rest of a slice, without the rows of another, is said to change too."""
ONE_SIGMA = 0.6826894921370859
RIVALS = 4


@dataclass(frozen=True)
class Ranked:
    """A slice with its evidence in nats; ``aliases`` name the same rows."""

    name: dict[str, str]
    aliases: tuple[dict[str, str], ...]
    nats: float
    rows: Mask

    @property
    def key(self) -> float:
        """Evidence minus one nat per attribute."""
        return self.nats - len(self.name)


def ranked(sides: Sides, settings: ExplainSettings) -> list[Ranked]:
    """Slices in the direction of the regression by rank, the best name of each first."""
    marks = np.random.default_rng(0).integers(0, 2**62, len(sides.score))
    everything = int(marks.sum())
    groups: dict[int, list[tuple[dict[str, str], float]]] = {}
    for size in (1, 2):
        for names in combinations(sorted(settings.dimensions), size):
            for name, nats, mark in _combination(sides, names, marks, settings.minimum_sample):
                groups.setdefault(mark, []).append((name, nats))
    groups.pop(everything, None)
    found = [
        Ranked(same[0][0], tuple(name for name, _ in same[1:]), same[0][1], sides.rows(same[0][0]))
        for same in groups.values()
        if same[0][1] > 0
    ]
    found.sort(key=lambda item: (-item.key, json.dumps(item.name, sort_keys=True)))
    return _best_names_first(sides, found)


def _combination(
    sides: Sides, names: tuple[str, ...], marks: Ints, minimum: int
) -> list[tuple[dict[str, str], float, int]]:
    """Name, evidence and row-set hash of each combination of values with enough rows."""
    columns = [sides.codes[name] for name in names]
    known = np.logical_and.reduce([column >= 0 for column in columns])
    sizes = [len(sides.values[name]) for name in names]
    if not known.any():
        return []
    label = np.ravel_multi_index([column[known] for column in columns], sizes)
    width = int(sides.strata.max(initial=0)) + 1
    total = int(np.prod(sizes))
    flat = label * width + sides.strata[known]
    after = sides.after[known]
    tables = [
        np.stack(
            [sums_by(flat[side], m[known][side], total * width) for m in sides.moments]
        ).reshape(4, total, width)
        for side in (after, ~after)
    ]
    nats = _evidence(sides, tables[0], tables[1])
    enough = np.logical_and.reduce(
        [t[0].sum(-1) ** 2 >= minimum * np.maximum(t[1].sum(-1), 1e-12) for t in tables]
    )
    hashes = np.zeros(total, dtype=np.int64)
    np.add.at(hashes, label, marks[known])
    return [
        (_decode(sides, names, sizes, int(cell)), float(nats[cell]), int(hashes[cell]))
        for cell in np.flatnonzero(enough)
    ]


def _decode(sides: Sides, names: tuple[str, ...], sizes: list[int], cell: int) -> dict[str, str]:
    numbers = np.unravel_index(cell, sizes)
    return {n: sides.values[n][int(i)] for n, i in zip(names, numbers, strict=True)}


def _evidence(sides: Sides, after: Floats, before: Floats) -> Floats:
    sums = Sums(*(part.sum(-1) for part in stratified_sums(after, before)))
    fall, rise = mixture_log_evidence(sums.score, sums.variance, sums.third)
    wanted = sums.score * sides.sign > 0
    return np.where(wanted, rise if sides.sign > 0 else fall, -np.inf)


def strength(sides: Sides, rows: Mask) -> float:
    """Change of the rows within strata as z; positive in the regression's direction."""
    sums = stratified_sums(*sides.table(rows))
    variance = float(sums.variance.sum())
    return float(sums.score.sum()) * sides.sign / variance**0.5 if variance > 1e-9 else 0.0  # noqa: PLR2004


def nats_of(sides: Sides, rows: Mask) -> float:
    """Evidence, in nats, that the rows changed in the regression's direction."""
    after, before = sides.table(rows)
    return float(_evidence(sides, after, before))


def stands_out(sides: Sides, rows: Mask) -> float:
    """By how much, as z, the rows changed more than all others; positive as the regression."""
    inside = stratified_difference(*sides.table(rows), level=ONE_SIGMA)
    outside = stratified_difference(*sides.table(~rows), level=ONE_SIGMA)
    if math.isnan(inside.estimate) or math.isnan(outside.estimate):
        return math.inf
    error = math.hypot(inside.high - inside.low, outside.high - outside.low) / 2
    return sides.sign * (inside.estimate - outside.estimate) / max(error, 1e-12)


def _best_names_first(sides: Sides, found: list[Ranked]) -> list[Ranked]:
    """The first slice under its best name, its parents or best child next, then the others."""
    if not found:
        return []
    first = _better(sides, found[0], found)
    pairs = set(first.name.items())
    others = [item for item in found if item is not first]
    parents = [item for item in others if set(item.name.items()) < pairs]
    children = [item for item in others if set(item.name.items()) > pairs]
    order = [first, *parents, *children[:1], *others]
    return list({id(item): item for item in order}.values())


def _better(sides: Sides, item: Ranked, found: list[Ranked]) -> Ranked:
    """A parent that changes without the slice too, or a rival that leaves nothing of it."""
    parent = _parent(sides, item, found)
    if parent is not None:
        return parent
    for rival in found[:RIVALS]:
        if rival.key > item.key and strength(sides, item.rows & ~rival.rows) < STILL_CHANGES:
            return _parent(sides, rival, found) or rival
    return item


def _parent(sides: Sides, item: Ranked, found: list[Ranked]) -> Ranked | None:
    pairs = set(item.name.items())
    parents = [other for other in found if set(other.name.items()) < pairs]
    rests = [(strength(sides, other.rows & ~item.rows), other) for other in parents]
    changed = [pair for pair in rests if pair[0] >= STILL_CHANGES]
    return max(changed, key=lambda pair: pair[0])[1] if changed else None


def independent(sides: Sides, order: list[Ranked], settings: ExplainSettings) -> list[Ranked]:
    """Slices that still change outside the rows of those before them."""
    taken: list[Ranked] = []
    # of so many slices some stand out by chance: the bound grows with their number
    bound = math.sqrt(2 * (math.log(max(len(order), 1)) + 1))
    covered = np.zeros(len(sides.score), dtype=np.bool_)
    for item in order:
        if len(taken) == settings.max_slices:
            break
        rest = item.rows & ~covered
        enough = item.key >= settings.minimum_nats and stands_out(sides, item.rows) >= bound
        # what overlaps a finding must make its own case on the rest
        if enough and (not taken or nats_of(sides, rest) - len(item.name) >= settings.minimum_nats):
            taken.append(item)
            covered |= item.rows
    return taken

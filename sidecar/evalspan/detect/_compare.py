"""Comparisons of rows: what remains of a fall when other rows are taken out."""

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from evalspan.detect._evidence import compare
from evalspan.detect._slices import Slice, Slices
from evalspan.detect._stream import Floats, Mask, Stream
from evalspan.stats import (
    Interval,
    stratified_difference,
    stratified_sums,
    sums_by,
)

Direction = Literal["regression", "improvement", "mix_shift", "revision"]
"""A later kind of change of the evaluator, the drift of a judge, gets a direction of its own."""
Kind = Literal["time", "version", "mix"]

ONE_SIGMA = 0.6826894921370859
TINY = 1e-9


@dataclass(frozen=True)
class Version:
    """A new value of a version dimension and the value it is compared with, as codes.

    ``first`` is the first batch with the new value, ``filled`` the one in which its rows reach the
    minimum sample.
    """

    dimension: str
    new: int
    old: int
    first: int
    filled: int


class Gap(NamedTuple):
    """Batches from ``first`` to before ``until`` in which a change was over, before a relapse."""

    first: int
    until: int


@dataclass(frozen=True)
class Claim:
    """One hypothesis that crossed its threshold: these rows changed, from this batch on.

    Rows in ``gaps`` did not: after each the change relapsed.
    """

    kind: Kind
    direction: Direction
    slice: int
    start: int
    nats: float
    effect: float
    limit: float
    version: Version | None = None
    gaps: tuple[Gap, ...] = ()

    @property
    def begin(self) -> int:
        """First batch of the change, or of its last relapse."""
        return self.gaps[-1].until if self.gaps else self.start

    @property
    def key(self) -> tuple[str, int, Version | None]:
        """What is claimed, apart from the numbers."""
        return self.kind, self.slice, self.version


@dataclass(frozen=True)
class Bench:
    """Rows seen so far, for the comparisons of claims; ``until`` is the batch just ended."""

    stream: Stream
    slices: Slices
    until: int
    left_out: Mask

    def name(self, claim: Claim) -> Slice:
        """Attribute and value pairs of the claim's slice."""
        return self.slices.names[claim.slice]

    def members(self, number: int) -> Mask:
        """Rows of a slice."""
        mask = np.zeros(len(self.stream.batch), dtype=np.bool_)
        mask[self.slices.rows[number]] = True
        return mask

    def region(self, claim: Claim) -> Mask:
        """Rows of which the claim says that they changed."""
        mask = self.members(claim.slice)
        if claim.version is not None:
            mask &= self.stream.codes[claim.version.dimension] == claim.version.new
        return mask

    def sides(self, claim: Claim) -> tuple[Mask, Mask]:
        """Candidate and baseline rows of a claim."""
        mask = self.members(claim.slice) & (self.stream.batch <= self.until) & ~self.left_out
        if claim.version is not None:
            codes = self.stream.codes[claim.version.dimension]
            new = (codes == claim.version.new) & self.outside_gaps(claim)
            return mask & new, mask & (codes == claim.version.old)
        after = self.stream.batch >= claim.start
        return mask & after & self.outside_gaps(claim), mask & ~after & self.stream.base

    def outside_gaps(self, claim: Claim) -> Mask:
        """Rows outside the gaps of a claim."""
        batch = self.stream.batch
        outside = np.ones(len(batch), dtype=np.bool_)
        for gap in claim.gaps:
            outside &= (batch < gap.first) | (batch >= gap.until)
        return outside

    def table(self, rows: Mask, *, across_revisions: bool = False) -> Floats:
        """Sums of weight, weight², weight·score, weight·score² per stratum, shape (4, strata)."""
        stream = self.stream
        labels = stream.mix_strata if across_revisions else stream.strata
        width = int(labels.max(initial=0)) + 1
        index = np.flatnonzero(rows)
        strata, w, y = labels.take(index), stream.weight.take(index), stream.score.take(index)
        return np.stack([sums_by(strata, x, width) for x in (w, w * w, w * y, w * y * y)])

    def without(self, claim: Claim, regions: Mask) -> float:
        """The claim's z on the rows outside ``regions``; positive is its own direction."""
        candidate, baseline = self.sides(claim)
        sums = stratified_sums(self.table(candidate & ~regions), self.table(baseline & ~regions))
        score, variance, _, _ = (float(part.sum()) for part in sums)
        if variance <= TINY:
            return 0.0
        z = score / math.sqrt(variance * float(self.stream.deff[self.until]))
        return -z if claim.direction == "regression" else z

    def remains(self, claim: Claim, regions: Mask) -> bool:
        """Whether the claim crosses its threshold again on the rows outside ``regions``."""
        candidate, baseline = self.sides(claim)
        one, other = (self.table(rows & ~regions) for rows in (candidate, baseline))
        found = compare(one, other, float(self.stream.deff[self.until]))
        return float(found.fall if claim.direction == "regression" else found.rise) >= claim.limit

    def stands_out(self, claim: Claim) -> float:
        """By how much, as z, the slice changed more than the rows outside it.

        The errors do not assume that nothing changed: where the whole fell, they are larger.
        """
        candidate, baseline = self.sides(claim)
        whole = self.sides(replace(claim, slice=0))
        inside = self._difference(candidate, baseline)
        outside = self._difference(whole[0] & ~candidate, whole[1] & ~baseline)
        error = math.hypot(inside.high - inside.low, outside.high - outside.low) / 2
        error *= math.sqrt(float(self.stream.deff[self.until]))
        z = (inside.estimate - outside.estimate) / max(error, TINY)
        if math.isnan(z):
            return 0.0
        return -z if claim.direction == "regression" else z

    def _difference(self, candidate: Mask, baseline: Mask) -> Interval:
        return stratified_difference(self.table(candidate), self.table(baseline), ONE_SIGMA)

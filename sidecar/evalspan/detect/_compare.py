"""Comparisons of rows: what remains of a fall when other rows are taken out."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evalspan.detect._slices import Slice, Slices
from evalspan.detect._stream import Floats, Mask, Stream
from evalspan.stats import mixture_log_evidence, stratified_sums, sums_by

Direction = Literal["regression", "improvement", "mix_shift"]
Kind = Literal["time", "version", "mix"]


@dataclass(frozen=True)
class Version:
    """A new value of a version dimension and the value it is compared with, as codes."""

    dimension: str
    new: int
    old: int
    first: int


@dataclass(frozen=True)
class Claim:
    """One hypothesis that crossed its threshold: these rows changed, from this batch on."""

    kind: Kind
    direction: Direction
    slice: int
    start: int
    nats: float
    effect: float
    limit: float
    version: Version | None = None

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
            return mask & (codes == claim.version.new), mask & (codes == claim.version.old)
        after = self.stream.batch >= claim.start
        return mask & after, mask & ~after

    def change(self, candidate: Mask, baseline: Mask) -> tuple[float, float, float]:
        """z, difference and its standard error between rows, within strata; (0, 0, inf) if none."""
        sums = stratified_sums(self.table(candidate), self.table(baseline))
        score, variance, _, information = (float(part.sum()) for part in sums)
        if variance <= 1e-9 or information <= 1e-9:  # noqa: PLR2004 - rounding
            return 0.0, 0.0, float("inf")
        variance *= float(self.stream.deff[self.until])
        error = float(np.sqrt(variance))
        return score / error, score / information, error / information

    def table(self, rows: Mask) -> Floats:
        """Sums of weight, weight², weight·score, weight·score² per stratum, shape (4, strata)."""
        stream = self.stream
        width = int(stream.strata.max(initial=0)) + 1
        strata, w, y = stream.strata[rows], stream.weight[rows], stream.score[rows]
        return np.stack([sums_by(strata, x, width) for x in (w, w * w, w * y, w * y * y)])

    def without(self, claim: Claim, regions: Mask) -> float:
        """z of the claim in its own direction (positive agrees) on the rows outside ``regions``."""
        candidate, baseline = self.sides(claim)
        z, _, _ = self.change(candidate & ~regions, baseline & ~regions)
        return -z if claim.direction == "regression" else z

    def remains(self, claim: Claim, regions: Mask) -> bool:
        """Whether the claim crosses its threshold again on the rows outside ``regions``."""
        candidate, baseline = self.sides(claim)
        terms = stratified_sums(self.table(candidate & ~regions), self.table(baseline & ~regions))
        score, variance, third, _ = (part.sum() / self.stream.deff[self.until] for part in terms)
        fall, rise = mixture_log_evidence(score, variance, third)
        return float(fall if claim.direction == "regression" else rise) >= claim.limit

    def stands_out(self, claim: Claim) -> float:
        """z by which the slice changed more than the rows outside it under the same comparison."""
        candidate, baseline = self.sides(claim)
        whole = self.sides(replace(claim, slice=0))
        _, inside, error_in = self.change(candidate, baseline)
        _, outside, error_out = self.change(whole[0] & ~candidate, whole[1] & ~baseline)
        if not np.isfinite(error_in) or not np.isfinite(error_out):
            return 0.0
        z = (inside - outside) / float(np.hypot(error_in, error_out))
        return -z if claim.direction == "regression" else z

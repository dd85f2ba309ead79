"""When did it change? The evidence of every start, at full resolution."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evalspan.detect._compare import Bench, Claim
from evalspan.detect._evidence import compare, mix_evidence
from evalspan.detect._stream import Floats, Ints, Mask
from evalspan.detect._sums import running_sums

PROFILE_NATS = 3.0
"""Starts whose evidence is within this of the best make up the interval of the change."""


class Change(NamedTuple):
    """Batch at which it changed, and the first and the last one nearly as good."""

    start: int
    low: int
    high: int


def change_of(bench: Bench, claim: Claim, opened: int) -> Change:
    """Best start of a claim up to the batch that opened it; a new version has its own."""
    if claim.version is not None:
        return Change(*(claim.version.first,) * 3)
    if claim.gaps:
        # what came after the first time would only blur its beginning
        bench = replace(bench, until=max(claim.gaps[0].first - 1, claim.start))
    last = min(bench.until, opened)
    starts = np.arange(min(bench.stream.first_test, last), last + 1)
    nats = _evidence(bench, claim, starts)
    good = starts[nats >= nats.max() - PROFILE_NATS]
    return Change(int(starts[nats.argmax()]), int(good.min()), int(good.max()))


def _evidence(bench: Bench, claim: Claim, starts: Ints) -> Floats:
    stream = bench.stream
    keep = bench.members(claim.slice) & (stream.batch <= bench.until) & ~bench.left_out
    sums, pinned = (_sums(bench, claim, mask) for mask in (keep, keep & stream.base))
    base, after = pinned[:, starts], sums[:, -1:, :] - sums[:, starts]
    if claim.kind == "mix":
        fall, rise, amount = mix_evidence(after, base, float(stream.mix_deff[bench.until]))
        return np.asarray(np.where(claim.effect < 0, fall, rise) + 0 * amount)
    found = compare(after, base, float(stream.deff[bench.until]))
    return found.fall if claim.direction == "regression" else found.rise


def _sums(bench: Bench, claim: Claim, mask: Mask) -> Floats:
    stream = bench.stream
    labels = stream.mix_strata if claim.kind == "mix" else stream.strata
    rows = np.flatnonzero(mask)
    return running_sums(stream, rows, labels[rows], int(labels.max(initial=0)) + 1)

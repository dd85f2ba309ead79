"""A bound on the chance of a false alarm that holds in finite samples, however often one looks.

The screen that opens a state is an approximation, calibrated by permutation. This is the exact
part: at a fixed look and start, exp of the exact conditional evidence is an e-value when the 0/1
scores of a stratum are exchangeable over time, given everything but the scores. By Markov's
inequality it exceeds 1/u with chance at most u; a union over all looks, starts and hypotheses,
with weights that sum to at most one, makes the bound hold for all of them at once.
"""

import math

import numpy as np

from evalspan.detect._claims import Counts
from evalspan.detect._compare import Claim
from evalspan.detect._evidence import exact, look_backs
from evalspan.detect._states import Incident
from evalspan.detect._stream import Floats, Stream
from evalspan.detect._walk import Walker
from evalspan.stats import mixture_log_evidence, stratified_sums

BATCHES_A_LOOK = 4
"""The bound looks at every fourth batch only: fewer looks, less to pay for."""
FAMILIES = 4.0
"""Everything over time, versions, slices of one and of two attributes: a quarter each."""
DIRECTIONS = 2.0


def false_alarm_bound(walker: Walker, incident: Incident, until: int) -> float | None:
    """Bound for a state at its best look until a batch; None where no exact test applies.

    That is for mix shifts, for weighted or graded scores, and for rows in clusters.
    """
    claim, stream = incident.claim, walker.stream
    if claim.kind == "mix" or not stream.plain[until] or stream.deff[until] > 1.0:
        return None
    counts = walker.counts
    if walker.left_out.any():
        # rows of what was over later were not left out yet at the looks before
        counts = Counts(stream, walker.slices, walker.settings, walker.counts.versions)
    best = 1.0
    for number, batch in enumerate(_looks(stream, until), 1):
        sides, starts = _sides(counts, claim, batch, stream.first_test)
        if sides is None:
            continue
        fall, rise = exact(*sides)
        nats = fall if claim.direction == "regression" else rise
        cost = math.log(number * (number + 1) * starts * DIRECTIONS * FAMILIES)
        best = min(best, math.exp(min(0.0, cost + _hypotheses(counts, claim, batch) - nats)))
    return best


def _looks(stream: Stream, until: int) -> range:
    return range(stream.first_test, until + 1, BATCHES_A_LOOK)


def _hypotheses(counts: Counts, claim: Claim, batch: int) -> float:
    """Log of the number of hypotheses of the claim's family, the version's order included."""
    cost = 0.0
    if claim.version is not None:
        order = counts.versions.index(claim.version) + 1
        cost += math.log(order * (order + 1))
    depth = counts.slices.depth
    if claim.slice:
        same = depth == depth[claim.slice]
        cost += math.log(len(np.unique(counts.slices.prefix[same, batch + 1])))
        # slices of versions share the quarter of their depth with those over time
        cost += math.log(2.0)
    return cost


def _sides(
    counts: Counts, claim: Claim, batch: int, earliest: int
) -> tuple[tuple[Floats, Floats] | None, int]:
    """Sums after and before at the start that the screen likes best, and the number of starts."""
    part = counts.cells.of(claim.slice)
    if claim.version is not None:
        new, old = counts.version_sums(claim.version, batch)
        return (new[:, part], old[:, part]), 1
    starts = look_backs(batch, earliest)
    if not starts.size:
        return None, 0
    before = counts.cells.sums[:, starts, part]
    after = counts.cells.sums[:, batch + 1, None, part] - before
    score, variance, third, _ = (term.sum(-1) for term in stratified_sums(after, before))
    fall, rise = mixture_log_evidence(score, variance, third)
    best = int((fall if claim.direction == "regression" else rise).argmax())
    return (after[:, best], before[:, best]), len(starts)

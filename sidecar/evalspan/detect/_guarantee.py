"""A bound on the chance of a false alarm that holds in finite samples, however often one looks.

**Calibrated, not guaranteed**: that a state opens. The evidence that opens it is an approximation
(two moments and a skewness); its thresholds were set by permutation and `backtest` checks them on
one's own history. Near its threshold an exact test must agree where there is one.

**Guaranteed**: the bound told with a state. At a fixed look and start, exp of the exact
conditional evidence is an e-value when the 0/1 verdicts of a stratum are exchangeable over time,
given everything but the verdicts. By Markov's inequality it exceeds 1/u with chance at most u; a
union over all looks, starts, slices, versions and directions, with weights that sum to at most
one, makes the bound hold for all of them at once. It covers pass rates of everything and of
slices, over time and of versions, also against a pinned baseline. Graded scores are cut into pass
and fail, and of a cluster its first verdict alone is counted, so that what is tested stays
exchangeable (and weaker).

**Not covered**: sampled verdicts with weights (their chance to be seen may depend on the answer
and on the time), shifts of the mix and revisions of the evaluator. Nor the choice of strata,
which is made on the scores before the first test where the settings do not name any.
"""

import math
from dataclasses import replace

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
PASSING = 0.5
"""Graded scores from here on count as a pass."""


def false_alarm_bound(walker: Walker, incident: Incident, until: int) -> float | None:
    """Bound for a state at its best look until a batch; None where no exact test applies."""
    claim, stream = incident.claim, walker.stream
    if claim.direction in ("mix_shift", "revision"):
        return None
    if not (stream.weight[stream.batch <= until] == 1.0).all():
        return None
    counts = _counts(walker)
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


def _counts(walker: Walker) -> Counts:
    """Counts of pass and fail, one verdict a cluster; nothing is left out that was not at a look.

    Made once a walk.
    """
    stream = walker.stream
    _, first = np.unique(stream.cluster, return_index=True)
    alone = np.zeros(len(stream.batch), dtype=np.bool_)
    alone[first] = True
    if alone.all() and stream.plain[-1] and not walker.left_out.any():
        return walker.counts
    if walker.exact is None:
        passed = (stream.score >= PASSING).astype(np.float64)
        judged = replace(stream, score=passed)
        versions = walker.counts.versions
        walker.exact = Counts(judged, walker.slices, walker.settings, versions)
        walker.exact.count(~alone)
    return walker.exact


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
    before = counts.cells.base[:, starts, part]
    after = counts.cells.sums[:, batch + 1, None, part] - counts.cells.sums[:, starts, part]
    score, variance, third, _ = (term.sum(-1) for term in stratified_sums(after, before))
    fall, rise = mixture_log_evidence(score, variance, third)
    best = int((fall if claim.direction == "regression" else rise).argmax())
    return (after[:, best], before[:, best]), len(starts)

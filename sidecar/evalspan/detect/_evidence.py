"""Evidence of every slice after one batch: the fast screen and its exact check."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evalspan.detect._settings import DetectSettings
from evalspan.detect._stream import Floats, Ints, Mask
from evalspan.detect._sums import Cells
from evalspan.stats import TILTS, Sums, exact_log_evidence, mixture_log_evidence, stratified_sums

TINY = 1e-12
LOOK_BACKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclass(frozen=True)
class Evidence:
    """Per slice, at its best candidate start: evidence in nats, the start and the effect."""

    nats: Floats
    start: Ints
    effect: Floats


def look_backs(batch: int, earliest: int) -> Ints:
    """Candidate starts on a geometric grid before the end of ``batch``, none before ``earliest``.

    Beyond the listed look-backs the grid goes on by half octaves.
    """
    backs = list(LOOK_BACKS)
    while backs[-1] * 4 // 3 <= batch + 1:
        backs.append(backs[-2] * 2)
    starts = batch + 1 - np.array(backs, dtype=np.int64)
    return starts[starts >= earliest]


class Compared(NamedTuple):
    """Evidence of a fall and of a rise, in nats, of one group against another, with the effect.

    ``error`` is the standard error of the effect if nothing changed; ``size`` the effective
    number of verdicts of the smaller side.
    """

    fall: Floats
    rise: Floats
    effect: Floats
    error: Floats
    size: Floats


def compare(candidate: Floats, baseline: Floats, deff: float) -> Compared:
    """Compare within strata; shapes (4, …, strata) to (…)."""
    sums = Sums(*(term.sum(-1) for term in stratified_sums(candidate, baseline)))
    fall, rise = log_evidence(sums, _heft(candidate + baseline), deff)
    information = np.maximum(sums.information, TINY)
    error = np.sqrt(sums.variance * deff) / information
    size = np.minimum(_size(candidate), _size(baseline)) / deff
    return Compared(fall, rise, np.asarray(sums.score / information), np.asarray(error), size)


def _heft(sums: Floats) -> Floats:
    return np.asarray(sums[1].sum(-1) / np.maximum(sums[0].sum(-1), TINY))


def _size(sums: Floats) -> Floats:
    return np.asarray(sums[0].sum(-1) ** 2 / np.maximum(sums[1].sum(-1), TINY))


def log_evidence(
    sums: Sums, heft: Floats, deff: float, margin: float = 0.0
) -> tuple[Floats, Floats]:
    """Evidence of a fall and of a rise by more than ``margin``, in nats.

    The tilts are made for verdicts of weight one, so weights are scaled to ``heft`` Σw²/Σw one.
    Where weights differ the third cumulant is rough, and counts only against the evidence.
    """
    h = np.maximum(heft, TINY)
    variance, third = sums.variance / h**2 / deff, sums.third / h**3 / deff
    low = (sums.score + margin * sums.information) / h / deff
    high = (sums.score - margin * sums.information) / h / deff
    fall, rise = (mixture_log_evidence(s, variance, third)[i] for i, s in enumerate((low, high)))
    if np.allclose(h, 1.0):
        return fall, rise
    plain = (mixture_log_evidence(s, variance, 0 * third)[i] for i, s in enumerate((low, high)))
    other_fall, other_rise = plain
    return np.minimum(fall, other_fall), np.minimum(rise, other_rise)


def both_ways(
    candidate: Floats,
    baseline: Floats,
    cells: Cells,
    starts: Ints,
    deff: float,
    settings: DetectSettings,
) -> tuple[Evidence, Evidence]:
    """Evidence of a fall and of a rise per slice, the best over candidate starts.

    ``candidate`` and ``baseline`` have shape (4, starts, cells); a slice with fewer than the
    minimum of effective verdicts on either side has −inf. The evidence is of a change by more
    than half the minimum effect.
    """
    sums, enough, heft = _pooled(candidate, baseline, cells, settings.minimum_sample * deff)
    fall, rise = log_evidence(sums, heft, deff, settings.minimum_effect / 2)
    effect = sums.score / np.maximum(sums.information, TINY)
    return _best(fall, enough & (effect < 0), starts, effect), _best(
        rise, enough & (effect > 0), starts, effect
    )


def _pooled(
    candidate: Floats, baseline: Floats, cells: Cells, minimum: float
) -> tuple[Sums, Mask, Floats]:
    """Stratified sums per slice, whether both sides reach the minimum sample, and the heft."""
    terms = stratified_sums(candidate, baseline)
    sums = Sums(*(np.add.reduceat(term, cells.start, axis=-1) for term in terms))
    enough = np.ones(sums.score.shape, dtype=np.bool_)
    total, squares = np.zeros(sums.score.shape), np.zeros(sums.score.shape)
    for side in (candidate, baseline):
        n = np.add.reduceat(side[0], cells.start, axis=-1)
        q = np.add.reduceat(side[1], cells.start, axis=-1)
        # rounding of running sums leaves a hair, never a row
        enough &= n * n >= minimum * q - 1e-6
        enough &= n > 1e-9  # noqa: PLR2004
        total, squares = total + n, squares + q
    return sums, enough, np.where(total > TINY, squares / np.maximum(total, TINY), 1.0)


def _best(
    nats: Floats,
    allowed: Mask,
    starts: Ints,
    effect: Floats,
) -> Evidence:
    nats = np.where(allowed, nats, -np.inf)
    position = nats.argmax(axis=0)
    columns = np.arange(nats.shape[1])
    return Evidence(nats[position, columns], starts[position], effect[position, columns])


def exact(candidate: Floats, baseline: Floats) -> tuple[float, float]:
    """Exact conditional evidence of a fall and of a rise, for 0/1 scores of weight one.

    Arrays have shape (4, strata).
    """
    one, all_ = np.rint(candidate), np.rint(candidate + baseline)
    used = (one[0] > 0) & (all_[0] > one[0])
    if not used.any():
        return 0.0, 0.0
    return exact_log_evidence(one[2, used], one[0, used], all_[2, used], all_[0, used])


def mix_evidence(candidate: Floats, baseline: Floats, deff: float) -> tuple[Floats, Floats, Floats]:
    """Evidence that the mix of strata fell or rose in expected score, and the amount.

    Each row counts with its stratum's mean score over both sides; arrays have shape
    (4, starts, strata). The scores are scaled to a standard deviation of ½, that of a fair 0/1
    score, so that the tilts fit. Amount is Σ(w1 − w0)·p̄ (Kitagawa 1955).
    """
    n1, q1 = candidate[0], candidate[1]
    n0, q0 = baseline[0], baseline[1]
    n, k = n1 + n0, candidate[2] + baseline[2]
    mean = k / np.where(n > 0, n, 1.0)
    t1, t0 = n1.sum(-1, keepdims=True), n0.sum(-1, keepdims=True)
    total = np.maximum(t1 + t0, 1e-12)
    centred = mean - (n * mean).sum(-1, keepdims=True) / total
    spread = (n * centred**2).sum(-1) / total[:, 0]
    skew = (n * centred**3).sum(-1) / total[:, 0]
    amount = (n1 * centred).sum(-1) / np.maximum(t1[:, 0], 1e-12) - (n0 * centred).sum(
        -1
    ) / np.maximum(t0[:, 0], 1e-12)
    share1, share0 = (t1 / total)[:, 0], (t0 / total)[:, 0]
    size = share0**2 * q1.sum(-1) + share1**2 * q0.sum(-1)
    cubes = share0**3 * q1.sum(-1) - share1**3 * q0.sum(-1)
    heft = _heft(candidate + baseline)
    scale = 0.5 / np.sqrt(np.maximum(spread, 1e-12)) / np.maximum(heft, TINY)
    cubes = cubes * heft
    fall, rise = mixture_log_evidence(
        scale * (n1 * centred).sum(-1) / deff,
        scale**2 * spread * size / deff,
        scale**3 * skew * cubes / deff,
    )
    flat = spread <= 1e-9  # noqa: PLR2004
    return np.where(flat, -np.inf, fall), np.where(flat, -np.inf, rise), amount


def mix_confirmed(candidate: Floats, baseline: Floats, deff: float) -> tuple[float, float]:
    """As :func:`mix_evidence` for one start, with the whole cumulant function of the strata.

    Arrays have shape (4, strata). Sampling without replacement is bounded by sampling with it
    (Hoeffding 1963), shrunk by n0/N so that the variance is right; small or skewed samples that
    two moments and a skewness describe badly do not pass here.
    """
    n1, n0 = candidate[0], baseline[0]
    n = n1 + n0
    mean = (candidate[2] + baseline[2]) / np.where(n > 0, n, 1.0)
    share = n / n.sum()
    centred = mean - share @ mean
    spread = float(share @ centred**2)
    if spread <= 1e-9:  # noqa: PLR2004
        return -np.inf, -np.inf
    tilts = np.array(TILTS)[:, None] * 0.5 / np.sqrt(spread)
    size = float(n1.sum() ** 2 / candidate[1].sum()) * float(n0.sum() / n.sum())
    heft = float(candidate[1].sum() / n1.sum())
    cost = np.log(len(TILTS))
    terms = []
    for sign in (-1.0, 1.0):
        cumulant = np.log(np.exp(sign * tilts * centred) @ share)
        gain = sign * tilts[:, 0] * float(n1 @ centred) / heft - size * cumulant
        terms.append(float(np.logaddexp.reduce(gain / deff) - cost))
    return terms[0], terms[1]

"""Small pure statistical functions, the part of the hall that every room may use.

Comes in: counts and plain NumPy arrays. Goes out: numbers and small frozen records.
No settings, no state, no input or output. Each function names the source of its formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its modules are loaded when they are used, which the write side never does
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TILTS = (0.15, 0.3, 0.5, 0.8, 1.2, 1.8)
"""Log-odds shifts the mixture evidence averages over, from a faint drop to a collapse."""


class Interval(NamedTuple):
    """An estimate with its lower and upper bound, all in the unit of the estimate."""

    estimate: float
    low: float
    high: float


class Sums(NamedTuple):
    """Stratified sums of a comparison: ``score`` S, its null ``variance`` V and third cumulant.

    ``information`` is the sum of n1·n0/N, so that ``score / information`` is the
    Mantel-Haenszel difference of means.
    """

    score: Floats
    variance: Floats
    third: Floats
    information: Floats


class NonInferiority(NamedTuple):
    """Verdict of a non-inferiority test on paired binary outcomes.

    ``proven`` says that the lower bound of the difference lies above minus the margin;
    ``cases_needed`` is the total number of pairs that would prove it if no further loss came.
    """

    proven: bool
    difference: Interval
    cases_needed: int


def weighted_mean(values: ArrayLike, weights: ArrayLike | None = None) -> tuple[float, float]:
    """Weighted mean and effective sample size (Kish 1965: (Σw)²/Σw²).

    Returns (nan, 0.0) for no values or no weight.
    """
    y = np.asarray(values, dtype=np.float64)
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=np.float64)
    total = float(w.sum())
    if total <= 0:
        return math.nan, 0.0
    return float(w @ y) / total, total * total / float(w @ w)


def wilson_interval(passes: float, total: float, level: float = 0.95) -> Interval:
    """Score interval of a rate (Wilson 1927). ``passes`` may be a weighted, fractional count.

    Raises ValueError when ``passes`` is not within 0 and ``total``.
    """
    if not 0 <= passes <= total:
        message = f"passes must be within 0 and total, got {passes} of {total}"
        raise ValueError(message)
    if total == 0:
        return Interval(math.nan, 0.0, 1.0)
    z = float(scipy.special.ndtri(0.5 + level / 2))
    rate = passes / total
    centre = (rate + z * z / (2 * total)) / (1 + z * z / total)
    spread = math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    half = z * spread / (1 + z * z / total)
    # the bounds touch 0 and 1 exactly in theory; rounding may leave them a hair inside
    low = 0.0 if passes == 0 else max(0.0, centre - half)
    high = 1.0 if passes == total else min(1.0, centre + half)
    return Interval(rate, low, high)


def stratified_sums(candidate: NDArray[np.float64], baseline: NDArray[np.float64]) -> Sums:
    """Per-stratum terms of the Cochran-Mantel-Haenszel comparison of two groups.

    Both arrays have shape (4, …): sums of weight, weight², weight·score, weight·score², one
    column per stratum (any further axes). S = k1 − n1·K/N; under exchangeability within the
    stratum its variance is σ²·Σa², a the centred weights, which for 0/1 scores of weight one is
    the hypergeometric n0·n1·K·(N−K)/(N²(N−1)) (Mantel and Haenszel 1959). The third cumulant
    is exact for 0/1 scores up to the finite-population factor. Sum over strata to use them.
    """
    n1, q1, k1, _ = candidate
    n0, q0, _, _ = baseline
    n, q, k, k2 = candidate + baseline
    safe = np.where(n > 0, n, 1.0)
    mean = k / safe
    share1, share0 = n1 / safe, n0 / safe
    spread = np.maximum(k2 / safe - mean * mean, 0.0)
    effective = n * safe / np.where(q > 0, q, 1.0)
    correction = np.where(effective > 1, effective / np.maximum(effective - 1, 1e-9), 0.0)
    variance = spread * correction * (share0 * share0 * q1 + share1 * share1 * q0)
    cubes1 = q1 * q1 / np.where(n1 > 0, n1, 1.0)
    cubes0 = q0 * q0 / np.where(n0 > 0, n0, 1.0)
    third = spread * (1 - 2 * mean) * (share0**3 * cubes1 - share1**3 * cubes0)
    return Sums(k1 - n1 * mean, variance, third, n1 * share0)


def mixture_log_evidence(
    score: NDArray[np.float64], variance: NDArray[np.float64], third: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Log evidence, in nats, for a fall and for a rise of the stratified score S.

    Log of the mean over tilts θ of exp(θS − θ²V/2 − θ³κ₃/6): Robbins' method of mixtures with
    a Cornish-Fisher-like third cumulant. An approximation of an e-value, not one itself.
    """
    tilts = np.array(TILTS).reshape((-1,) + (1,) * np.ndim(score))
    even = tilts * tilts * variance / 2
    odd = tilts * score - tilts**3 * third / 6
    cost = math.log(len(TILTS))
    fall, rise = -odd - even, odd - even
    return _log_sum(fall) - cost, _log_sum(rise) - cost


def _log_sum(terms: NDArray[np.float64]) -> Floats:
    top = terms.max(axis=0)
    return np.asarray(top + np.log(np.exp(terms - top).sum(axis=0)), dtype=np.float64)


def exact_log_evidence(
    passes: ArrayLike, size: ArrayLike, all_passes: ArrayLike, all_size: ArrayLike
) -> tuple[float, float]:
    """Exact conditional log evidence for a fall and for a rise over strata of 0/1 scores.

    Given the margins of each stratum the candidate's passes are hypergeometric when nothing
    changed, so exp(θS)/E[exp(θS)] is an e-value for each tilt θ; the tilts are averaged
    (exact conditional likelihood ratio; Cox 1970, Fisher's non-central hypergeometric).
    """
    columns = [
        np.atleast_1d(np.asarray(x, dtype=np.int64)) for x in (passes, size, all_passes, all_size)
    ]
    tilts = np.concatenate([-np.array(TILTS), np.array(TILTS)])
    total = np.zeros(len(tilts))
    for k1, n1, k, n in zip(*columns, strict=True):
        total += tilts * k1 - _log_moment(int(n1), int(k), int(n), tilts)
    half = len(TILTS)
    cost = math.log(half)
    low, high = (float(scipy.special.logsumexp(part)) for part in (total[:half], total[half:]))
    return low - cost, high - cost


def _log_moment(n1: int, k: int, n: int, tilts: Floats) -> Floats:
    support = np.arange(max(0, n1 + k - n), min(n1, k) + 1)
    log_weight = -(
        scipy.special.gammaln(support + 1)
        + scipy.special.gammaln(k - support + 1)
        + scipy.special.gammaln(n1 - support + 1)
        + scipy.special.gammaln(n - k - n1 + support + 1)
    )
    log_weight -= scipy.special.logsumexp(log_weight)
    return np.asarray(
        scipy.special.logsumexp(tilts[:, None] * support + log_weight, axis=1), dtype=np.float64
    )


def stratified_difference(
    candidate: NDArray[np.float64], baseline: NDArray[np.float64], level: float = 0.95
) -> Interval:
    """Mantel-Haenszel difference of means over strata with its interval.

    Arrays as in :func:`stratified_sums`. The variance does not assume that nothing changed:
    Σ(n1·n0/N)²(s1²/m1 + s0²/m0)/(Σ n1·n0/N)², m effective sizes (Greenland and Robins 1985).
    Strata seen on one side only tell nothing and are left out; (nan, -1, 1) when none is left.
    """
    weight = stratified_sums(candidate, baseline).information
    both = weight > 0
    if not both.any():
        return Interval(math.nan, -1.0, 1.0)
    mean1, error1 = _mean_and_error(candidate[:, both])
    mean0, error0 = _mean_and_error(baseline[:, both])
    share = weight[both] / weight[both].sum()
    estimate = float(share @ (mean1 - mean0))
    z = float(scipy.special.ndtri(0.5 + level / 2))
    half = z * math.sqrt(float(share**2 @ (error1 + error0)))
    return Interval(estimate, max(-1.0, estimate - half), min(1.0, estimate + half))


def _mean_and_error(sums: Floats) -> tuple[Floats, Floats]:
    n, q, k, k2 = sums
    size = n * n / q
    mean = k / n
    # half a pass and half a failure more, so that an all-pass stratum is not taken as certain
    smooth = (mean * size + 0.5) / (size + 1)
    spread = np.maximum(k2 / n - mean * mean, 0.0)
    binary = np.maximum(mean * (1 - mean), 1e-12)
    ratio = np.where(mean * (1 - mean) > 0, np.minimum(spread / binary, 1.0), 1.0)
    return mean, smooth * (1 - smooth) * ratio / size


def mix_difference(
    candidate: NDArray[np.float64], baseline: NDArray[np.float64], level: float = 0.95
) -> Interval:
    """Part of the difference of means that the mix of strata makes: Σ(w1 − w0)·p̄.

    Arrays as in :func:`stratified_sums`, shape (4, strata); p̄ is the mean over both sides
    (Kitagawa 1955). The variance has the sampling of the mix and that of p̄.
    """
    n1, n0 = candidate[0], baseline[0]
    if n1.sum() <= 0 or n0.sum() <= 0:
        return Interval(math.nan, -1.0, 1.0)
    both = candidate + baseline
    safe = np.where(both[0] > 0, both[0], 1.0)
    mean = both[2] / safe
    shift = n1 / n1.sum() - n0 / n0.sum()
    estimate = float(shift @ mean)
    share = both[0] / both[0].sum()
    spread = float(share @ (mean - share @ mean) ** 2)
    sizes = 1 / _effective(candidate) + 1 / _effective(baseline)
    within = float(shift**2 @ (np.maximum(both[3] / safe - mean**2, 0.0) * both[1] / safe**2))
    half = float(scipy.special.ndtri(0.5 + level / 2)) * math.sqrt(spread * sizes + within)
    return Interval(estimate, estimate - half, estimate + half)


def _effective(sums: NDArray[np.float64]) -> float:
    return float(sums[0].sum() ** 2 / max(sums[1].sum(), 1e-12))


def sums_by(
    label: NDArray[np.int64], values: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    """Sum of the values per label 0 … size − 1."""
    return np.asarray(np.bincount(label, values, size), dtype=np.float64)


def crossed(columns: Sequence[NDArray[np.int64]], size: int) -> NDArray[np.int64]:
    """Number the combinations of codes of ``size`` rows, from 0; −1 (null) is a value too."""
    label = np.zeros(size, dtype=np.int64)
    for column in columns:
        label = label * (int(column.max(initial=0)) + 2) + column + 1
        # numbered anew after each column, so that many columns do not overflow
        label = np.unique(label, return_inverse=True)[1].astype(np.int64)
    return label


def informative_columns(
    score: NDArray[np.float64],
    weight: NDArray[np.float64],
    columns: Mapping[str, NDArray[np.int64]],
    fewest_a_cell: int = 4,
) -> tuple[str, ...]:
    """Columns that tell scores apart, taken in turn while they lower Akaike's criterion (1974).

    A column is not taken where rows per combination would fall below ``fewest_a_cell``.
    """
    chosen: tuple[str, ...] = ()
    best, _ = _criterion(score, weight, np.zeros(score.size, dtype=np.int64))
    while True:
        trials = {}
        for name in [name for name in columns if name not in chosen]:
            strata = crossed([columns[key] for key in (*chosen, name)], score.size)
            value, cells = _criterion(score, weight, strata)
            if cells * fewest_a_cell <= score.size and value < best:
                trials[name] = value
        if not trials:
            return chosen
        name = min(trials, key=lambda key: trials[key])
        chosen, best = (*chosen, name), trials[name]


def _criterion(
    score: NDArray[np.float64], weight: NDArray[np.float64], strata: NDArray[np.int64]
) -> tuple[float, int]:
    if not score.size:
        return -math.inf, 0
    n = np.bincount(strata, weight)
    mean = np.bincount(strata, weight * score) / n
    rest = float(weight @ (score - mean[strata]) ** 2) / float(weight.sum())
    # the floor keeps a history without any failure from an infinite gain
    return score.size * math.log(max(rest, 0.25 / score.size)) + 2.0 * n.size, int(n.size)


def mcnemar_exact(losses: int, gains: int) -> float:
    """Two-sided exact p-value that losses and gains of pairs are equally likely (McNemar 1947)."""
    if losses + gains == 0:
        return 1.0
    below = float(scipy.special.bdtr(min(losses, gains), losses + gains, 0.5))
    return min(1.0, 2 * below)


def paired_difference_interval(differences: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of paired differences after − before with its interval (Student 1908).

    Two pseudo-pairs, one gain and one loss, are added when every difference is −1, 0 or 1, so
    that equal pairs do not give a certain zero (Agresti and Min 2005). (nan, -1, 1) for none.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size == 0:
        return Interval(math.nan, -1.0, 1.0)
    estimate = float(d.mean())
    padded = np.append(d, [1.0, -1.0]) if np.isin(d, (-1, 0, 1)).all() else d
    if padded.size == 1:
        return Interval(estimate, -1.0, 1.0)
    centre = float(padded.mean())
    error = float(padded.std(ddof=1)) / math.sqrt(padded.size)
    half = float(scipy.special.stdtrit(padded.size - 1, 0.5 + level / 2)) * error
    return Interval(estimate, centre - half, centre + half)


def non_inferiority(
    losses: int, gains: int, total: int, margin: float, alpha: float = 0.05, comparisons: int = 1
) -> NonInferiority:
    """Is the pass rate after not worse than before by ``margin`` or more, over ``total`` pairs?

    ``losses`` are pairs pass → fail, ``gains`` fail → pass. One-sided Clopper-Pearson limits of
    both rates (1934) are joined by the square-and-add rule with their multinomial correlation
    (Zou and Donner 2008). ``alpha`` is divided by ``comparisons``. With no loss and no gain a
    margin of .05 takes 59 pairs, 117 with 20 comparisons. Raises ValueError on negative counts.
    """
    if min(losses, gains) < 0 or losses + gains > total or not 0 < margin < 1:
        message = f"need losses + gains ≤ total, margin in (0, 1); got {losses}, {gains}, {total}"
        raise ValueError(message)
    share = alpha / comparisons
    low, high = _net_bound(losses, gains, total, share), -_net_bound(gains, losses, total, share)
    estimate = (gains - losses) / total if total else math.nan
    needed = _pairs_needed(losses, gains, total, margin, share)
    return NonInferiority(low > -margin, Interval(estimate, low, high), needed)


def _pairs_needed(losses: int, gains: int, total: int, margin: float, alpha: float) -> int:
    """Smallest number of pairs, at least ``total``, whose bound lies above minus the margin."""
    low, high = total - 1, max(total, 1)
    while _net_bound(losses, gains, high, alpha) <= -margin:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        proven = _net_bound(losses, gains, middle, alpha) > -margin
        low, high = (low, middle) if proven else (middle, high)
    return high


def _net_bound(losses: int, gains: int, total: int, alpha: float) -> float:
    if total == 0:
        return -1.0
    loss, gain = losses / total, gains / total
    quantile = scipy.special.betaincinv  # of the beta distribution
    loss_high = 1.0 if losses == total else float(quantile(losses + 1, total - losses, 1 - alpha))
    gain_low = 0.0 if gains == 0 else float(quantile(gains, total - gains + 1, alpha))
    down, up = loss_high - loss, gain - gain_low
    odds = (1 - loss) * (1 - gain)
    correlation = -math.sqrt(loss * gain / odds) if odds > 0 else 0.0
    return gain - loss - math.sqrt(down * down + up * up - 2 * correlation * down * up)

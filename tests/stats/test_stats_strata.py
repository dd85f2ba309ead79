"""Stratified comparisons: sums, evidence, differences, mix."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from evalspan.stats import (
    exact_log_evidence,
    informative_columns,
    mix_difference,
    mixture_log_evidence,
    stratified_difference,
    stratified_sums,
)


def binary(sizes: list[int], passes: list[int]) -> np.ndarray:
    """Sums per stratum of 0/1 scores with weight one."""
    n, k = np.array(sizes, dtype=float), np.array(passes, dtype=float)
    return np.stack([n, n, k, k])


cell = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(cell, cell)
def test_sums_of_a_stratum_are_the_moments_of_the_hypergeometric(
    after: tuple[int, int], before: tuple[int, int]
) -> None:
    (n1, k1), (n0, k0) = after, before
    sums = stratified_sums(binary([n1], [k1]), binary([n0], [k0]))
    n, k = n1 + n0, k1 + k0
    assert sums.score[0] == pytest.approx(k1 - n1 * k / n)
    known = n1 * n0 * k * (n - k) / (n * n * (n - 1))
    assert sums.variance[0] == pytest.approx(known, abs=1e-9)


def test_the_third_cumulant_is_that_of_the_hypergeometric_when_the_sample_is_large() -> None:
    sums = stratified_sums(binary([400], [300]), binary([1200], [1100]))
    known = hypergeom(1600, 1400, 400)
    skew = float(known.stats("s")) * known.var() ** 1.5
    assert sums.third[0] == pytest.approx(skew, rel=0.02)


def test_a_weight_of_two_is_not_two_rows() -> None:
    once = stratified_sums(binary([100], [60]), binary([100], [80]))
    heavy = np.array([[2.0], [4.0], [2.0], [2.0]])
    twice = stratified_sums(heavy * binary([100], [60]), heavy * binary([100], [80]))
    assert twice.score[0] == pytest.approx(2 * once.score[0])
    assert twice.variance[0] == pytest.approx(4 * once.variance[0])


def test_exact_evidence_is_an_e_value() -> None:
    # over all tables with these margins the mean of exp(evidence) is one
    n1, k, n = 12, 25, 40
    support = np.arange(max(0, n1 + k - n), min(n1, k) + 1)
    chance = hypergeom(n, k, n1).pmf(support)
    for side in (0, 1):
        e_values = [math.exp(exact_log_evidence([x], [n1], [k], [n])[side]) for x in support]
        assert chance @ e_values == pytest.approx(1.0)


@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=4))
def test_the_screen_is_near_the_exact_evidence(
    strata: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    after = binary([s[0][0] for s in strata], [s[0][1] for s in strata])
    before = binary([s[1][0] + 60 for s in strata], [s[1][1] + 45 for s in strata])
    sums = [part.sum() for part in stratified_sums(after, before)]
    screen = mixture_log_evidence(np.array(sums[0]), np.array(sums[1]), np.array(sums[2]))
    exact = exact_log_evidence(after[2], after[0], (after + before)[2], (after + before)[0])
    if max(exact) < 15:
        assert max(screen) == pytest.approx(max(exact), abs=2.5)
    assert (screen[0] > screen[1]) == (exact[0] > exact[1]) or abs(sums[0]) < 1.0


def test_the_difference_within_strata_ignores_the_mix() -> None:
    # both strata keep their rates, the traffic moves to the worse one
    after, before = binary([900, 100], [450, 90]), binary([100, 900], [50, 810])
    within = stratified_difference(after, before)
    mix = mix_difference(after, before)
    assert within.estimate == pytest.approx(0.0)
    assert within.low < 0 < within.high
    assert mix.estimate == pytest.approx(-0.32)
    assert mix.low < -0.32 < mix.high < 0


def test_within_and_mix_make_up_the_whole_difference() -> None:
    after, before = binary([300, 100], [150, 90]), binary([200, 200], [120, 190])
    raw = after[2].sum() / after[0].sum() - before[2].sum() / before[0].sum()
    within = ((after[0] * before[0]) / (after + before)[0]) @ (
        after[2] / after[0] - before[2] / before[0]
    )
    # the score statistic splits exactly: S of all rows is S within plus S of the mix
    whole = stratified_sums(after.sum(axis=1), before.sum(axis=1)).score
    inside = stratified_sums(after, before).score.sum()
    assert inside == pytest.approx(within)
    share = 400 * 400 / 800
    assert (whole - inside) / share == pytest.approx(mix_difference(after, before).estimate)
    assert whole / share == pytest.approx(raw)


def test_the_interval_of_the_difference_covers() -> None:
    generator = np.random.default_rng(5)
    sizes1, sizes0, rates = np.array([60, 40]), np.array([200, 300]), np.array([0.9, 0.6])
    hits = 0
    for _ in range(600):
        after = binary(list(sizes1), list(generator.binomial(sizes1, rates - 0.1)))
        before = binary(list(sizes0), list(generator.binomial(sizes0, rates)))
        found = stratified_difference(after, before)
        hits += found.low <= -0.1 <= found.high
    assert 0.92 <= hits / 600 <= 0.985


def test_strata_on_one_side_only_tell_nothing() -> None:
    found = stratified_difference(binary([10, 0], [5, 0]), binary([0, 10], [0, 9]))
    assert math.isnan(found.estimate)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_columns_that_tell_scores_apart_are_chosen_and_noise_is_not() -> None:
    generator = np.random.default_rng(2)
    size = 600
    columns = {name: generator.integers(0, 5, size) for name in ("noise", "hard", "topic")}
    rate = 0.9 - 0.15 * columns["topic"] - 0.05 * columns["hard"]
    score = (generator.random(size) < rate).astype(float)
    assert informative_columns(score, np.ones(size), columns)[0] == "topic"
    assert "noise" not in informative_columns(score, np.ones(size), columns)
    flat = np.ones(size)
    assert informative_columns(flat, np.ones(size), columns) == ()
    assert informative_columns(np.empty(0), np.empty(0), {"a": np.empty(0, dtype=int)}) == ()


def test_crossing_many_columns_does_not_overflow() -> None:
    size = 50
    generator = np.random.default_rng(1)
    columns = {str(i): generator.integers(0, 2**20, size) for i in range(6)}
    score = generator.integers(0, 2, size).astype(float)
    # no column leaves four rows a cell
    assert informative_columns(score, np.ones(size), columns) == ()

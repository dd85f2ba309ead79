"""Intervals of rates, means and differences against known values and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evalspan.stats import (
    bootstrap_mean_interval,
    newcombe_interval,
    weighted_mean,
    wilson_interval,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_the_one_of_scipy(count: tuple[int, int], level: float) -> None:
    passes, total = count
    known = binomtest(passes, total).proportion_ci(level, method="wilson")
    found = wilson_interval(passes, total, level)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-12)


def test_wilson_of_nothing_knows_nothing() -> None:
    found = wilson_interval(0, 0)
    assert math.isnan(found.estimate)
    assert (found.low, found.high) == (0.0, 1.0)


def test_wilson_refuses_more_passes_than_rows() -> None:
    with pytest.raises(ValueError, match="got 3 of 2"):
        wilson_interval(3, 2)


def test_newcombe_has_the_values_of_its_paper() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80 and 9/10 against 3/10
    found = newcombe_interval(56, 70, 48, 80)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    found = newcombe_interval(9, 10, 3, 10)
    assert (found.low, found.high) == pytest.approx((0.1705, 0.8090), abs=5e-5)


@given(counts, counts)
def test_newcombe_turned_round_has_the_other_sign(
    one: tuple[int, int], two: tuple[int, int]
) -> None:
    there, back = newcombe_interval(*one, *two), newcombe_interval(*two, *one)
    assert there.low == pytest.approx(-back.high)
    assert -1 <= there.low <= there.estimate <= there.high <= 1


def test_weighted_mean_counts_a_weight_as_rows() -> None:
    assert weighted_mean([1.0, 0.0], [3.0, 1.0]) == pytest.approx((0.75, 1.6))
    assert weighted_mean([1.0, 0.0, 1.0, 1.0]) == pytest.approx((0.75, 4.0))
    mean, size = weighted_mean([])
    assert math.isnan(mean)
    assert size == 0.0


def test_bootstrap_covers_like_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    found = bootstrap_mean_interval(values, seed=1)
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx(
        (found.estimate - half, found.estimate + half), abs=0.04
    )
    assert found == bootstrap_mean_interval(values, seed=1)
    assert math.isnan(bootstrap_mean_interval([]).estimate)

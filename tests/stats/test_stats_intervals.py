"""Intervals of rates, means and differences against known values and scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evalspan.stats import (
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


def test_weighted_mean_counts_a_weight_as_rows() -> None:
    assert weighted_mean([1.0, 0.0], [3.0, 1.0]) == pytest.approx((0.75, 1.6))
    assert weighted_mean([1.0, 0.0, 1.0, 1.0]) == pytest.approx((0.75, 4.0))
    mean, size = weighted_mean([])
    assert math.isnan(mean)
    assert size == 0.0

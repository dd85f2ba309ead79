"""Tests of pairs: the same cases before and after."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, t

from evalspan.stats import mcnemar_exact, non_inferiority, paired_difference_interval


def test_mcnemar_is_the_binomial_test_of_the_changed_pairs() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(2, 9) == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert mcnemar_exact(9, 2) == mcnemar_exact(2, 9)


def test_paired_interval_of_numbers_is_students() -> None:
    differences = [0.3, -0.1, 0.25, 0.4, 0.05]
    found = paired_difference_interval(differences)
    half = t.ppf(0.975, 4) * np.std(differences, ddof=1) / math.sqrt(5)
    assert found == pytest.approx((0.18, 0.18 - half, 0.18 + half))


def test_equal_pairs_are_no_certain_zero() -> None:
    found = paired_difference_interval([0] * 20)
    assert found.estimate == 0.0
    assert found.low < -0.05
    assert found.high > 0.05


@pytest.mark.parametrize(("comparisons", "cases"), [(1, 59), (20, 117)])
def test_no_loss_proves_five_points_from_a_known_number_of_cases(
    comparisons: int, cases: int
) -> None:
    assert non_inferiority(0, 0, cases, 0.05, comparisons=comparisons).proven
    assert not non_inferiority(0, 0, cases - 1, 0.05, comparisons=comparisons).proven
    assert non_inferiority(0, 0, 10, 0.05, comparisons=comparisons).cases_needed == cases


def test_a_loss_without_gains_is_bounded_as_by_clopper_and_pearson() -> None:
    found = non_inferiority(3, 0, 100, 0.1)
    assert found.difference.low == pytest.approx(-beta.ppf(0.95, 4, 97))


@given(st.integers(0, 20), st.integers(0, 20), st.integers(60, 300))
def test_more_gains_never_lower_the_bound_and_losses_never_raise_it(
    losses: int, gains: int, total: int
) -> None:
    here = non_inferiority(losses, gains, total, 0.9).difference.low
    assert non_inferiority(losses + 1, gains, total, 0.9).difference.low < here
    assert non_inferiority(losses, gains + 1, total, 0.9).difference.low >= here - 0.01


def test_the_bound_errs_no_more_often_than_it_says() -> None:
    generator = np.random.default_rng(11)
    margin, wrong = 0.05, 0
    for _ in range(2000):
        # on the edge: 9 % lost, 4 % gained
        losses, gains, _ = generator.multinomial(150, [0.09, 0.04, 0.87])
        wrong += non_inferiority(int(losses), int(gains), 150, margin).proven
    assert wrong / 2000 < 0.05


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="losses"):
        non_inferiority(5, 6, 10, 0.05)

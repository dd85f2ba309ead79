"""Change points of plain series."""

import numpy as np
import pytest

from evalspan.detect import change_points


def test_steps_are_found_where_they_are() -> None:
    rng = np.random.default_rng(3)
    values = np.repeat([0.0, 4.0, -3.0], (60, 40, 80)) + rng.normal(size=180)
    assert change_points(values) == pytest.approx([60, 100], abs=2)


def test_unit_and_offset_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    values = np.repeat([1.0, 3.0], (50, 50)) + rng.normal(size=100)
    assert change_points(values) == change_points(1e9 * values + 5e9) == change_points(-values)


def test_noise_and_short_or_constant_series_have_few() -> None:
    rng = np.random.default_rng(5)
    assert sum(len(change_points(rng.normal(size=60))) > 0 for _ in range(40)) <= 12
    assert change_points(np.array([])) == []
    assert change_points(np.array([1.0, 2.0, 3.0])) == []
    assert change_points(np.full(50, 7.0)) == []

"""Localisation over many dimensions: planted causes are found."""

import itertools
import json

import numpy as np
import polars as pl
import pytest

from evalspan.explain import localise, localise_values

SIZES = {"cdn": 4, "bitrate": 5, "device": 3}


def leaves() -> pl.DataFrame:
    """All combinations of three dimensions."""
    values = [[f"{name[0]}{i}" for i in range(size)] for name, size in SIZES.items()]
    return pl.DataFrame(list(itertools.product(*values)), schema=list(SIZES), orient="row")


def is_in(frame: pl.DataFrame, cause: dict[str, str]) -> np.ndarray:
    """Leaves of a cause."""
    mask = np.ones(frame.height, dtype=bool)
    for key, value in cause.items():
        mask &= (frame[key] == value).to_numpy()
    return mask


def counts(seed: int, *causes: dict[str, str]) -> pl.DataFrame:
    """Counts before and now; causes fail at .4 instead of .03."""
    frame, generator = leaves(), np.random.default_rng(seed)
    rate = np.full(frame.height, 0.03)
    for cause in causes:
        rate[is_in(frame, cause)] = 0.4
    total = generator.poisson(120, frame.height)
    before = generator.poisson(500, frame.height)
    return frame.with_columns(
        failed=pl.Series(generator.binomial(total, rate)),
        total=pl.Series(total),
        failed_before=pl.Series(generator.binomial(before, 0.03)),
        total_before=pl.Series(before),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cause", [{"cdn": "c1"}, {"bitrate": "b2", "device": "d0"}])
def test_a_planted_cause_is_first_and_the_only_answer(cause: dict[str, str], seed: int) -> None:
    found = localise(counts(seed, cause), list(SIZES))
    assert json.loads(found["slice"][0]) == cause
    assert found.filter(pl.col("cause"))["slice"].to_list() == [found["slice"][0]]
    assert found["excess"][0] > 0
    assert found["z"][0] > 12


def test_two_planted_causes_are_both_answers() -> None:
    causes = [{"cdn": "c1"}, {"bitrate": "b2"}]
    found = localise(counts(3, *causes), list(SIZES))
    answers = [json.loads(name) for name in found.filter(pl.col("cause"))["slice"]]
    assert sorted(answers, key=str) == sorted(causes, key=str)


def test_counts_as_before_have_no_cause_worth_the_name() -> None:
    found = localise(counts(5), list(SIZES))
    assert found["z"].max() is None or found["z"].max() < 6


@pytest.mark.parametrize("seed", range(4))
def test_leaves_that_deviate_together_are_found_through_noise(seed: int) -> None:
    frame, generator = leaves(), np.random.default_rng(seed)
    causes = [{"cdn": "c0", "bitrate": "b1"}, {"device": "d2", "bitrate": "b3"}]
    predict = generator.lognormal(5, 1, frame.height)
    real = predict * (1 + generator.normal(0, 0.05, frame.height))
    for cause in causes:
        real[is_in(frame, cause)] *= 0.4
    frame = frame.with_columns(real=pl.Series(real), predict=pl.Series(predict))
    found = localise_values(frame, list(SIZES))
    answers = [json.loads(name) for name in found["slice"]]
    assert sorted(answers, key=str) == sorted(causes, key=str)
    assert (found["excess"] < 0).all()


def test_noise_alone_and_empty_leaves_have_no_cause() -> None:
    frame, generator = leaves(), np.random.default_rng(8)
    predict = generator.lognormal(5, 1, frame.height)
    real = predict * (1 + generator.normal(0, 0.1, frame.height))
    noisy = frame.with_columns(real=pl.Series(real), predict=pl.Series(predict))
    assert localise_values(noisy, list(SIZES)).is_empty()
    zero = frame.with_columns(real=pl.lit(0.0), predict=pl.lit(0.0))
    assert localise_values(zero, list(SIZES)).is_empty()
    assert localise_values(zero.clear(), list(SIZES)).is_empty()

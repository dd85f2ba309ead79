"""What holds for every stream: causality, invariance, calibration."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from evalspan.detect import DetectSettings, detect, walk
from evalspan.detect._claims import find_versions
from evalspan.detect._stream import encode

Stream = Callable[..., pl.DataFrame]
SLOW = hypothesis_settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
falls = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "rows": st.integers(600, 2000),
        "fall": st.sampled_from([0.0, 0.15, 0.4, -0.2]),
        "where": st.sampled_from([None, {"customer": "c1"}, {"topic": "hard"}]),
        "version_after": st.sampled_from([None, "v2"]),
        "mix_after": st.sampled_from([None, (0.2, 0.3, 0.5)]),
    }
)


@SLOW
@given(story=falls, cut=st.floats(0.4, 0.95))
def test_later_rows_change_no_earlier_state(
    stream: Stream, settings: DetectSettings, story: dict[str, object], cut: float
) -> None:
    rows = stream(**story)
    steps = list(walk(rows, settings))
    step = steps[int(cut * len(steps))]
    past = rows.filter(pl.col("time") < step.ended)
    assert detect(past, settings).equals(step.states)


@pytest.mark.parametrize("seed", range(12))
def test_later_rows_change_no_version_and_not_their_order(
    stream: Stream, settings: DetectSettings, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    rows = stream(seed=seed, rows=3000)
    # each has its own share of the traffic from its own time on: the first may fill up last
    began = np.sort(generator.uniform(0.1, 0.9, 6)) * rows.height
    shares = generator.choice([0.03, 0.3], 6) * (np.arange(rows.height)[:, None] >= began)
    chance = np.column_stack([np.full(rows.height, 0.2), shares]).cumsum(axis=1)
    picked = generator.random(rows.height) * chance[:, -1]
    version = (chance < picked[:, None]).sum(axis=1)
    rows = rows.with_columns(prompt_version=pl.format("v{}", pl.Series(version)))
    now = find_versions(encode(rows, settings), settings)
    for past in (rows.head(count) for count in range(1500, 3000, 150)):
        then = find_versions(encode(past, settings), settings)
        assert now[: len(then)] == then


@SLOW
@given(story=falls, seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(
    stream: Stream, settings: DetectSettings, story: dict[str, object], seed: int
) -> None:
    rows = stream(**story)
    order = np.random.default_rng(seed).permutation(rows.height)
    assert detect(rows[order], settings).equals(detect(rows, settings))


@SLOW
@given(story=falls)
def test_names_of_values_do_not_matter(
    stream: Stream, settings: DetectSettings, story: dict[str, object]
) -> None:
    rows = stream(**story)
    other = rows.with_columns(pl.col("customer").str.replace("c", "tenant-"))
    columns = ["kind", "direction", "opened_time", "state", "effect", "evidence_nats"]
    one = detect(rows, settings).select(columns).sort(columns)
    assert one.equals(detect(other, settings).select(columns).sort(columns))


@SLOW
@given(seed=st.integers(0, 10_000), mix=st.sampled_from([(0.1, 0.2, 0.7), (0.7, 0.25, 0.05)]))
def test_a_mix_shift_alone_is_never_a_regression(
    stream: Stream, settings: DetectSettings, seed: int, mix: tuple[float, float, float]
) -> None:
    found = detect(stream(seed=seed, mix_after=mix), settings)
    assert found.filter(pl.col("direction") == "mix_shift").height == 1
    # the budget for anything else over ten thousand seeds is one in twenty
    assert found.filter(pl.col("evidence_nats") > 14, pl.col("kind") != "mix").is_empty()


def test_few_streams_without_a_change_alarm(stream: Stream, settings: DetectSettings) -> None:
    alarms = sum(detect(stream(seed=s, rows=1500), settings).height > 0 for s in range(120))
    assert alarms <= 6


@pytest.mark.parametrize("fall", [0.1, 0.2])
def test_strong_falls_are_found_soon(stream: Stream, settings: DetectSettings, fall: float) -> None:
    delays = []
    for seed in range(12):
        found = detect(stream(seed=seed, fall=fall), settings).filter(
            pl.col("direction") == "regression"
        )
        assert not found.is_empty()
        delays.append(found["opened_time"].min() - stream(rows=1)["time"].dt.truncate("1d")[0])
    late = [delay - timedelta(days=6) for delay in delays]
    assert np.median([d.total_seconds() for d in late]) <= 86_400 * (0.1 / fall)


def test_a_constant_score_is_no_change(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=1500)
    for value in (0.0, 0.5, 1.0):
        assert detect(rows.with_columns(score=pl.lit(value)), settings).is_empty()


def test_graded_and_weighted_scores_are_judged_too(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(fall=0.25)
    graded = rows.with_columns(
        score=0.2 + 0.6 * pl.col("score"),
        weight=pl.when(pl.col("topic") == "hard").then(4.0).otherwise(1.0),
    )
    found = detect(graded, settings).to_dicts()
    assert [(row["direction"], row["slice"]) for row in found] == [("regression", "{}")]
    assert found[0]["effect"] == pytest.approx(-0.15, abs=0.04)

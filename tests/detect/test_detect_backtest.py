"""The backtest: shuffling keeps what it says, drops are found, the same seed says the same."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl

from evalspan.detect import DetectSettings, backtest, largest_slices
from evalspan.detect._backtest import _shuffled
from evalspan.detect._stream import encode

Levels = Callable[..., pl.DataFrame]


def ordered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("time", "trace_id")


def test_shuffling_keeps_scores_of_strata_and_takes_changes_away(
    levels: Levels, settings: DetectSettings
) -> None:
    by_topic = settings.model_copy(update={"strata": ("topic",)})
    rows = ordered(levels((0, 0.95), (7, 0.5)))
    mixed = _shuffled(rows, encode(rows, by_topic), "clusters", np.random.default_rng(1))
    totals = [
        frame.group_by("topic").agg(pl.col("score").sum()).sort("topic") for frame in (rows, mixed)
    ]
    assert totals[0].equals(totals[1])
    assert mixed.drop("score").equals(rows.drop("score"))
    half = rows.height // 2
    assert abs(mixed["score"][:half].mean() - mixed["score"][half:].mean()) < 0.05


def test_verdicts_of_a_cluster_stay_together(levels: Levels, settings: DetectSettings) -> None:
    rows = ordered(levels((0, 0.5), days=6))
    cluster = pl.int_range(rows.height, eager=True) // 5
    rows = rows.with_columns(cluster=cluster.cast(pl.String), score=(cluster % 2).cast(pl.Float64))
    single = settings.model_copy(update={"strata": ()})
    mixed = _shuffled(rows, encode(rows, single), "clusters", np.random.default_rng(1))
    assert mixed.group_by("cluster").agg(pl.col("score").n_unique())["score"].max() == 1
    assert not mixed["score"].equals(rows["score"])


def test_days_stay_together_where_asked(levels: Levels, settings: DetectSettings) -> None:
    rows = ordered(levels((0, 0.5), days=6))
    whole = (rows["time"].dt.day() % 2).cast(pl.Float64)
    rows = rows.with_columns(score=whole)
    single = settings.model_copy(update={"strata": ()})
    mixed = _shuffled(rows, encode(rows, single), "days", np.random.default_rng(2))
    assert (mixed["score"].diff().fill_null(0.0) != 0).sum() <= 6


def test_large_drops_are_found_and_small_ones_later_if_at_all(
    levels: Levels, settings: DetectSettings
) -> None:
    made = backtest(levels((0, 0.95), days=10), settings, range(6), drops=(0.02, 0.3))
    assert (made.verdicts, len(made.trials)) == (5000, 6)
    told = [trial.planted[1] for trial in made.trials if not trial.planted[1].early]
    assert told
    assert all(each.hours is not None and 0 < each.hours < 24 for each in told)
    small = sum(trial.planted[0].hours is not None for trial in made.trials)
    assert small <= len(told)
    assert sum(trial.regression for trial in made.trials) <= 2


def test_the_same_seed_says_the_same(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.9), days=6)
    one, two, other = (backtest(rows, settings, [seed], drops=(0.3,)) for seed in (5, 5, 6))
    assert one == two
    assert one.trials[0].planted != other.trials[0].planted


def test_too_little_history_has_no_trials(levels: Levels, settings: DetectSettings) -> None:
    made = backtest(levels((0, 0.9), days=2), settings, range(3))
    assert made.trials == ()
    assert timedelta(days=made.days) < settings.minimum_history
    assert backtest(levels((0, 0.9)).clear(), settings, range(3)).trials == ()


def test_a_drop_in_a_slice_takes_longer_than_one_in_all_traffic(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.95), days=10)
    where = {"customer": "c2"}
    made = backtest(rows, settings, range(4), drops=(0.5,), slices=[where])
    pairs = [trial.planted for trial in made.trials if not any(p.early for p in trial.planted)]
    assert [each.where for each in pairs[0]] == [(), (("customer", "c2"),)]
    hours = np.array([[each.hours for each in pair] for pair in pairs], dtype=np.float64)
    assert (hours[:, 0] <= hours[:, 1]).all()
    assert hours[:, 1].max() < 48
    # what happens in all traffic does not depend on which slices are asked for
    alone = backtest(rows, settings, range(4), drops=(0.5,))
    assert [t.planted[0] for t in alone.trials] == [t.planted[0] for t in made.trials]


def test_the_largest_slice_of_each_dimension_is_offered(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.9), days=4).with_columns(
        customer=pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.lit("big")).otherwise("customer"),
        topic=pl.lit("same"),
    )
    assert largest_slices(rows, settings) == [{"customer": "big"}]
    assert largest_slices(rows.clear(), settings) == []

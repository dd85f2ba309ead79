"""What scores are compared with: pinned times and versions, revisions, weights and clusters."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from evalspan.config import SettingError
from evalspan.detect import BaselineSettings, DetectSettings, detect, need
from evalspan.detect._stream import encode

Levels = Callable[..., pl.DataFrame]
START = datetime(2026, 3, 2, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def pinned(settings: DetectSettings, **what: object) -> DetectSettings:
    return settings.model_copy(update={"baseline": BaselineSettings(**what)})


def test_a_slow_slide_is_found_against_a_pinned_time(
    levels: Levels, settings: DetectSettings
) -> None:
    # the score was good in the week that everybody remembers, and has been poor ever since
    rows = levels((0, 0.9), (2, 0.78), days=12)
    fixed = pinned(settings, since=day(0), until=day(2))
    found = detect(rows, fixed)
    assert found["direction"].to_list() == ["regression"]
    only = found.row(0, named=True)
    assert only["baseline_n"] == rows.filter(pl.col("time") < day(2)).height
    assert only["baseline_score"] == pytest.approx(0.9, abs=0.03)
    assert only["opened_time"] < day(4)


def test_a_small_pinned_time_is_as_uncertain_as_it_is(
    levels: Levels, settings: DetectSettings
) -> None:
    alarms = 0
    for seed in range(40):
        rows = levels((0, 0.85), days=10, rows_a_day=150, seed=seed)
        alarms += detect(rows, pinned(settings, since=day(0), until=day(0.5))).height > 0
    assert alarms <= 4


def test_a_pinned_version_stays_what_others_are_compared_with(
    levels: Levels, settings: DetectSettings
) -> None:
    # two steps down: each is small against the last, together they are not
    names = ((0, "v1"), (4, "v2"), (8, "v3"))
    rows = levels((0, 0.9), (4, 0.88), (8, 0.82), versions=names, days=12)
    fixed = pinned(settings, versions={"prompt_version": "v1"})
    found = detect(rows, fixed).filter(pl.col("kind") == "version")
    assert {(row["old"], row["new"]) for row in found.to_dicts()} == {("v1", "v3")}


def test_an_improvement_over_a_pinned_baseline_is_not_adopted(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.7), (4, 0.85), days=20, rows_a_day=300)
    found = detect(rows, pinned(settings, since=day(0), until=day(4)))
    assert [(r["direction"], r["state"]) for r in found.to_dicts()] == [("improvement", "open")]


def test_a_baseline_that_nobody_recorded_says_what_is_missing(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.9), (5, 0.5), days=8)
    long_ago = pinned(settings, since=datetime(2025, 1, 1, tzinfo=UTC), until=day(-30))
    assert detect(rows, long_ago).filter(pl.col("kind") == "time").is_empty()
    assert need(rows, long_ago).baseline == 20
    assert need(rows, pinned(settings, since=day(0), until=day(2))) == (0, timedelta(0), 0)


def test_a_baseline_without_a_zone_is_in_utc_and_nonsense_is_refused() -> None:
    read = BaselineSettings.model_validate({"since": "2026-03-02", "until": "2026-03-03T12:00"})
    assert (read.since, read.until) == (day(0), day(1.5))
    for wrong in ({}, {"since": day(0)}, {"since": day(1), "until": day(0)}):
        with pytest.raises((ValidationError, SettingError)):
            BaselineSettings.model_validate(wrong)


def test_a_check_has_its_own_minimum_effect(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.9), (5, 0.8))
    own = settings.model_copy(update={"minimum_effects": {"polite": 0.3, "polite/tone": 0.02}})
    assert detect(rows, own.of("polite")).is_empty()
    assert detect(rows, own.of("polite/other")).is_empty()
    assert detect(rows, own.of("polite/tone"))["state"].to_list() == ["open"]
    assert detect(rows, own.of("short"))["state"].to_list() == ["open"]


def revised(rows: pl.DataFrame, at: float) -> pl.DataFrame:
    late = pl.col("time") >= day(at)
    return rows.with_columns(revision=pl.when(late).then(pl.lit("b2")).otherwise(pl.lit("a1")))


def test_a_shift_by_a_new_revision_is_named_as_that_and_never_a_regression(
    levels: Levels, settings: DetectSettings
) -> None:
    for after in (0.7, 0.97):
        rows = revised(levels((0, 0.85), (6, after)), 6)
        found = detect(rows, settings).to_dicts()
        assert [(r["kind"], r["direction"]) for r in found] == [("version", "revision")]
        only = found[0]
        assert (only["version_dimension"], only["old"], only["new"]) == ("revision", "a1", "b2")
        assert only["effect"] == pytest.approx(after - 0.85, abs=0.03)
        assert "The check itself was changed, revision a1 to b2" in only["reason"]


def test_a_revision_that_changes_nothing_is_not_told(
    levels: Levels, settings: DetectSettings
) -> None:
    told = sum(
        detect(revised(levels((0, 0.85), seed=seed, days=10), 6), settings).height > 0
        for seed in range(20)
    )
    assert told <= 1


def test_a_fall_within_a_revision_is_found_with_its_own_size(
    levels: Levels, settings: DetectSettings
) -> None:
    # the new revision is milder by as much as the answers get worse three days later
    rows = revised(levels((0, 0.75), (5, 0.95), (8, 0.75)), 5)
    found = detect(rows, settings)
    fallen = found.filter(pl.col("direction") == "regression").to_dicts()
    assert [row["slice"] for row in fallen] == ["{}"]
    assert fallen[0]["effect"] == pytest.approx(-0.2, abs=0.04)
    assert fallen[0]["change_low"] <= day(8) <= fallen[0]["change_high"]


def test_what_no_newer_verdict_can_be_compared_with_ends_and_says_so(
    levels: Levels, settings: DetectSettings
) -> None:
    soon = settings.model_copy(update={"adopt_after": timedelta(days=3)})
    rows = revised(levels((0, 0.9), (5, 0.7), days=16), 7)
    found = detect(rows, soon).filter(pl.col("direction") == "regression").to_dicts()
    assert [row["state"] for row in found] == ["resolved"]
    assert "The evaluator was changed" in found[0]["reason"].replace("the eval", "The eval")
    # until then it is not adopted
    before = rows.filter(pl.col("time") < day(9))
    assert detect(before, soon).filter(pl.col("direction") == "regression")["state"][0] == "open"


def clustered(seed: int, turns: int, spread: float, cluster: str = "conversation") -> pl.DataFrame:
    """Conversations (or customers within a batch) whose turns share luck; nothing changes."""
    generator = np.random.default_rng(seed)
    count = 2400 // turns
    begin = np.sort(generator.random(count)) * 10
    luck = generator.beta(0.85 * spread, 0.15 * spread, count)
    index = np.repeat(np.arange(count), turns)
    moments = begin[index] + generator.random(index.size) * 0.02
    return pl.DataFrame(
        {
            "time": [day(float(m)) for m in moments],
            "score": (generator.random(index.size) < luck[index]).astype(float),
            "trace_id": [f"t{number:05d}" for number in range(index.size)],
            "cluster": [f"{cluster}-{number}" for number in index],
            "customer": [f"c{number % 6}" for number in index],
            "topic": "one",
            "prompt_version": "v1",
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))


@pytest.mark.parametrize(("turns", "spread"), [(4, 1.0), (12, 2.0)])
def test_clustered_streams_without_a_change_alarm_within_the_budget(
    settings: DetectSettings, turns: int, spread: float
) -> None:
    alarms = {"known": 0, "unknown": 0}
    for seed in range(40):
        rows = clustered(seed, turns, spread)
        alarms["known"] += detect(rows, settings).height > 0
        alarms["unknown"] += detect(rows.drop("cluster"), settings).height > 0
    assert alarms["known"] <= 4
    assert alarms["unknown"] > alarms["known"]


def test_a_customer_of_many_calls_is_one_cluster_a_batch(settings: DetectSettings) -> None:
    alarms = 0
    for seed in range(30):
        rows = clustered(seed, 20, 3.0)
        alarms += detect(rows.with_columns(cluster="customer"), settings).height > 0
    assert alarms <= 3


def test_a_change_is_not_taken_for_clustering(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.9), (5, 0.6)).with_columns(cluster="customer")
    assert encode(rows, settings).deff[-1] < 1.3
    assert detect(rows, settings)["state"].to_list() == ["open"]


def test_sampled_streams_without_a_change_alarm_within_the_budget(
    levels: Levels, settings: DetectSettings
) -> None:
    # failures are kept ten times as often as passes, and weigh a tenth
    alarms = 0
    for seed in range(40):
        rows = levels((0, 0.9), seed=seed, days=10, rows_a_day=600)
        keep = pl.Series(np.random.default_rng(seed).random(rows.height) < 0.1)
        sampled = rows.with_columns(
            weight=pl.when(pl.col("score") == 1).then(10.0).otherwise(1.0)
        ).filter((pl.col("score") == 0) | keep)
        alarms += detect(sampled, settings).height > 0
    assert alarms <= 4

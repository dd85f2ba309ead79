"""Stories: what happened in a stream, and what the detector says of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from evalspan.detect import SCHEMA, DetectSettings, detect, need, rank, walk

Stream = Callable[..., pl.DataFrame]
START = datetime(2026, 3, 2, tzinfo=UTC)
CHANGE = START + timedelta(days=6)


def test_a_quiet_stream_says_nothing(stream: Stream, settings: DetectSettings) -> None:
    found = detect(stream(), settings)
    assert found.is_empty()
    assert found.schema == SCHEMA


def test_a_fall_of_everything_is_one_regression(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(fall=0.12)
    found = detect(rows, settings, "polite").to_dicts()
    assert [(row["kind"], row["direction"], row["slice"], row["state"]) for row in found] == [
        ("time", "regression", "{}", "open")
    ]
    only = found[0]
    assert CHANGE <= only["opened_time"] <= CHANGE + timedelta(days=1)
    assert only["change_low"] <= CHANGE <= only["change_high"]
    assert only["effect_low"] <= -0.12 <= only["effect_high"]
    assert only["baseline_n"] + only["candidate_n"] == rows.height
    assert abs(only["mix_amount"]) < 0.02
    assert "fell from 83.3 % to 72.4 %" in only["reason"]
    assert "−10.6 points [−13.1, −8.0]" in only["reason"]


def test_exemplars_are_failing_candidate_rows(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(fall=0.5, where={"customer": "c2"})
    state = next(s for s in detect(rows, settings).to_dicts() if s["slice"] != "{}")
    assert json.loads(state["slice"]) == {"customer": "c2"}
    assert 1 <= len(state["exemplars"]) <= 5
    picked = rows.filter(pl.col("trace_id").is_in(state["exemplars"]))
    assert picked["score"].sum() == 0
    assert picked["customer"].unique().to_list() == ["c2"]
    assert picked["time"].min() >= state["change_time"] - timedelta(hours=3)


@pytest.mark.parametrize(
    "where", [{"customer": "c1"}, {"topic": "hard"}, {"customer": "c4", "topic": "plain"}]
)
def test_a_slice_that_falls_is_named(
    stream: Stream, settings: DetectSettings, where: dict[str, str]
) -> None:
    rows = stream(rows=9000, fall=0.4, where=where)
    regressions = detect(rows, settings).filter(pl.col("slice") != "{}")
    assert [json.loads(name) for name in regressions["slice"]] == [where]
    assert json.loads(rank(rows, settings)["slice"][0]) == where


def test_a_new_version_that_is_worse_is_named_with_the_old_one(
    stream: Stream, settings: DetectSettings
) -> None:
    found = detect(stream(fall=0.12, version_after="v2"), settings).to_dicts()
    assert len(found) == 1
    only = found[0]
    assert (only["kind"], only["version_dimension"], only["old"], only["new"]) == (
        "version",
        "prompt_version",
        "v1",
        "v2",
    )
    assert only["change_time"] == only["change_low"] == only["change_high"]
    assert abs(only["change_time"] - CHANGE) < timedelta(hours=1)


def test_a_canary_is_compared_with_the_traffic_beside_it(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(rows=6000, change_day=4, version_after="v2")
    generator = np.random.default_rng(9)
    canary = (rows["prompt_version"] == "v2").to_numpy() & (generator.random(rows.height) < 0.2)
    fails = canary & (generator.random(rows.height) < 0.25)
    rows = rows.with_columns(
        prompt_version=pl.Series(np.where(canary, "v2", "v1")),
        score=pl.when(pl.Series(fails)).then(0.0).otherwise("score"),
    )
    found = detect(rows, settings).filter(pl.col("slice") == "{}").to_dicts()
    assert [(row["kind"], row["new"]) for row in found] == [("version", "v2")]
    assert found[0]["candidate_n"] == canary.sum()
    assert found[0]["baseline_n"] == rows.height - canary.sum()


def test_of_many_versions_the_latest_are_watched(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=5000, days=12, change_day=10, fall=0.25)
    day = (pl.col("time") - START).dt.total_days()
    rows = rows.with_columns(prompt_version=pl.format("v{}", day))
    few = settings.model_copy(update={"max_versions": 2})
    found = detect(rows, few).filter(pl.col("kind") == "version").to_dicts()
    assert [(row["old"], row["new"]) for row in found] == [("v9", "v10")]


def test_a_shift_of_the_mix_is_no_regression(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(mix_after=(0.2, 0.2, 0.6))
    found = detect(rows, settings).to_dicts()
    assert [(row["kind"], row["direction"]) for row in found] == [("mix", "mix_shift")]
    assert found[0]["mix_low"] <= -0.12 <= found[0]["mix_high"]
    assert found[0]["effect_low"] < 0 < found[0]["effect_high"]


def test_a_fall_hidden_by_an_easier_mix_is_found(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=8000, fall=0.3, where={"topic": "hard"}, mix_after=(0.55, 0.25, 0.2))
    found = detect(rows, settings)
    names = found.filter(pl.col("direction") == "regression")["slice"].to_list()
    assert '{"topic": "hard"}' in names
    assert found.filter(pl.col("kind") == "mix")["mix_amount"].to_list()[0] > 0


def test_an_improvement_is_called_one(stream: Stream, settings: DetectSettings) -> None:
    found = detect(stream(fall=-0.12), settings).to_dicts()
    assert [(row["direction"], row["slice"]) for row in found] == [("improvement", "{}")]
    assert found[0]["effect_low"] > 0


def test_a_score_that_comes_back_resolves(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=8000, days=12, change_day=5, fall=0.15, until_day=8)
    found = detect(rows, settings).to_dicts()
    assert [(row["direction"], row["state"]) for row in found] == [("regression", "resolved")]
    assert "came back" in found[0]["reason"]


def test_an_old_improvement_becomes_the_baseline(stream: Stream, settings: DetectSettings) -> None:
    soon = settings.model_copy(update={"adopt_after": timedelta(days=2)})
    found = detect(stream(fall=-0.12), soon).to_dicts()
    assert [(row["direction"], row["state"]) for row in found] == [("improvement", "resolved")]


def test_names_of_the_same_rows_are_aliases(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=6000, fall=0.4, where={"topic": "hard"}).with_columns(
        language=pl.when(pl.col("topic") == "hard").then(pl.lit("java")).otherwise(pl.lit("python"))
    )
    wider = settings.model_copy(update={"dimensions": ("customer", "language", "topic")})
    state = detect(rows, wider).filter(pl.col("slice") != "{}").to_dicts()
    assert len(state) == 1
    names = [json.loads(state[0]["slice"]), *json.loads(state[0]["aliases"])]
    assert {"topic": "hard"} in names
    assert {"language": "java"} in names
    assert {"language": "java", "topic": "hard"} in names


def test_too_little_data_says_nothing_and_how_much_is_missing(
    stream: Stream, settings: DetectSettings
) -> None:
    few = stream(rows=30, days=1, change_day=0.5, fall=0.9)
    assert detect(few, settings).is_empty()
    missing = need(few, settings)
    assert missing.rows == 10
    assert timedelta(days=1.9) < missing.history < timedelta(days=2.2)
    assert need(few.clear(), settings) == (40, timedelta(days=3), 0)
    assert need(stream(), settings) == (0, timedelta(0), 0)


def test_an_empty_frame_and_one_of_nulls_give_no_states(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(rows=200)
    assert detect(rows.clear(), settings).is_empty()
    nulls = rows.with_columns(score=pl.lit(None, dtype=pl.Float64))
    assert detect(nulls, settings).is_empty()
    assert list(walk(nulls, settings)) == []
    assert rank(rows.clear(), settings).is_empty()


def test_a_small_fall_below_the_minimum_effect_is_left_alone(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(rows=8000, fall=0.08)
    assert not detect(rows, settings).is_empty()
    patient = settings.model_copy(update={"minimum_effect": 0.4})
    assert detect(rows, patient).is_empty()


def test_turns_of_one_conversation_count_less_than_rows(
    stream: Stream, settings: DetectSettings
) -> None:
    # every verdict ten times is the same evidence, which only looks like more
    alarms = {"together": 0, "apart": 0}
    for seed in range(8):
        copies = pl.concat([stream(rows=500, seed=seed).with_columns(cluster="trace_id")] * 10)
        alarms["together"] += detect(copies, settings).height > 0
        apart = copies.with_columns(cluster=pl.lit(None, dtype=pl.String))
        alarms["apart"] += detect(apart, settings).height > 0
    assert alarms["together"] <= 1
    assert alarms["apart"] >= 4


def test_ids_tell_checks_apart_and_are_stable(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(fall=0.12)
    one, two = detect(rows, settings, "polite"), detect(rows, settings, "short")
    assert one["id"].to_list() == detect(rows, settings, "polite")["id"].to_list()
    assert set(one["id"]).isdisjoint(two["id"])


def test_impossible_scores_and_weights_are_refused(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(rows=100)
    with pytest.raises(ValueError, match="within 0 and 1"):
        detect(rows.with_columns(score=pl.lit(1.5)), settings)
    with pytest.raises(ValueError, match="weights above 0"):
        detect(rows.with_columns(weight=pl.lit(0.0)), settings)


def test_settings_refuse_unknown_keys_and_describe_every_field() -> None:
    with pytest.raises(ValidationError):
        DetectSettings.model_validate({"evry": "3h"})
    assert DetectSettings.model_validate({"every": "30s"}).every == timedelta(seconds=30)
    assert all(field.description for field in DetectSettings.model_fields.values())


def test_seconds_serve_as_well_as_hours(stream: Stream) -> None:
    # a demo's clock: ten days squeezed into a hundred seconds
    rows = stream(rows=1300, fall=0.37, where={"customer": "c3"}, version_after="v2")
    squeezed = rows.with_columns(
        time=pl.lit(START) + (pl.col("time") - pl.lit(START)) / 8640
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
    quick = DetectSettings(
        dimensions=("customer", "topic"),
        version_dimensions=("prompt_version",),
        every=timedelta(seconds=2),
        minimum_history=timedelta(seconds=10),
    )
    found = detect(squeezed, quick).filter(pl.col("slice") != "{}").to_dicts()
    assert [(json.loads(row["slice"]), row["new"]) for row in found] == [({"customer": "c3"}, "v2")]

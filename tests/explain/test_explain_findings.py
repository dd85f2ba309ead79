"""Stories: what changed in the scores, and what the explanation says."""

import json
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from evalspan.explain import SCHEMA, ExplainSettings, explain, rank_slices

Scores = Callable[..., pl.DataFrame]
Regression = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("where", [{"customer": "c2"}, {"customer": "c1", "topic": "plain"}])
def test_a_slice_that_holds_the_drop_comes_first_with_all_of_it(
    scores: Scores, regression: Regression, settings: ExplainSettings, where: dict[str, str]
) -> None:
    rows = scores(fall=0.5, where=where)
    first = explain(rows, regression(), settings).row(0, named=True)
    assert (first["rank"], first["kind"]) == (1, "slice")
    assert json.loads(first["slice"]) == where
    assert first["share_low"] <= 1.0 <= first["share_high"]
    assert first["effect"] == pytest.approx(-0.5, abs=0.12)
    part = rows.filter(*(pl.col(key) == value for key, value in where.items()))
    assert first["baseline_n"] + first["candidate_n"] == part.height
    failing = rows.filter(pl.col("trace_id").is_in(first["exemplars"]))
    assert failing.height == 5
    assert failing["score"].sum() == 0
    assert failing["time"].min() >= regression()["change_time"]
    assert "failing traces" in first["countermeasure"]


def test_two_slices_share_the_drop(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    one, two = scores(fall=0.5, where={"customer": "c2"}), scores(seed=1)
    late = two["time"] >= regression()["change_time"]
    hit = late & (two["topic"] == "hard")
    two = two.with_columns(score=pl.when(hit).then(0.0).otherwise("score"))
    found = explain(pl.concat([one, two]), regression(), settings)
    slices = [json.loads(name) for name in found.filter(pl.col("kind") == "slice")["slice"]]
    assert {"customer": "c2"} in slices
    assert {"topic": "hard"} in slices
    assert found["share"].sum() == pytest.approx(1.0, abs=0.25)


def test_a_drop_of_everything_names_no_slice(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    found = explain(scores(fall=0.15), regression(), settings)
    assert found["slice"].to_list() == ["{}"]
    assert found["share"][0] == pytest.approx(1.0, abs=0.1)


def test_a_drop_by_the_mix_is_told_as_mix(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(mix_after=(0.1, 0.2, 0.7))
    mixed = regression(kind="mix", direction="mix_shift", mix_amount=-0.16)
    first = explain(rows, mixed, settings).row(0, named=True)
    assert first["kind"] == "mix"
    assert json.loads(first["slice"]) == {"topic": "hard"}
    assert first["share"] == pytest.approx(1.0, abs=0.1)
    assert first["effect"] == pytest.approx(-0.155, abs=0.03)
    assert "topic=hard" in first["title"]


def test_mix_and_change_within_each_get_their_part(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(rows=20_000, fall=0.1, mix_after=(0.25, 0.25, 0.5))
    found = explain(rows, regression(), settings)
    share = dict(found.select("kind", "share").iter_rows())
    # within .10, mix .15·.95 + .15·.85 − .30·.6 = .09
    assert share["mix"] == pytest.approx(0.09 / 0.19, abs=0.08)
    assert share["slice"] == pytest.approx(0.10 / 0.19, abs=0.08)


def test_a_new_prompt_version_comes_with_the_diff(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(fall=0.5, where={"customer": "c2"}, version_after="v2")
    version = regression(kind="version", version_dimension="prompt_version", old="v1", new="v2")
    prompts = {"v1": "Be kind.\nAnswer in JSON.", "v2": "Be kind.\nAnswer."}
    found = explain(rows, version, settings, prompts.get)
    first, second = found.row(0, named=True), found.row(1, named=True)
    assert first["kind"] == "prompt_change"
    assert "-Answer in JSON." in first["prompt_diff"].splitlines()
    assert "+Answer." in first["prompt_diff"].splitlines()
    assert "prompt_version v1" in first["countermeasure"]
    assert json.loads(second["slice"]) == {"customer": "c2"}
    assert found["prompt_diff"].null_count() == found.height - 1


def test_a_hostile_prompt_is_compared_in_part_and_its_name_is_no_line_of_the_diff(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    old, new = "v1\n+forged", "v2"
    rows = scores(fall=0.5, where={"customer": "c2"}, version_after=new).with_columns(
        prompt_version=pl.col("prompt_version").replace("v1", old)
    )
    version = regression(kind="version", version_dimension="prompt_version", old=old, new=new)
    lines = [f"{number % 150}" for number in range(300_000)]
    prompts = {old: "\n".join(lines), new: "\n".join(reversed(lines))}
    diff = explain(rows, version, settings, prompts.get).row(0, named=True)["prompt_diff"]
    told = diff.splitlines()
    assert told[:2] == ["--- prompt v1 +forged", "+++ prompt v2"]
    assert told[-1] == "\\ only the first 5,000 lines of each were compared"
    assert len(told) < 11_000


def test_a_slice_that_is_all_of_a_version_s_drop_is_no_second_cause_of_it(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(fall=0.5, where={"customer": "c2"}, version_after="v2")
    version = regression(kind="version", version_dimension="prompt_version", old="v1", new="v2")
    found = explain(rows, version, settings)
    first, second = found.row(0, named=True), found.row(1, named=True)
    assert first["share"] == pytest.approx(1.0, abs=0.1)
    assert second["title"].endswith("; the same traffic as cause 1")
    assert (second["share"], second["share_low"], second["share_high"]) == (None, None, None)


def test_slices_that_hold_parts_of_a_version_s_drop_say_so(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    one = scores(fall=0.5, where={"customer": "c2"}, version_after="v2")
    two = scores(seed=1, fall=0.5, where={"topic": "hard"}, version_after="v2")
    found = explain(pl.concat([one, two]), regression(), settings)
    parts = found.filter(pl.col("kind") == "slice")
    assert parts.height >= 2
    assert all(title.endswith("; a part of the traffic of cause 1") for title in parts["title"])
    assert parts["share"].is_not_null().all()


def test_a_fall_is_written_in_one_way(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    found = explain(scores(fall=0.5, where={"customer": "c2"}), regression(), settings)
    number = r"[+−]\d+\.\d"
    told = (
        rf"customer=c2 fell: \d+\.\d % → \d+\.\d %, {number} points( like for like)? "
        rf"\[{number}, {number}\] \(\d+ verdicts before, \d+ after\)"
    )
    assert re.fullmatch(told, found["title"][0]), found["title"][0]


def test_a_version_that_came_with_a_fall_over_time_is_named_and_an_unknown_text_is_no_diff(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(fall=0.2, version_after="v2")
    found = explain(rows, regression(), settings, lambda _version: None)
    versions = found.filter(pl.col("kind") == "prompt_change")
    assert versions["title"].to_list() == ["prompt_version changed from v1 to v2 with the score"]
    assert versions["prompt_diff"].to_list() == [None]


def test_the_parts_of_a_slice_regression_are_looked_for_inside_it(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(rows=12_000, fall=0.5, where={"customer": "c1", "topic": "plain"})
    inside = regression(slice='{"customer": "c1"}')
    first = explain(rows, inside, settings).row(0, named=True)
    assert json.loads(first["slice"]) == {"customer": "c1", "topic": "plain"}
    alike = scores(fall=0.4, where={"customer": "c1"})
    first = explain(alike, inside, settings).row(0, named=True)
    assert json.loads(first["slice"]) == {"customer": "c1"}


def test_an_improvement_is_explained_as_one(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(fall=-0.35, where={"topic": "hard"})
    first = explain(rows, regression(direction="improvement"), settings).row(0, named=True)
    assert json.loads(first["slice"]) == {"topic": "hard"}
    assert first["effect"] > 0
    assert "rose" in first["title"]
    assert first["countermeasure"].startswith("Keep it")


def test_nothing_to_explain_gives_an_empty_frame(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    found = explain(scores(fall=-0.2), regression(), settings)
    assert found.is_empty()
    assert found.schema == SCHEMA
    assert explain(scores().clear(), regression(), settings).is_empty()


def test_slices_with_the_same_rows_are_one_with_aliases(
    scores: Scores, regression: Regression, settings: ExplainSettings
) -> None:
    rows = scores(fall=0.4, where={"topic": "hard"}).with_columns(
        language=pl.when(pl.col("topic") == "hard").then(pl.lit("java")).otherwise(pl.lit("c"))
    )
    wider = settings.model_copy(update={"dimensions": ("customer", "language", "topic")})
    first = rank_slices(rows, regression(), wider).row(0, named=True)
    names = [json.loads(first["slice"]), *json.loads(first["aliases"])]
    assert {"topic": "hard"} in names
    assert {"language": "java"} in names


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in ExplainSettings.model_fields.values())

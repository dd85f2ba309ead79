"""The read side on synthetic data: what fell, why, a proposal that is proven, and the report."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from read_world import CALLS, HOUR, World

from evalspan import detect, pipeline, testing
from evalspan.model import FINDINGS, REGRESSIONS
from evalspan.pipeline import _gauges
from evalspan.pipeline._watch import look


@pytest.fixture(scope="module")
def server() -> Iterator[testing.ModelServer]:
    with testing.ModelServer() as up:
        yield up


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory, server: testing.ModelServer) -> World:
    """A world in which v2 made it worse; tests that share it only add to it what they say."""
    world = World(tmp_path_factory.mktemp("fallen"), server.url)
    world.fall()
    return world


def rates(world: World, view: str, *by: str) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = pipeline.pass_rates(world.settings, view, since="30d", check="json_valid", by=by)
    return {tuple(row[name] for name in by): row for row in rows}


def test_scores_have_sample_sizes_and_intervals(fallen: World) -> None:
    by_version = rates(fallen, "prod", "prompt_version")
    assert set(by_version) == {("v1",), ("v2",)}
    for row in by_version.values():
        assert row["n"] == CALLS
        assert 0 < row["low"] < row["pass_rate"] < row["high"] < 1
    assert by_version["v1",]["pass_rate"] == pytest.approx(1 - 8 / CALLS)


def test_a_view_shows_its_rows_only(fallen: World) -> None:
    assert set(rates(fallen, "globex", "customer")) == {("globex",)}
    assert set(rates(fallen, "latest", "prompt_version")) == {("v2",)}
    assert rates(fallen, "globex")[()]["n"] == CALLS / 2
    side = fallen.side("globex")
    assert side.view.spans().select(pl.len()).collect().item() == CALLS / 2
    assert fallen.side().view.spans().select(pl.len()).collect().item() == 2 * CALLS


def test_the_way_from_the_fall_to_the_report(
    fallen: World, server: testing.ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key of the stand-in")
    rows, _ = pipeline.find_changes(fallen.settings, "prod", write=True)
    worse = [row for row in rows if row["direction"] == "regression" and row["state"] == "open"]
    assert worse
    named = [row for row in worse if json.loads(row["slice"]) == {"customer": "globex"}]
    assert named or any(row["new"] == "v2" for row in worse), worse

    regression, findings = pipeline.find_causes(fallen.settings, "prod", None)
    assert regression["id"] in {row["id"] for row in worse}
    text = json.dumps(findings, default=str)
    assert "globex" in text
    assert findings[0]["rank"] == 1
    diffs = [f["prompt_diff"] for f in findings if f["prompt_diff"]]
    assert any("-Read the page. Answer with JSON only." in diff for diff in diffs), findings

    told: list[str] = []
    outcome, shown = pipeline.improve(
        fallen.settings,
        "prod",
        regression["id"][:8],
        lambda what, _done, _total: told.append(what),
    )
    assert told
    assert outcome["accepted"], shown
    assert "JSON" in outcome["accepted"]["prompt"]
    assert server.requests.total() > 0

    report = json.loads(pipeline.show_report(fallen.settings, None, "json"))
    assert report["regression"]["id"] == regression["id"]
    assert pipeline.show_report(fallen.settings, regression["id"][:6], "markdown")
    assert b"<html" in bytes(str(pipeline.show_report(fallen.settings, None, "html")), "utf-8")


def open_ids(world: World) -> set[str]:
    return set(world.side().regressions(only_open=True)["id"])


def reports(world: World) -> dict[str, float]:
    found = world.settings.reports_folder.rglob("*.json")
    return {path.name: path.stat().st_mtime_ns for path in found}


def test_a_state_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fall()
    side = world.side()
    look(world.settings, [side], None)
    opened = open_ids(world)
    assert opened
    made = reports(world)
    assert len(made) >= len(opened)

    look(world.settings, [world.side()], None)
    assert open_ids(world) == opened
    assert reports(world) == made
    assert world.side().changes(datetime.now(UTC)).changed.is_empty()
    assert world.tables.scan(REGRESSIONS).select(pl.len()).collect().item() == len(opened)

    world.mend()
    look(world.settings, [world.side()], None)
    states = world.side().regressions()
    ended = states.filter(pl.col("id").is_in(list(opened)))
    assert ended["state"].unique().to_list() == ["resolved"]
    assert ended.height == len(opened)
    history = world.tables.scan(REGRESSIONS).filter(pl.col("id").is_in(list(opened))).collect()
    assert history.height == 2 * len(opened)
    assert world.tables.scan(FINDINGS).select(pl.len()).collect().item() > 0


def test_what_is_older_than_the_history_is_resolved(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fall()
    look(world.settings, [world.side()], None)
    opened = open_ids(world)
    later = datetime.now(UTC) + world.settings.analysis.history + timedelta(days=1)
    changed = world.side().changes(later).changed
    assert set(changed["id"]) == opened
    assert changed["state"].unique().to_list() == ["resolved"]
    assert changed["state_time"].null_count() == changed.height  # no batch showed it
    assert not open_ids(world)
    assert world.side().changes(later + HOUR).changed.is_empty()


def test_what_is_muted_does_not_fire_and_is_still_followed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fall()
    look(world.settings, [world.side()], None)
    (worst, *_) = sorted(open_ids(world))
    made = pipeline.mute(
        world.settings,
        "prod",
        regression=worst[:6],
        check=None,
        names={},
        reason="known, they migrate",
        until="7d",
    )
    look(world.settings, [world.side()], None)
    row = world.side().regressions().filter(pl.col("id") == worst).row(0, named=True)
    assert (row["state"], row["mute_reason"]) == ("muted", "known, they migrate")
    assert row["mute_until"] == made["until"]
    assert row["reason"].endswith("UTC: known, they migrate")
    assert worst not in open_ids(world)
    gauges = [g for g in _gauges._analysis(world.settings) if g.labels.get("id") == worst]
    shown = {(g.name, g.labels.get("state"), g.labels.get("side")) for g in gauges}
    assert ("evalspan_regression_state", "muted", None) in shown
    assert ("evalspan_regression_samples", None, "baseline") in shown
    assert not any(name == "evalspan_regression_open" for name, _, _ in shown)

    assert world.side().changes(datetime.now(UTC)).changed.is_empty()
    # it ends by itself
    later = world.side().changes(datetime.now(UTC) + timedelta(days=8)).changed
    assert later.filter(pl.col("id") == worst)["state"].to_list() == ["open"]
    assert later["mute_reason"].to_list() == [None]


def test_a_mute_covers_a_check_and_a_slice_and_can_be_ended(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fall()

    def states() -> set[str]:
        rows, _ = pipeline.find_changes(world.settings, "prod", write=True)
        return {row["state"] for row in rows if row["direction"] == "regression"}

    def mute(check: str, **names: str) -> None:
        asked = {"regression": None, "check": check, "names": names}
        pipeline.mute(world.settings, "prod", **asked, reason="known", until="2999-01-01")

    assert states() == {"open"}
    mute("json_valid", customer="acme")
    assert states() == {"open"}
    mute("json_valid")
    assert states() == {"muted"}
    kept = sorted((m["slice"] for m in pipeline.mutes(world.settings)), key=len)
    assert kept == [{}, {"customer": "acme"}]
    pipeline.unmute(world.settings, start=None, check="json_valid", names={})
    assert states() == {"open"}
    assert len(pipeline.mutes(world.settings)) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"check": None}, "name a regression by its id"),
        ({"check": "json_valit"}, "there is no check"),
        ({"names": {"custommer": "acme"}}, "there is no dimension"),
        ({"until": "yesterday"}, "--until: expected a duration such as 30d or a time such as"),
        ({"until": "2001-01-01"}, "is over already"),
        ({"reason": " "}, "say why"),
        ({"check": None, "regression": "feed"}, "nothing has this id"),
    ],
)
def test_a_mute_that_means_nothing_is_refused(
    fallen: World, asked: dict[str, Any], told: str
) -> None:
    rest = {"regression": None, "check": "json_valid", "names": {}, "reason": "x", "until": "1d"}
    with pytest.raises(pipeline.ConfigError, match=told):
        pipeline.mute(fallen.settings, "prod", **{**rest, **asked})


def test_a_lasting_regression_does_not_slide_out_of_the_history(tmp_path: Path) -> None:
    world = World(tmp_path, more="analysis: {history: 4d}\n")
    world.fall()
    look(world.settings, [world.side()], None)
    opened = open_ids(world)
    assert opened
    # the history by now begins after the change; the last verdicts are still in it
    later = world.begin + HOUR * 38 + timedelta(days=4)
    assert not world.side().changes(later).changed.filter(pl.col("state") == "resolved").height
    assert open_ids(world) == opened


def test_a_look_without_new_verdicts_costs_a_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.fall()
    side = world.side()
    first = side.changes(datetime.now(UTC)).current
    asked: list[str] = []
    monkeypatch.setattr(detect, "detect", lambda *args: asked.append(args[2]))
    again = side.changes(datetime.now(UTC)).current
    assert asked == []
    assert again["id"].to_list() == first["id"].to_list()


def test_the_batch_that_is_not_over_is_not_judged(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fall()
    # in the middle of the batches after the change
    middle = (world.begin + HOUR * 26).replace(minute=10)
    one = world.side().changes(middle, write=False).current
    other = world.side().changes(middle + timedelta(minutes=20), write=False).current
    assert one.drop("detected_time").equals(other.drop("detected_time"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("minimum_effects: {json_valit: 0.1}", "Did you mean 'json_valid'"),
        ("baseline: {versions: {prompt_versio: v1}}", "Did you mean 'prompt_version'"),
        ("cluster: custommer", "Did you mean 'customer'"),
        ("baseline: {since: 2026-01-01}", "since and until belong together"),
        ("baseline: {since: 2026-02-01, until: 2026-01-01}", "must be after since"),
        ("baseline: {}", "a baseline is since and until, or versions"),
    ],
)
def test_what_detect_names_must_be_there(tmp_path: Path, more: str, told: str) -> None:
    file = tmp_path / "evalspan.yaml"
    file.write_text(
        "dimensions: {customer: {attribute: app.customer}}\nchecks: {json_valid: {}}\n"
        f"detect: {{{more}}}\n"
    )
    with pytest.raises(pipeline.ConfigError, match=told):
        pipeline.load_settings(file)

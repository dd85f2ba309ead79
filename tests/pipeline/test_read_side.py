"""The read side on synthetic data: what fell, why, a proposal that is proven, and the report."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from read_world import CALLS, HOUR, World

from evalspan import pipeline, testing
from evalspan.model import FINDINGS, REGRESSIONS
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
    look(world.settings, world.tables, [side], None)
    opened = open_ids(world)
    assert opened
    made = reports(world)
    assert len(made) >= len(opened)

    look(world.settings, world.tables, [world.side()], None)
    assert open_ids(world) == opened
    assert reports(world) == made
    assert world.side().changes(datetime.now(UTC)).changed.is_empty()
    assert world.tables.scan(REGRESSIONS).select(pl.len()).collect().item() == len(opened)

    world.mend()
    look(world.settings, world.tables, [world.side()], None)
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
    look(world.settings, world.tables, [world.side()], None)
    opened = open_ids(world)
    later = datetime.now(UTC) + world.settings.analysis.history + timedelta(days=1)
    changed = world.side().changes(later).changed
    assert set(changed["id"]) == opened
    assert changed["state"].unique().to_list() == ["resolved"]
    assert not open_ids(world)
    assert world.side().changes(later + HOUR).changed.is_empty()

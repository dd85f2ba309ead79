"""Mutes: what a damaged file of one does, and a slice that nobody has seen."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from read_world import World
from structlog.testing import capture_logs

from evalspan import pipeline
from evalspan.pipeline._failures import Failures
from evalspan.pipeline._mutes import FOLDER
from evalspan.pipeline._telling import Telling
from evalspan.pipeline._watch import look
from evalspan.pipeline._word import read_word

GOOD: dict[str, Any] = {
    "id": "feed", "regression": None, "check": "json_valid", "slice": {}, "reason": "known",
    "created_time": "2026-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z",
}  # fmt: skip
DAMAGED = {
    "half of it": b'{"id": "feed", "che',
    "no text": b"\xff\xfe",
    "no zone": json.dumps({**GOOD, "until": "2999-01-01T00:00:00"}).encode(),
    "no end": json.dumps({k: v for k, v in GOOD.items() if k != "until"}).encode(),
}


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("fallen"))
    world.fall()
    return world


@pytest.fixture
def mutes(fallen: World) -> Any:  # noqa: ANN401 - yields a folder
    folder = fallen.settings.data / FOLDER
    folder.mkdir(exist_ok=True)
    yield folder
    for file in folder.iterdir():
        file.rmdir() if file.is_dir() else file.unlink()


def firing(world: World) -> int:
    return world.side().regressions(only_open=True).height


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_mute_covers_nothing_and_the_look_goes_on(
    content: bytes, fallen: World, mutes: Path
) -> None:
    settings, side = fallen.settings, fallen.side()
    telling = Telling(settings)
    file = mutes / "feed.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    look(settings, [side], None, telling)
    assert not firing(fallen)
    file.write_bytes(content)
    with capture_logs() as lines:
        for _ in range(2):
            look(settings, [side, side], None, telling)
    assert firing(fallen)
    told = [line for line in lines if line["event"] == "failed"]
    assert [(line["log_level"], line["part"]) for line in told] == [("warning", "mute")]
    assert str(file) in told[0]["why"]
    word = read_word(settings.run_folder / "analysis.json")
    assert word
    assert word["errors"] == {"report": 0, "page": 0, "search": 0, "mute": 2}
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    look(settings, [side], None, telling)
    assert not firing(fallen)
    assert telling.failures.counts["mute"] == 2


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_commands_name_the_damaged_file_and_keep_nothing(
    content: bytes, fallen: World, mutes: Path
) -> None:
    (mutes / "feed.json").write_bytes(content)
    (mutes / "beef.json").mkdir()
    before = fallen.side().regressions()
    asked: Any = {"start": "feed", "check": None, "names": {}}
    for command in (
        lambda: pipeline.mutes(fallen.settings),
        lambda: pipeline.unmute(fallen.settings, **asked),
        lambda: pipeline.find_changes(fallen.settings, "prod", write=True),
    ):
        with pytest.raises(pipeline.ConfigError) as error:
            command()
        for name in ("feed.json", "beef.json"):
            assert f"{mutes / name}: " in str(error.value)
        assert "mend the file or remove it" in str(error.value)
    assert fallen.side().regressions().equals(before)


@pytest.mark.parametrize(
    ("names", "notes"),
    [
        ({"customer": "acme"}, []),
        ({"customer": "globexx"}, ["customer=globexx so far. Did you mean 'globex'?"]),
        ({"customer": "zzz", "prompt_version": "v2"}, ["customer=zzz so far."]),
        ({"model": "gpt-5"}, ["model=gpt-5 so far. Did you mean 'gpt-4o-mini'?"]),
    ],
)
def test_a_slice_that_nobody_has_seen_is_muted_and_said(
    names: dict[str, str], notes: list[str], fallen: World, mutes: Path
) -> None:
    made = pipeline.mute(
        fallen.settings,
        "prod",
        regression=None,
        check="json_valid",
        names=names,
        reason="they begin tomorrow",
        until="7d",
    )
    assert [note.partition("has had ")[2] for note in made["notes"]] == notes
    assert [file.stem for file in mutes.iterdir()] == [made["id"]]
    assert [each["slice"] for each in pipeline.mutes(fallen.settings)] == [names]


def test_waits_double_up_to_an_hour_and_are_over_with_the_failure() -> None:
    failures, now, minute = Failures(), datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
    waits: list[int] = []
    for _ in range(9):
        with failures.kept("report", "a", now, regression="feed"):
            raise ValueError
        minutes = (n for n in range(1000) if not failures.waits("report", "a", now + n * minute))
        waits.append(next(minutes))
        now += waits[-1] * minute
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert failures.counts["report"] == 9
    assert not failures.waits("report", "b", now)
    with failures.kept("report", "a", now):
        pass
    assert not failures.waits("report", "a", now)

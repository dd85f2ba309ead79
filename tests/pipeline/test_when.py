"""Times given to commands are read in one way, and a mistake in one is told in one way."""

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_world import World

from evalspan import pipeline
from evalspan.config import ConfigError
from evalspan.pipeline._when import after, before

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
READS: dict[str, tuple[str, Callable[[pipeline.Settings, str], Any]]] = {
    "scores": (
        "--since",
        lambda settings, text: pipeline.pass_rates(settings, "prod", since=text, check=None, by=[]),
    ),
    "backtest": (
        "--since",
        lambda settings, text: pipeline.backtest(
            settings, "prod", pipeline.Asked(text, None, 0, "clusters", 0), lambda *_: None
        ),
    ),
    "backfill since": (
        "--since",
        lambda settings, text: pipeline.backfill(settings, io.StringIO(), since=text),
    ),
    "backfill until": (
        "--until",
        lambda settings, text: pipeline.backfill(settings, io.StringIO(), until=text),
    ),
    "mute": (
        "--until",
        lambda settings, text: pipeline.mute(
            settings,
            "prod",
            regression=None,
            check="json_valid",
            names={},
            reason="known",
            until=text,
        ),
    ),
}


@pytest.mark.parametrize("text", ["", "soon", "3 parsecs", "2026-13-01", f"{10**9}d", f"{10**30}w"])
@pytest.mark.parametrize(("option", "read"), READS.values(), ids=READS)
def test_what_is_no_time_is_told_alike_everywhere(
    option: str, read: Callable[[pipeline.Settings, str], Any], text: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        read(World(tmp_path).settings, text)
    wanted = "a duration such as 30d or a time such as 2026-05-01T12:00Z"
    assert str(error.value) == f"{option}: expected {wanted}, not {text!r}"


def test_times_are_durations_or_moments_and_those_without_a_zone_are_in_utc() -> None:
    moments = {
        "7d": NOW - timedelta(days=7),
        "1h30m": NOW - timedelta(minutes=90),
        "2026-04-30": datetime(2026, 4, 30, tzinfo=UTC),
        "2026-05-01T12:00": NOW,
        "2026-05-01T14:00+02:00": NOW,
        "2026-05-01T12:00Z": NOW,
    }
    assert {text: before(NOW, "--since", text) for text in moments} == moments
    assert after(NOW, "--until", "7d") == NOW + timedelta(days=7)
    assert after(NOW, "--until", "2026-05-01T15:00+02:00") == NOW + timedelta(hours=1)
    for text in ("0s", "2026-05-01T12:00Z"):
        with pytest.raises(ConfigError, match="2026-05-01 12:00 UTC is over already"):
            after(NOW, "--until", text)


@given(st.text(max_size=20) | st.from_regex(r"\d{1,30}(\.\d{1,9})?(ms|s|m|h|d|w)", fullmatch=True))
def test_any_text_is_a_time_or_a_mistake_that_is_told(text: str) -> None:
    with suppress(ConfigError):
        assert before(NOW, "--since", text).tzinfo is UTC


def test_scores_since_a_moment_are_those_of_the_duration(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.take_in(*(world.call(n, "v1", good=True, hours=1) for n in range(1, 4)))

    def counted(since: str) -> int:
        rows = pipeline.pass_rates(world.settings, "prod", since=since, check="json_valid", by=[])
        return sum(row["n"] for row in rows)

    moments = {"30d": 3, "1h": 0, world.begin.isoformat(): 3, "2999-01-01": 0}
    assert {since: counted(since) for since in moments} == moments

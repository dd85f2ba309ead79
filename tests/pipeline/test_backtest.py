"""The backtest over stored verdicts: figures, picture, and what is refused."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from read_world import World

from evalspan import pipeline


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("backtest"))
    world.fall()
    return world


def asked(
    check: str | None = None, since: str = "30d", *, largest: bool = False, **where: str
) -> pipeline.Asked:
    return pipeline.Asked(since, check, 4, "clusters", 7, where, largest)


def test_figures_and_picture_of_every_check(fallen: World) -> None:
    told: list[tuple[str, int, int]] = []
    found = pipeline.backtest(
        fallen.settings, "prod", asked(), lambda what, done, total: told.append((what, done, total))
    )
    (row,) = found
    assert (row["check"], row["verdicts"], row["permutations"]) == ("json_valid", 640, 4)
    assert [drop["drop"] for drop in row["drops"]] == [0.02, 0.05, 0.1]
    assert all(0 <= drop["found"]["n"] <= drop["found"]["of"] <= 4 for drop in row["drops"])
    assert row["minimum_effect"] == 0.05
    assert [drop["below_minimum_effect"] for drop in row["drops"]] == [True, False, False]
    assert told[-1] == ("json_valid", 4, 4)
    again = pipeline.backtest(fallen.settings, "prod", asked(), lambda *_: None)
    assert again == found

    picture = pipeline.draw_backtest([row | {"check": "<script>"}], ".svg")
    words = "".join(ET.fromstring(picture).itertext())  # noqa: S314 - our own text
    assert "days after the drop" in words
    assert "10 points" in words
    assert "<script>" in words
    whole = pipeline.draw_backtest(found, ".html")
    assert whole.startswith("<!doctype html>")
    assert "default-src 'none'" in whole


def test_drops_are_planted_in_slices_too(fallen: World) -> None:
    everywhere = pipeline.backtest(fallen.settings, "prod", asked(), lambda *_: None)
    (row,) = pipeline.backtest(fallen.settings, "prod", asked(customer="acme"), lambda *_: None)
    assert row["drops"][:3] == everywhere[0]["drops"]
    assert [drop["where"] for drop in row["drops"]] == [{}] * 3 + [{"customer": "acme"}] * 3
    (more,) = pipeline.backtest(
        fallen.settings, "prod", asked(largest=True, customer="acme"), lambda *_: None
    )
    places = [drop["where"] for drop in more["drops"][6:]]
    assert {"prompt_version": "v2"} in places or {"prompt_version": "v1"} in places
    assert places.count({"customer": "acme"}) == 0
    words = "".join(ET.fromstring(pipeline.draw_backtest([row], ".svg")).itertext())  # noqa: S314
    assert "json_valid, customer=acme" in words


def test_what_is_not_there_is_refused(fallen: World, tmp_path: Path) -> None:
    with pytest.raises(pipeline.ConfigError, match="no verdicts of a check 'polite'"):
        pipeline.backtest(fallen.settings, "prod", asked("polite"), lambda *_: None)
    with pytest.raises(pipeline.ConfigError, match="--since: expected a duration"):
        pipeline.backtest(fallen.settings, "prod", asked(since="soon"), lambda *_: None)
    with pytest.raises(pipeline.ConfigError, match=r"no dimension 'custome'.*Did you mean"):
        pipeline.backtest(fallen.settings, "prod", asked(custome="acme"), lambda *_: None)
    with pytest.raises(pipeline.ConfigError, match="no verdicts of customer=nobody"):
        pipeline.backtest(fallen.settings, "prod", asked(customer="nobody"), lambda *_: None)
    empty = World(tmp_path)
    assert pipeline.backtest(empty.settings, "prod", asked(), lambda *_: None) == []
    assert "<svg" in pipeline.draw_backtest([], ".svg")


def test_the_words_of_the_picture_have_room() -> None:
    """About 0.6 em a letter, 0.7 in bold: what is longer would be cut off at the right."""
    share = {"n": 1000, "of": 1000, "share": 1.0, "low": 0.99, "high": 1.0}
    none = {"n": 0, "of": 1000, "share": 0.0, "low": 0.0, "high": 0.01}
    drop = {"where": {}, "delays_hours": [1.0]}
    drops = [
        drop | {"drop": 0.02, "found": none, "below_minimum_effect": True},
        drop | {"drop": 0.1, "found": share, "below_minimum_effect": False},
    ]
    row = {"check": "a_check_with_a_name/" + "long " * 40, "verdicts": 1_000_000, "days": 365.0}
    row |= {"false_alarms": share, "drops": drops, "minimum_effect": 0.125}
    picture = ET.fromstring(pipeline.draw_backtest([row], ".svg"))  # noqa: S314 - our own text
    width = float(picture.get("width", "0"))
    texts = [text for text in picture.iter() if text.tag.endswith("text")]
    starts = [text for text in texts if text.get("text-anchor") is None]
    for text in starts:
        words = text.text or ""
        letter = 0.6 * 12 if text.get("class") == "small" else 0.7 * 13
        assert float(text.get("x", "0")) + letter * len(words) <= width, words
    shown = [text.text or "" for text in starts]
    assert "10 points: 1000 of 1000" in shown
    assert "2 points: below the minimum" in shown
    assert any(text.startswith("a_check_with_a_name/long") and "…" in text for text in shown)

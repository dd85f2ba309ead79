"""evalspan detect and what hangs on it, at the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalspan.commands import detect
from evalspan.testing import request, span

CONFIG = "checks: {json_valid: {}}\ndimensions: {customer: {attribute: app.customer}}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "evalspan.yaml").write_text(CONFIG)
    (tmp_path / "evalspan-data").mkdir()
    return tmp_path


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evalspan", "detect", *words]
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False
    )


def mutes(place: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(place, "mute", "--list", "--json").stdout)["mutes"]
    return found


def test_a_mute_is_kept_listed_and_ended(place: Path) -> None:
    words = ("--check", "json_valid", "--slice", "customer=acme")
    made = run(place, "mute", *words, "--reason", "they test", "--until", "7d")
    assert made.returncode == 0, made.stderr
    assert "json_valid, customer=acme" in made.stdout
    (kept,) = mutes(place)
    assert (kept["check"], kept["slice"], kept["reason"]) == (
        "json_valid",
        {"customer": "acme"},
        "they test",
    )
    # said again, it is one mute with a new end
    run(place, "mute", *words, "--reason", "longer", "--until", "2999-01-01")
    (kept,) = mutes(place)
    assert kept["until"].startswith("2999-01-01")
    assert run(place, "unmute", kept["id"]).returncode == 0
    assert mutes(place) == []
    ended = run(place, "unmute", kept["id"])
    assert ended.returncode == 2
    assert "there is no such mute; ids: none" in ended.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mute", "--check", "json_valid"), "a mute has an end and a reason"),
        (("mute", "--check", "json_valid", "--slice", "acme"), "a mute has an end"),
        (
            ("mute", "--check", "json_valid", "--slice", "acme", "--reason=x", "--until=1d"),
            "--slice: expected dimension=value, not 'acme'",
        ),
        (("backtest", "--plot", "b.png"), "ends in .svg or .html, not 'b.png'"),
        (("backtest", "--check", "json_valid"), "there are no verdicts of a check 'json_valid'"),
    ],
)
def test_mistakes_are_told_in_one_line(place: Path, words: tuple[str, ...], told: str) -> None:
    found = run(place, *words)
    assert found.returncode == 2
    assert told in found.stderr
    assert "Traceback" not in found.stderr


def test_detect_without_a_score_is_no_good_news(place: Path) -> None:
    found = run(place, "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout) == {"changes": [], "notes": []}
    (told,) = found.stderr.splitlines()
    assert told.startswith("no scores in the last 30d are stored in evalspan-data: `evalspan led")
    (place / "evalspan.yaml").write_text("analysis: {history: 36h}\nviews: {a: {}}\n")
    found = run(place, "--view", "a")
    assert (found.returncode, found.stdout) == (1, "")
    (told,) = found.stderr.splitlines()
    assert "no scores that the view 'a' lets through in the last 36h are stored" in told
    assert "no checks are configured" in told


def test_detect_on_scores_without_a_change_is(place: Path) -> None:
    (place / "one.binpb").write_bytes(request(span()).SerializeToString())
    config = "checks: {status: }\ndetect: {minimum_history: 0s}\nanalysis: {history: 9000d}\n"
    (place / "evalspan.yaml").write_text(config)
    command = [sys.executable, "-m", "evalspan", "ingest", "one.binpb"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    found = run(place)
    assert found.returncode == 0, found.stderr
    assert "No change is seen in view prod." in found.stdout
    assert "status: too little to compare: " in found.stdout


def test_a_backtest_of_nothing_is_no_good_news(place: Path) -> None:
    found = run(place, "backtest", "--since", "1h")
    assert (found.returncode, found.stdout) == (1, "")
    (told,) = found.stderr.splitlines()
    assert told.startswith("no verdicts in the last 1h are stored in evalspan-data: `evalspan led")
    found = run(place, "backtest", "--data", "nope", "--json")
    assert (found.returncode, json.loads(found.stdout)) == (1, {"checks": []})
    (told,) = found.stderr.splitlines()
    assert told.startswith("nothing is stored in nope: there is no such folder")


def test_a_drop_below_the_minimum_effect_is_no_failure_of_the_detector() -> None:
    share = {"n": 0, "of": 100, "share": 0.0, "low": 0.0, "high": 0.037}
    drop = {"drop": 0.02, "found": share, "below_minimum_effect": True}
    row = {"minimum_effect": 0.05}
    told = "below the minimum effect (5 points): never an alarm by your setting"
    assert detect.found_told(row, drop) == told
    assert detect.found_told(row, drop | {"found": share | {"n": 2}}).startswith("2 of 100, ")
    assert detect.found_told(row, drop | {"below_minimum_effect": False}).startswith("0 of 100, ")

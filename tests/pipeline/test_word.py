"""Words that processes leave for each other: whole or not at all; a damaged one costs itself."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from replay_world import settings_of
from structlog.testing import capture_logs

from evalspan.metrics import Gauge
from evalspan.pipeline import evaluator_of, metrics_of, store_of, write_side_of
from evalspan.pipeline._gauges import gauges
from evalspan.pipeline._settings import Settings
from evalspan.pipeline._word import read_word, write_word

ROW = {
    "id": "3f2a", "check": "latency", "kind": "time", "direction": "regression", "slice": "{}",
    "state": "open", "effect": -0.2, "baseline_score": 0.9, "candidate_score": 0.7,
    "baseline_n": 40, "candidate_n": 40, "change_time_unix_seconds": 1.0,
}  # fmt: skip
DAMAGED = {
    "nothing": b"",
    "half of it": b'{"time_unix_seconds": 1',
    "null": b"null",
    "a list": b"[1, 2]",
    "no text": b"\xff\xfe\x00",
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_word_is_none_and_is_logged_with_its_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    path.write_bytes(content)
    with capture_logs() as lines:
        assert read_word(path) is None
    assert [(line["event"], line["file"]) for line in lines] == [("word_damaged", str(path))]


@pytest.mark.parametrize("sync", [True, False])
def test_a_word_is_read_as_it_was_written_and_replaces_the_one_before(
    sync: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
) -> None:
    path = tmp_path / "run" / "poison.json"
    with capture_logs() as lines:
        assert read_word(path) is None
    assert lines == []  # that there is none yet is no damage
    for word in ({"a": 1}, {"b": ["ü", None]}):
        write_word(path, word, sync=sync)
        assert read_word(path) == word
    assert [file.name for file in path.parent.iterdir()] == ["poison.json"]


def test_a_word_that_cannot_be_put_in_place_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "poison.json"
    write_word(path, {"a": 1}, sync=True)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_word(path, {"a": 2}, sync=True)
    assert read_word(path) == {"a": 1}


def shown(settings: Settings) -> list[Gauge]:
    evaluator = evaluator_of(settings)
    try:
        write = write_side_of(settings, store_of(settings), evaluator)
        return list(gauges(settings, write, evaluator))
    finally:
        evaluator.close()


def leave(settings: Settings, now: float) -> dict[str, dict[str, Any]]:
    """Leave every word in health; returns them by name."""
    words: dict[str, dict[str, Any]] = {
        "receiver": {"time_unix_seconds": now, "accepted": {"traces": 3}, "pid": 1},
        "analysis": {"time_unix_seconds": now, "regressions": [ROW], "errors": {"report": 2}},
        "accounts": {"spans_unaccounted": 0, "evaluations_unaccounted": {"latency": 0}},
    }
    for name, word in words.items():
        write_word(settings.run_folder / f"{name}.json", word, sync=False)
    return words


OF_WORD = {
    "receiver": {"evalspan_requests"},
    "analysis": {
        "evalspan_regression_open",
        "evalspan_regression_state",
        "evalspan_regression_effect",
        "evalspan_regression_baseline_score",
        "evalspan_regression_candidate_score",
        "evalspan_regression_samples",
        "evalspan_regression_change_timestamp_seconds",
        "evalspan_analysis_errors",
    },
    "accounts": {"evalspan_spans_unaccounted", "evalspan_evaluations_unaccounted"},
}
UP = {"receiver": "evalspan_receiver_up", "analysis": "evalspan_analysis_up"}
BROKEN = {
    **DAMAGED,
    "null inside": json.dumps(
        dict.fromkeys(
            ("time_unix_seconds", "regressions", "accepted", "rejected", "spans_unaccounted")
        )
    ).encode(),
    "rows that lack something": json.dumps(
        {
            "time_unix_seconds": 4e9,
            "regressions": [{k: v for k, v in ROW.items() if k != "id"}],
            "accepted": {"traces": "many"},
            "spans_unaccounted": {"no": "number"},
        }
    ).encode(),
    "rows that are none": json.dumps(
        {"regressions": [None], "rejected": [1], "evaluations_unaccounted": "x"}
    ).encode(),
}


@pytest.mark.parametrize("name", OF_WORD)
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_damaged_word_costs_its_own_gauges_and_is_told(
    content: bytes, name: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    leave(settings, 4e9)
    healthy = shown(settings)
    assert {g.labels["word"]: g.value for g in healthy if g.name == "evalspan_word_damaged"} == (
        dict.fromkeys(OF_WORD, 0)
    )
    assert set().union(*OF_WORD.values()) <= {g.name for g in healthy}
    (settings.run_folder / f"{name}.json").write_bytes(content)
    found = shown(settings)
    names = {g.name for g in healthy} - OF_WORD[name]
    assert {g.name for g in found} == names
    damaged = {g.labels["word"]: g.value for g in found if g.name == "evalspan_word_damaged"}
    assert damaged == {each: float(each == name) for each in OF_WORD}
    up = {g.name: g.value for g in found if g.name in UP.values()}
    assert up == {each: float(UP.get(name) != each) for each in UP.values()}


def test_a_word_that_nobody_left_yet_is_not_damaged(tmp_path: Path) -> None:
    found = shown(settings_of(tmp_path))
    assert {g.value for g in found if g.name == "evalspan_word_damaged"} == {0}
    assert {g.value for g in found if g.name in UP.values()} == {0}


def test_what_a_word_tells_is_declared(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    leave(settings, 4e9)
    page = metrics_of(settings)
    page.add_source(lambda: shown(settings))
    samples = [s for metric in page.collect() for s in metric.samples]
    found = {s.name: s.value for s in samples if "analysis" in s.name}
    assert found == {"evalspan_analysis_up": 1, "evalspan_analysis_errors_total": 2}

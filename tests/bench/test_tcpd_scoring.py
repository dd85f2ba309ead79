"""The F1 of change points, on cases that can be counted by hand."""

import json
from pathlib import Path

import pytest

from evalspan.bench.tcpd import f1, matched, run


def test_a_place_counts_once_and_within_the_margin() -> None:
    assert matched({0, 10}, {0, 15}) == 2
    assert matched({0, 10}, {0, 16}) == 1
    assert matched({10, 12}, {11}) == 1
    assert matched({10, 14}, {9, 12}) == 2


def test_f1_by_hand() -> None:
    assert f1({"a": [10], "b": [10]}, [10]) == 1.0
    # one of two said places is right, and both people have theirs found: P 2/3, R 1
    assert f1({"a": [10], "b": [10]}, [10, 50]) == pytest.approx(0.8)
    # nothing said: the beginning is right; a has all, b half
    assert f1({"a": [], "b": [30]}, []) == pytest.approx(2 * 0.75 / 1.75)


def test_a_series_with_a_step_and_a_missing_value(tmp_path: Path) -> None:
    raw = [0.0, 0.1] * 20 + [None] + [5.0, 5.1] * 20
    line = {"name": "step", "series": [{"raw": raw}], "annotations": {"1": [41]}}
    (tmp_path / "series.jsonl").write_text(json.dumps(line) + "\n")
    found = run(tmp_path)
    assert (found["series"], found["f1"]) == (1, 1.0)
    assert found["f1_of_nothing"] < 1

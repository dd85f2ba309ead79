"""The scorer of the recorded streams, over streams and answers written by hand."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from evalspan.bench._bfcl_score import Case, Outcome, false_alarm, kitagawa_mix, score

DAY = 86_400.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def state(
    day: float, name: str = "{}", kind: str = "time", direction: str = "regression", **more: object
) -> dict[str, Any]:
    """A state opened at a day."""
    return {
        "kind": kind, "direction": direction, "slice": name, "state": "open",
        "opened_time": EPOCH + timedelta(days=day), "evidence_nats": 10.0, "mix_amount": 0.0,
        **more,
    }  # fmt: skip


def case(*states: dict[str, Any], ranked: tuple[str, ...] = (), **truth: object) -> Case:
    """A stream of two customers and two categories, changed at day five."""
    events = pl.DataFrame(
        {
            "time": [EPOCH + timedelta(hours=6 * hour) for hour in range(40)],
            "customer": ["a", "b"] * 20,
            "category": ["x", "x", "y", "y"] * 10,
            "n_tools": ["1"] * 40,
            "score": [1.0] * 40,
        }
    )
    frame = pl.DataFrame(list(states) or [state(0)]).with_columns(
        pl.col("opened_time").cast(pl.Datetime("us", "UTC"))
    )
    facts = {
        "kind": "slice_1", "change": True, "change_ts": 5 * DAY, "ramp_end_ts": None,
        "regression": True, "slice": {"customer": "a"}, "z_overall": -5.0, "z_slice": -6.0,
        "true_base": ["m", "1"], "true_other": ["m", "2"], "kitagawa_category": {"mix": 0.0},
        **truth,
    }  # fmt: skip
    rates: dict[tuple[str, str], dict[tuple[str, str | None], float]] = {
        ("m", "1"): {("x", "1"): 0.9, ("y", "1"): 0.9},
        ("m", "2"): {("x", "1"): 0.5, ("y", "1"): 0.9},
    }
    outcome = Outcome("s", events, frame if states else frame.clear(), list(ranked))
    return Case(outcome, facts, rates)


def test_an_alarm_before_the_change_is_no_detection() -> None:
    assert case(state(5.5)).alarm_day() == 5.5
    assert case(state(4.5), state(5.5)).alarm_day() is None
    assert case().alarm_day() is None
    assert case(state(6, direction="improvement")).alarm_day() is None


def test_overall_and_slice_alarms_are_told_apart() -> None:
    found = case(state(6, '{"customer": "a"}'), state(7))
    assert found.alarm_day() == 6
    assert found.alarm_day(overall=True) == 7
    assert found.alarm_day(part=True) == 6


def test_a_slice_is_its_rows_not_its_spelling() -> None:
    assert case().overlap('{"customer": "a"}') == 1.0
    assert case().overlap('{"customer": "a", "n_tools": "1"}') == 1.0
    assert case().overlap('{"category": "x"}') == pytest.approx(1 / 3)


def test_a_true_fall_is_that_of_the_rows_that_changed() -> None:
    # customer a falls by .4 in category x, by nothing in y
    assert case().true_fall('{"customer": "a"}') == pytest.approx(-0.2)
    assert case().true_fall('{"category": "x"}') == pytest.approx(-0.2)
    assert case().true_fall('{"customer": "b"}') == 0.0
    whole = case(kind="global_model", slice={})
    assert whole.true_fall('{"category": "x"}') == pytest.approx(-0.4)
    assert whole.true_fall('{"category": "y"}') == 0.0


def test_a_true_mix_shift_in_a_permuted_stream_is_no_false_alarm() -> None:
    mixed = case(state(6, kind="mix", direction="mix_shift")).outcome.states
    assert not false_alarm(mixed, {"kind": "mix_shift"})
    assert false_alarm(mixed, {"kind": "null"})
    assert false_alarm(case(state(6)).outcome.states, {"kind": "mix_shift"})


def test_the_mix_is_kitagawas() -> None:
    codes = pl.Series([0] * 8 + [1] * 2 + [0] * 5 + [1] * 5).to_numpy()
    passed = pl.Series([1.0] * 8 + [0.0] * 2 + [1.0] * 5 + [0.0] * 5).to_numpy()
    late = pl.Series([False] * 10 + [True] * 10).to_numpy()
    assert kitagawa_mix(codes, passed, late) == pytest.approx(-0.3)


def test_all_figures_of_a_folder_are_computed_from_its_truth(tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    folder.mkdir()
    right = case(state(5.25, '{"customer": "a"}'), ranked=('{"customer": "a"}',))
    quiet = case(kind="null", change=False, regression=False, slice={}, true_other=None)
    truths = [{**right.truth, "scenario": "r"}, {**quiet.truth, "scenario": "q"}]
    lines = "\n".join(json.dumps(truth) for truth in truths)
    (folder / "scenario_truth.jsonl").write_text(lines, encoding="utf-8")
    records = [
        {"model": "m", "snapshot": snapshot, "category": category, "idx": 0, "valid": valid}
        for snapshot, valid in (("1", True), ("2", False))
        for category in "xy"
    ]
    pl.DataFrame(records).write_parquet(folder / "records.parquet")
    cases = pl.DataFrame({"category": ["x", "y"], "idx": [0, 0], "n_tools": [1, 1]})
    cases.write_parquet(tmp_path / "cases.parquet")
    outcomes = [
        Outcome("r", right.outcome.events, right.outcome.states, right.outcome.ranked),
        Outcome("q", quiet.outcome.events, quiet.outcome.states, []),
    ]
    figures = score(folder, outcomes, [("q", quiet.outcome.states)])
    assert figures["power"] == 1.0
    assert figures["power_overall_version"] == 0.0
    assert figures["median_delay_days"] == pytest.approx(0.25)
    assert figures["slice_top1"] == figures["slice_top3"] == figures["slice_precision"] == 1.0
    assert figures["slice_alarmed_z5"] == figures["slice_top1_of_alarmed_z5"] == 1.0
    assert figures["false_alarm_rate"] == figures["false_alarm_rate_permuted"] == 0.0
    assert figures["improvement_errors"] == 0

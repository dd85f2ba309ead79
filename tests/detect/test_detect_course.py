"""Stories of the states: a further fall, a recovery, a relapse, the end, and what never ends."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from evalspan.detect import DetectSettings, detect
from evalspan.detect._stream import encode
from evalspan.detect._walk import Walker

Levels = Callable[..., pl.DataFrame]
Phases = Callable[..., pl.DataFrame]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 3, 2, tzinfo=UTC)
HOLD = timedelta(days=1)


def course(rows: pl.DataFrame, settings: DetectSettings) -> list[tuple[int, str, datetime]]:
    """Each change of a state in order: number of the incident, state, time."""
    walker = Walker(encode(rows, settings), settings)
    seen: dict[int, tuple[str, int]] = {}
    told = []
    for batch in walker.steps():
        for number, incident in enumerate(walker.states.all):
            now = incident.state, incident.since
            if seen.get(number) != now:
                seen[number] = now
                end = EPOCH + timedelta(microseconds=int(walker.stream.ends[batch]))
                told.append((number, incident.state, end))
    return told


def states(rows: pl.DataFrame, settings: DetectSettings) -> list[str]:
    told = course(rows, settings)
    assert len({identity for identity, _, _ in told}) == 1, told
    return [state for _, state, _ in told]


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def test_a_fall_that_ends_is_recovered_and_after_the_hold_resolved(
    levels: Levels, settings: DetectSettings
) -> None:
    told = course(levels((0, 0.9), (5, 0.7), (8, 0.9)), settings)
    assert [state for _, state, _ in told] == ["open", "recovered", "resolved"]
    (_, _, opened), (_, _, recovered), (_, _, resolved) = told
    assert day(5) < opened < day(6)
    assert day(8) < recovered < day(9.5)
    assert resolved == recovered + HOLD
    row = detect(levels((0, 0.9), (5, 0.7), (8, 0.9)), settings).row(0, named=True)
    # what a resolved row shows is the fall, not the time after it
    assert row["candidate_score"] == pytest.approx(0.7, abs=0.03)
    assert "Resolved: the score came back; it is at 89.8 %" in row["reason"]


def test_a_relapse_opens_the_same_regression_again(
    levels: Levels, settings: DetectSettings
) -> None:
    patient = settings.model_copy(update={"recovery_hold": timedelta(days=3)})
    rows = levels((0, 0.9), (5, 0.7), (8, 0.9), (10.2, 0.7), days=13)
    assert states(rows, patient) == ["open", "recovered", "open"]


def test_a_relapse_after_the_end_is_a_new_regression(
    levels: Levels, settings: DetectSettings
) -> None:
    told = course(levels((0, 0.9), (5, 0.7), (8, 0.9), (11, 0.7)), settings)
    assert [state for _, state, _ in told] == ["open", "recovered", "resolved", "open"]
    assert told[0][0] == told[2][0] != told[3][0]


BEFORE = (5.0, 4000, (0.9, 0.9), "v1")
BAD_START = (0.5, 200, (0.4, 0.4), "v2")
GOOD = (1.5, 8000, (0.9, 0.9), "v2")
BAD_AGAIN = (1.0, 600, (0.5, 0.5), "v2")
PATIENT = {"recovery_hold": timedelta(days=4)}


@pytest.mark.parametrize("seed", range(3))
def test_a_version_that_relapses_after_many_good_verdicts_stays_open(
    phases: Phases, settings: DetectSettings, seed: int
) -> None:
    rows = phases(BEFORE, BAD_START, GOOD, (3.0, 2000, (0.5, 0.5), "v2"), seed=seed)
    patient = settings.model_copy(update=PATIENT)
    assert states(rows, patient) == ["open", "recovered", "open"]
    row = detect(rows, patient).row(0, named=True)
    # what it shows is the fallen verdicts, not the good ones between
    assert row["candidate_n"] < 2500
    assert row["candidate_score"] == pytest.approx(0.49, abs=0.03)
    assert row["evidence_nats"] > 50
    assert "It had ended and came again: it is at " in row["reason"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_each_of_several_relapses_is_told_once(
    phases: Phases, settings: DetectSettings, version: str
) -> None:
    steps = (BEFORE, BAD_START, GOOD, BAD_AGAIN, GOOD, BAD_AGAIN, (6.0, *GOOD[1:]))
    rows = phases(*((*step[:3], version if n else "v1") for n, step in enumerate(steps)))
    told = states(rows, settings.model_copy(update=PATIENT))
    assert told == ["open", "recovered"] * 3 + ["resolved"]


def test_a_slow_relapse_opens_once_and_never_recovers(
    phases: Phases, settings: DetectSettings
) -> None:
    slow = (2.0, 2000, (0.9, 0.5), "v2"), (3.0, 2000, (0.5, 0.5), "v2")
    told = states(phases(BEFORE, BAD_START, GOOD, *slow), settings.model_copy(update=PATIENT))
    assert told[:3] == ["open", "recovered", "open"]
    assert set(told[3:]) <= {"worsening"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_slice_that_relapses_stays_open(
    phases: Phases, settings: DetectSettings, version: str
) -> None:
    rows = phases(
        (5.0, 9000, (0.9, 0.9), "v1"),
        (0.5, 1500, (0.2, 0.2), version),
        (1.5, 16000, (0.9, 0.9), version),
        (3.0, 6000, (0.5, 0.5), version),
        where={"customer": "c2"},
    )
    patient = settings.model_copy(update=PATIENT)
    told = course(rows, patient)
    for number in {number for number, _, _ in told}:
        assert [s for n, s, _ in told if n == number] == ["open", "recovered", "open"]
    row = detect(rows, patient).filter(pl.col("slice") != "{}").row(0, named=True)
    assert row["slice"] == '{"customer": "c2"}'
    assert row["effect"] == pytest.approx(-0.45, abs=0.05)


def test_a_relapse_after_a_long_fall_is_compared_with_the_time_before_both(
    phases: Phases, settings: DetectSettings
) -> None:
    steps = ((4, 2000, 0.9), (5, 8000, 0.4), (1.5, 2000, 0.9), (4, 6000, 0.5), (6, 6000, 0.9))
    rows = phases(*((days, n, (rate, rate), "v1") for days, n, rate in steps))
    told = course(rows, settings.model_copy(update=PATIENT))
    assert [state for _, state, _ in told] == ["open", "recovered"] * 2 + ["resolved"]
    row = detect(rows, settings.model_copy(update=PATIENT)).row(0, named=True)
    assert row["change_low"] <= day(4) <= row["change_high"]
    assert row["baseline_n"] == pytest.approx(2000, abs=250)


def test_a_further_fall_is_worsening_each_time(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.95), (4, 0.8), (7, 0.6), (10, 0.35))
    told = course(rows, settings)
    assert [state for _, state, _ in told] == ["open", "worsening", "worsening"]
    assert day(7) < told[1][2] < day(8)
    assert day(10) < told[2][2] < day(11)
    row = detect(rows, settings).row(0, named=True)
    assert row["change_low"] <= day(4) <= row["change_high"]
    assert "It fell further: it is at 3" in row["reason"]


def test_what_fell_further_can_recover(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.95), (4, 0.8), (7, 0.6), (9, 0.95))
    assert states(rows, settings) == ["open", "worsening", "recovered", "resolved"]


def test_a_fall_that_stays_is_not_worsening(levels: Levels, settings: DetectSettings) -> None:
    worse = sum(
        any(state == "worsening" for _, state, _ in course(rows, settings))
        for rows in (
            levels((0, 0.9), (5, 0.75), seed=seed, days=11, rows_a_day=300) for seed in range(12)
        )
    )
    assert worse <= 1


def test_half_a_recovery_is_none(levels: Levels, settings: DetectSettings) -> None:
    for seed in range(5):
        rows = levels((0, 0.9), (5, 0.6), (8, 0.78), seed=seed)
        assert detect(rows, settings)["state"].to_list() == ["open"]


def test_a_lasting_regression_is_never_adopted(levels: Levels, settings: DetectSettings) -> None:
    short = settings.model_copy(update={"every": timedelta(hours=12)})
    rows = levels((0, 0.9), (4, 0.78), days=90, rows_a_day=120)
    found = detect(rows, short)
    assert found["state"].to_list() == ["open"]
    assert found["candidate_n"][0] > 80 * 120


def test_an_improvement_elsewhere_does_not_take_away_the_baseline(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.6), (8, 0.85), days=22, rows_a_day=900)
    slow = (pl.col("customer") == "c2") & (pl.col("topic") == "hard")
    broken = slow & (pl.col("time") >= day(5))
    rng = np.random.default_rng(5)
    fails = pl.Series(rng.random(rows.height) < 0.9)
    rows = rows.with_columns(score=pl.when(broken & fails).then(0.0).otherwise("score"))
    found = detect(rows, settings.model_copy(update={"adopt_after": timedelta(days=5)}))
    fallen = found.filter(pl.col("direction") == "regression")
    assert fallen["slice"].to_list() == ['{"customer": "c2", "topic": "hard"}']
    assert fallen["state"].to_list() == ["open"]


def test_a_version_that_is_rolled_back_recovers(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.9), (5, 0.7), (7, 0.9), versions=((0, "v1"), (5, "v2"), (7, "v1")), days=11)
    told = course(rows, settings)
    assert [state for _, state, _ in told] == ["open", "recovered", "resolved"]
    assert day(7) < told[1][2] <= day(8)
    row = detect(rows, settings).row(0, named=True)
    assert (row["new"], row["old"]) == ("v2", "v1")
    assert "v2 gets no traffic any more, and the score came back" in row["reason"]


@pytest.mark.parametrize("back_at", [0.9, 0.8])
def test_what_a_rollback_ended_does_not_come_again(
    levels: Levels, settings: DetectSettings, back_at: float
) -> None:
    hasty = settings.model_copy(
        update={"minimum_history": timedelta(0), "recovery_hold": timedelta(hours=6)}
    )
    versions = ((0, "v1"), (5, "v2"), (7, "v1"))
    told = course(levels((0, 0.9), (5, 0.6), (7, back_at), versions=versions, days=11), hasty)
    # the fall with v2, and where the score did not come back the lasting fall of everything
    assert [state for _, state, _ in told].count("open") == (1 if back_at == 0.9 else 2)
    assert [state for number, state, _ in told if number == told[0][0]][-1] == "resolved"


def test_a_version_that_is_mended_recovers(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.9), (5, 0.7), (7, 0.9), versions=((0, "v1"), (5, "v2")), days=11)
    assert states(rows, settings) == ["open", "recovered", "resolved"]


def test_a_canary_that_stays_bad_does_not_recover_by_the_traffic_beside_it(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.9), days=12)
    rng = np.random.default_rng(3)
    canary = (rows["time"] >= day(5)).to_numpy() & (rng.random(rows.height) < 0.1)
    fails = canary & (rng.random(rows.height) < 0.4)
    rows = rows.with_columns(
        prompt_version=pl.Series(np.where(canary, "v2", "v1")),
        score=pl.when(pl.Series(fails)).then(0.0).otherwise("score"),
    )
    assert states(rows, settings) == ["open"]


def test_a_rollback_without_a_recovery_ends_with_its_reason(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.9), (5, 0.7), versions=((0, "v1"), (5, "v2"), (7, "v1")), days=12)
    found = detect(rows, settings)
    version = found.filter(pl.col("kind") == "version").row(0, named=True)
    assert version["state"] == "resolved"
    assert "gets no traffic any more" in version["reason"]
    # the fall itself is not over
    assert found.filter(pl.col("kind") == "time")["state"].to_list() == ["open"]


def test_an_improvement_that_is_lost_recovers_too(levels: Levels, settings: DetectSettings) -> None:
    rows = levels((0, 0.7), (5, 0.9), (8, 0.7), days=12)
    told = course(rows, settings)
    assert [state for _, state, _ in told][:2] == ["open", "recovered"]


def test_an_improvement_that_comes_again_is_adopted_as_old_as_it_is(
    phases: Phases, settings: DetectSettings
) -> None:
    steps = ((5, 4000, 0.7), (1, 1000, 0.9), (2, 2000, 0.7), (8, 8000, 0.9))
    rows = phases(*((days, n, (rate, rate), "v1") for days, n, rate in steps))
    patient = settings.model_copy(update=PATIENT | {"adopt_after": timedelta(days=5)})
    told = [(state, time) for number, state, time in course(rows, patient) if number == 0]
    assert [state for state, _ in told] == ["open", "recovered", "open", "resolved"]
    assert day(13) <= told[-1][1] < day(13.5)


def test_a_slice_without_traffic_is_not_ended_by_a_revision_of_others(
    phases: Phases, settings: DetectSettings
) -> None:
    small = {"customer": "c2", "topic": "hard"}
    gone = (pl.col("customer") == "c2") & (pl.col("topic") == "hard") & (pl.col("time") > day(6))
    steps = (5.0, 4000, (0.9, 0.9), "v1"), (7.0, 5000, (0.2, 0.2), "v1")
    rows = phases(*steps, where=small).filter(~gone)
    late = pl.when(pl.col("time") > day(11.5)).then(pl.lit("r2")).otherwise(pl.lit("r1"))
    soon = settings.model_copy(update={"adopt_after": timedelta(days=2)})
    found = detect(rows.with_columns(revision=late), soon).filter(pl.col("slice") != "{}")
    assert found["state"].to_list() == ["open"]


def test_the_hold_follows_the_length_of_a_batch() -> None:
    assert DetectSettings(every=timedelta(seconds=2)).hold == timedelta(seconds=16)
    assert DetectSettings(recovery_hold=timedelta(days=2)).hold == timedelta(days=2)


def test_a_value_that_is_new_with_each_call_is_no_version(
    levels: Levels, settings: DetectSettings
) -> None:
    rows = levels((0, 0.9), (5, 0.6), days=9)
    own = pl.Series([f"prompt of call {number}" for number in range(rows.height)])
    walker = Walker(encode(rows.with_columns(prompt_version=own), settings), settings)
    assert walker.counts.tallies == []
    assert states(rows.with_columns(prompt_version=own), settings) == ["open"]

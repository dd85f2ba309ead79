"""A look that remembers the last one says the same as one that does not, and judges less."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from evalspan.detect import DetectSettings, Memory, detect
from evalspan.detect._walk import Walker

Phases = Callable[..., pl.DataFrame]
START = datetime(2026, 3, 2, tzinfo=UTC)
PATIENT = {"recovery_hold": timedelta(days=4), "adopt_after": timedelta(days=3)}

# days, verdicts, pass rate, version: falls, recoveries, relapses and improvements of many sizes
phase = st.tuples(
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(100, 700),
    st.sampled_from([0.3, 0.6, 0.85, 0.98]),
    st.sampled_from(["v1", "v1", "v2", "v3"]),
)
histories = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "steps": st.lists(phase, min_size=1, max_size=5),
        "where": st.sampled_from([None, {"customer": "c1"}, {"topic": "hard"}]),
    }
)


def history(phases: Phases, story: dict[str, Any], *, graded: bool = False) -> pl.DataFrame:
    steps = [(4.0, 1200, 0.85, "v1"), *story["steps"]]
    rows = phases(
        *((days, n, (rate, rate), version) for days, n, rate, version in steps),
        seed=story["seed"],
        where=story["where"],
    )
    return rows.with_columns(score=0.25 + 0.5 * pl.col("score")) if graded else rows


def looks(rows: pl.DataFrame, seed: int, late: float) -> list[pl.DataFrame]:
    """The rows as they were known at random times; some arrive late, in no order."""
    generator = np.random.default_rng(seed)
    day = ((rows["time"] - START).dt.total_seconds() / 86_400).to_numpy()
    delay = np.where(generator.random(rows.height) < late, generator.random(rows.height) * 2, 0.0)
    known = day + delay
    cuts = [*np.sort(generator.uniform(3, day.max(), 4)), np.inf]
    return [
        rows.filter(pl.Series(known <= cut)).sample(fraction=1, shuffle=True, seed=seed)
        for cut in cuts
    ]


@hypothesis_settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=histories, seed=st.integers(0, 99), late=st.sampled_from([0.0, 0.0, 0.01]))
def test_with_a_memory_every_look_says_the_same(
    phases: Phases, settings: DetectSettings, story: dict[str, Any], seed: int, late: float
) -> None:
    patient = settings.model_copy(update=PATIENT)
    memory = Memory()
    for rows in looks(history(phases, story), seed, late):
        assert detect(rows, patient, "polite", memory).equals(detect(rows, patient, "polite"))


def test_graded_scores_of_clusters_say_the_same_too(
    phases: Phases, settings: DetectSettings
) -> None:
    story = {"seed": 3, "where": None, "steps": [(1.0, 400, 0.3, "v2"), (2.0, 700, 0.85, "v2")]}
    rows = history(phases, story, graded=True).with_columns(
        weight=pl.when(pl.col("topic") == "hard").then(1.5).otherwise(1.0),
        cluster=pl.format("{}-{}", "customer", pl.col("time").dt.truncate("1h")),
        revision=pl.when(pl.col("time") > START + timedelta(days=6))
        .then(pl.lit("r2"))
        .otherwise(pl.lit("r1")),
    )
    memory = Memory()
    for seen in looks(rows, 5, 0.0):
        one, other = detect(seen, settings, "", memory), detect(seen, settings)
        assert one.columns == other.columns
        for name in one.columns:
            if one.schema[name] == pl.Float64:
                assert one[name].to_list() == pytest.approx(other[name].to_list(), rel=1e-9)
            else:
                assert one[name].to_list() == other[name].to_list()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    judge = Walker._judge

    def counting(walker: Walker, batch: int) -> None:
        seen.append(batch)
        judge(walker, batch)

    monkeypatch.setattr(Walker, "_judge", counting)
    return seen


def test_only_what_is_new_is_judged(
    phases: Phases, settings: DetectSettings, judged: list[int]
) -> None:
    rows = phases((5.0, 2000, (0.9, 0.9), "v1"), (3.0, 1200, (0.5, 0.5), "v2"))
    memory = Memory()
    early = rows.filter(pl.col("time") < START + timedelta(days=7))
    detect(early, settings, "", memory)
    assert judged == list(range(24, 56))
    judged.clear()
    detect(rows, settings, "", memory)
    assert judged == list(range(56, 64))
    judged.clear()
    assert not detect(rows, settings, "", memory).is_empty()
    assert judged == []


def test_a_late_verdict_is_judged_from_its_own_batch_on(
    phases: Phases, settings: DetectSettings, judged: list[int]
) -> None:
    rows = phases((5.0, 2000, (0.9, 0.9), "v1"), (3.0, 1200, (0.5, 0.5), "v2"))
    memory = Memory()
    late = (rows["time"] >= START + timedelta(days=7)).arg_max()
    detect(rows.filter(pl.int_range(pl.len()) != late), settings, "", memory)
    judged.clear()
    detect(rows, settings, "", memory)
    assert judged == list(range(56, 64))


@pytest.mark.parametrize("change", ["settings", "begin", "columns"])
def test_another_history_or_other_settings_begin_anew(
    phases: Phases, settings: DetectSettings, judged: list[int], change: str
) -> None:
    rows = phases((5.0, 2000, (0.9, 0.9), "v1"), (3.0, 1200, (0.5, 0.5), "v2"))
    memory = Memory()
    detect(rows, settings, "", memory)
    if change == "settings":
        settings = settings.model_copy(update={"minimum_effect": 0.3})
    elif change == "begin":
        rows = rows.filter(pl.col("time") >= START + timedelta(hours=6))
    else:
        rows = rows.with_columns(revision=pl.lit("r1"))
    judged.clear()
    found = detect(rows, settings, "", memory)
    assert judged[0] == 24
    assert found.equals(detect(rows, settings))

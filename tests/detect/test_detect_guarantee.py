"""The exact bound on false alarms: valid without a change, small with one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from evalspan.detect import DetectSettings, detect
from evalspan.detect._compare import Claim
from evalspan.detect._guarantee import false_alarm_bound
from evalspan.detect._states import Incident
from evalspan.detect._stream import encode
from evalspan.detect._walk import Walker

Stream = Callable[..., pl.DataFrame]


def bound(rows: pl.DataFrame, settings: DetectSettings, number: int = 0) -> float | None:
    """Bound of a claimed fall of a slice, at the best look of a whole stream."""
    walker = Walker(encode(rows, settings), settings)
    until = len(walker.stream.ends) - 1
    claim = Claim("time", "regression", number, until, 0.0, 0.0, 0.0)
    incident = Incident(claim, claim, until, np.zeros(rows.height, dtype=np.bool_), *(until,) * 3)
    return false_alarm_bound(walker, incident, until)


def test_without_a_change_the_bound_is_seldom_small(
    stream: Stream, settings: DetectSettings
) -> None:
    bounds = [bound(stream(seed=seed, rows=800), settings) for seed in range(60)]
    assert all(value is not None and 0 < value <= 1 for value in bounds)
    assert sum(value is not None and value <= 0.2 for value in bounds) <= 0.2 * 60


def test_with_a_large_fall_the_bound_is_small_and_told(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(fall=0.2)
    found = bound(rows, settings)
    assert found is not None
    assert found < 1e-6
    assert "at most 1 time in 1,000" in detect(rows, settings)["reason"][0]


def test_a_slice_pays_for_the_slices_beside_it(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=2500, fall=0.25, where={"topic": "hard"})
    walker = Walker(encode(rows, settings), settings)
    number = walker.slices.names.index((("topic", "hard"),))
    narrow = settings.model_copy(update={"dimensions": ("topic",), "strata": ("topic",)})
    alone = Walker(encode(rows, narrow), narrow).slices.names.index((("topic", "hard"),))
    wide = settings.model_copy(update={"strata": ("topic",)})
    among_many, among_few = bound(rows, wide, number), bound(rows, narrow, alone)
    assert among_many is not None
    assert among_few is not None
    assert among_many > among_few


def test_no_bound_is_given_where_the_test_does_not_apply(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(rows=800)
    assert bound(rows.with_columns(weight=pl.lit(2.0)), settings) is None


def test_graded_scores_are_bounded_as_pass_and_fail(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(rows=1500, fall=0.25)
    graded = rows.with_columns(score=0.3 + 0.5 * pl.col("score"))
    assert bound(graded, settings) == bound(rows, settings)


def test_of_a_cluster_one_verdict_counts(stream: Stream, settings: DetectSettings) -> None:
    rows = stream(rows=2500, fall=0.25).with_columns(cluster="trace_id")
    alone = bound(rows, settings)
    many = bound(pl.concat([rows] * 5), settings)
    assert alone is not None
    assert many is not None
    # more rows make more slices to choose among, and no more evidence
    assert alone < many < 100 * alone


def test_a_version_is_bounded_without_a_search_over_starts(
    stream: Stream, settings: DetectSettings
) -> None:
    rows = stream(fall=0.15, version_after="v2")
    walker = Walker(encode(rows, settings), settings)
    batches = list(walker.steps())
    incident = next(i for i in walker.states.all if i.claim.version is not None)
    version = false_alarm_bound(walker, incident, batches[-1])
    over_time = replace(incident.claim, kind="time", version=None)
    time = false_alarm_bound(walker, replace(incident, claim=over_time), batches[-1])
    assert version is not None
    assert time is not None
    assert version < time

"""Streams with a known change, made from a seed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from evalspan.detect import DetectSettings

START = datetime(2026, 3, 2, tzinfo=UTC)
CUSTOMERS = tuple(f"c{number}" for number in range(6))
TOPICS = {"easy": 0.95, "plain": 0.85, "hard": 0.6}

Stream = Callable[..., pl.DataFrame]
Phases = Callable[..., pl.DataFrame]
Levels = Callable[..., pl.DataFrame]


@pytest.fixture
def settings() -> DetectSettings:
    return DetectSettings(dimensions=("customer", "topic"), version_dimensions=("prompt_version",))


@pytest.fixture
def stream() -> Stream:
    return make


def make(  # noqa: PLR0913, PLR0917 - each argument is a way in which a stream may change
    seed: int = 0,
    rows: int = 4000,
    days: float = 10,
    change_day: float = 6,
    fall: float = 0.0,
    where: dict[str, str] | None = None,
    mix_after: tuple[float, float, float] | None = None,
    version_after: str | None = None,
    until_day: float = 99,
) -> pl.DataFrame:
    """Verdicts of one check; ``fall`` is taken off the pass rate of ``where`` after the change."""
    generator = np.random.default_rng(seed)
    day = np.sort(generator.random(rows)) * days
    late = day >= change_day
    changed = late & (day < until_day)
    customer = generator.choice(CUSTOMERS, rows)
    topic = generator.choice(list(TOPICS), rows, p=(0.4, 0.4, 0.2))
    if mix_after is not None:
        topic = np.where(late, generator.choice(list(TOPICS), rows, p=mix_after), topic)
    columns: dict[str, Any] = {"customer": customer, "topic": topic}
    hit = changed.copy()
    for key, value in (where or {}).items():
        hit &= columns[key] == value
    rate = np.array([TOPICS[name] for name in topic]) - fall * hit
    return pl.DataFrame(
        {
            "time": [START + timedelta(days=float(d)) for d in day],
            "score": (generator.random(rows) < rate).astype(float),
            "weight": np.ones(rows),
            "trace_id": [f"t{number:05d}" for number in range(rows)],
            "cluster": pl.Series([None] * rows, dtype=pl.String),
            "prompt_version": np.where(late, version_after or "v1", "v1"),
            **columns,
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))


@pytest.fixture
def levels() -> Levels:
    return at_levels


def at_levels(
    *steps: tuple[float, float],
    seed: int = 0,
    days: float = 14,
    rows_a_day: int = 500,
    versions: tuple[tuple[float, str], ...] = (),
) -> pl.DataFrame:
    """Verdicts whose pass rate is the given one from each (day, rate) on, of one customer each."""
    generator = np.random.default_rng(seed)
    rows = int(days * rows_a_day)
    day = np.sort(generator.random(rows)) * days
    rate = np.select([day >= d for d, _ in reversed(steps)], [r for _, r in reversed(steps)])
    named = versions or ((0.0, "v1"),)
    version = np.select([day >= d for d, _ in reversed(named)], [v for _, v in reversed(named)], "")
    return pl.DataFrame(
        {
            "time": [START + timedelta(days=float(d)) for d in day],
            "score": (generator.random(rows) < rate).astype(float),
            "trace_id": [f"t{number:06d}" for number in range(rows)],
            "customer": generator.choice(CUSTOMERS, rows),
            "topic": generator.choice(list(TOPICS), rows),
            "prompt_version": version,
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))


@pytest.fixture
def phases() -> Phases:
    return in_phases


def in_phases(
    *steps: tuple[float, int, tuple[float, float], str],
    seed: int = 0,
    where: dict[str, str] | None = None,
) -> pl.DataFrame:
    """Verdicts phase by phase: its days, verdicts, pass rate from and to, and version.

    Rows outside ``where`` keep the rate with which it all began.
    """
    generator = np.random.default_rng(seed)
    normal, begin, parts = steps[0][2][0], 0.0, []
    for days, rows, (first, last), version in steps:
        share = np.sort(generator.random(rows))
        columns: dict[str, Any] = {
            "customer": generator.choice(CUSTOMERS, rows),
            "topic": generator.choice(list(TOPICS), rows),
        }
        hit = np.ones(rows, dtype=np.bool_)
        for key, value in (where or {}).items():
            hit &= columns[key] == value
        rate = np.where(hit, first + (last - first) * share, normal)
        columns |= {
            "time": [START + timedelta(days=begin + days * float(s)) for s in share],
            "score": (generator.random(rows) < rate).astype(float),
            "prompt_version": [version] * rows,
        }
        parts.append(pl.DataFrame(columns))
        begin += days
    return pl.concat(parts).with_columns(
        pl.col("time").cast(pl.Datetime("us", "UTC")),
        trace_id=pl.format("t{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(6)),
    )

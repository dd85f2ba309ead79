"""Scores before and after a change, made from a seed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from evalspan.explain import ExplainSettings

START = datetime(2026, 3, 2, tzinfo=UTC)
TOPICS = {"easy": 0.95, "plain": 0.85, "hard": 0.6}

Scores = Callable[..., pl.DataFrame]
Regression = Callable[..., dict[str, Any]]


@pytest.fixture
def settings() -> ExplainSettings:
    return ExplainSettings(
        dimensions=("customer", "topic"), version_dimensions=("prompt_version", "model")
    )


@pytest.fixture
def scores() -> Scores:
    return make


@pytest.fixture
def regression() -> Regression:
    return row


def row(**changed: object) -> dict[str, Any]:
    """A regression of everything over time, as the detector gives it."""
    return {
        "kind": "time",
        "direction": "regression",
        "slice": "{}",
        "change_time": START + timedelta(days=5),
        "version_dimension": None,
        "old": None,
        "new": None,
        "mix_amount": 0.0,
        **changed,
    }


def make(
    seed: int = 0,
    rows: int = 6000,
    fall: float = 0.0,
    where: dict[str, str] | None = None,
    mix_after: tuple[float, float, float] = (0.4, 0.4, 0.2),
    version_after: str = "v1",
) -> pl.DataFrame:
    """Ten days of verdicts; after the fifth ``fall`` is taken off the rate of ``where``."""
    generator = np.random.default_rng(seed)
    day = np.sort(generator.random(rows)) * 10
    late = day >= 5
    names = list(TOPICS)
    columns: dict[str, Any] = {
        "customer": generator.choice([f"c{number}" for number in range(6)], rows),
        "topic": np.where(
            late,
            generator.choice(names, rows, p=mix_after),
            generator.choice(names, rows, p=(0.4, 0.4, 0.2)),
        ),
    }
    hit = late.copy()
    for key, value in (where or {}).items():
        hit &= columns[key] == value
    rate = np.array([TOPICS[name] for name in columns["topic"]]) - fall * hit
    return pl.DataFrame(
        {
            "time": [START + timedelta(days=float(d)) for d in day],
            "score": (generator.random(rows) < rate).astype(float),
            "trace_id": [f"t{number:05d}" for number in range(rows)],
            "prompt_version": np.where(late, version_after, "v1"),
            "model": ["m"] * rows,
            **columns,
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))

"""The detector on one's own history: false alarms where nothing changes, delay of planted drops.

Scores are shuffled within strata (and revisions), so that nothing changes over time while
traffic, versions and slices stay as they were; verdicts of one cluster, or of one day where asked
for, stay together. Then a drop is planted from a random time on, in all traffic or in a slice:
passes turned into failures.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

import numpy as np
import polars as pl

from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slice
from evalspan.detect._stream import Floats, Ints, Stream, encode, ordered
from evalspan.detect._walk import Walker

Together = Literal["clusters", "days"]
DROPS = (0.02, 0.05, 0.1)
DAY_MICROSECONDS = 86_400_000_000
LATEST_PLACE = 0.5
"""A drop is planted in this part of the history that is tested, so that some is left after it."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted drop of the mean score, 0 to 1.

    ``where`` has the attribute and value pairs of the slice, none for all traffic; ``hours`` is how
    long it took until a regression opened, None if none did; ``early`` that one was open before it,
    so that this drop says nothing.
    """

    drop: float
    hours: float | None
    early: bool
    where: Slice = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One shuffled history: what opened without a change, and what became of each drop.

    First the drops in all traffic, then those in each slice.
    """

    regression: bool
    anything: bool
    planted: tuple[Planted, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """All trials over one history of so many verdicts and days."""

    verdicts: int
    days: float
    trials: tuple[Trial, ...]


Run = Callable[[int], Trial]
Map = Callable[[Run, Sequence[int]], Iterable[Trial]]


def backtest(
    scores: pl.DataFrame,
    settings: DetectSettings,
    seeds: Sequence[int],
    *,
    together: Together = "clusters",
    drops: Sequence[float] = DROPS,
    slices: Sequence[Mapping[str, str]] = (),
    over: Map = map,
) -> Backtest:
    """One trial for each seed; ``over`` may run them in processes of its own.

    Each drop is planted in all traffic and in each of ``slices``, dimension → value. Raises
    ValueError on scores outside 0 to 1.
    """
    rows = ordered(scores)
    stream = encode(rows, settings)
    places = [(), *(tuple(sorted(each.items())) for each in slices)]
    plants = tuple((where, drop) for where in places for drop in drops)
    run = partial(trial, rows, settings, together, plants)
    tested = len(stream.ends) > stream.first_test
    trials = tuple(over(run, seeds)) if tested else ()
    days = (stream.time[-1] - stream.time[0]) / DAY_MICROSECONDS if len(stream.time) else 0.0
    return Backtest(rows.height, float(days), trials)


def trial(
    rows: pl.DataFrame,
    settings: DetectSettings,
    together: Together,
    plants: tuple[tuple[Slice, float], ...],
    seed: int,
) -> Trial:
    """Shuffle the rows (as :func:`encode` orders them), walk; plant each drop, and walk again."""
    generator = np.random.default_rng(seed)
    stream = encode(rows, settings)
    shuffled = _shuffled(rows, stream, together, generator)
    walker = Walker(encode(shuffled, settings), settings)
    for _ in walker.steps():
        pass
    found = {incident.first.direction for incident in walker.states.all}
    place = _place(stream, generator)
    planted = [_planted(shuffled, settings, each, place, generator) for each in plants]
    return Trial("regression" in found, bool(found), tuple(planted))


def _shuffled(
    rows: pl.DataFrame, stream: Stream, together: Together, generator: np.random.Generator
) -> pl.DataFrame:
    block = stream.cluster if together == "clusters" else stream.time // DAY_MICROSECONDS
    source = np.arange(rows.height)
    for stratum in np.unique(stream.strata):
        inside = np.flatnonzero(stream.strata == stratum)
        source[inside] = inside[_in_blocks(block[inside], generator)]
    moved = [name for name in ("score", "weight", "cluster") if name in rows.columns]
    taken = rows.select(moved)[source]
    return rows.with_columns(taken.get_columns())


def _in_blocks(block: Ints, generator: np.random.Generator) -> Ints:
    """Order in which whole blocks follow each other at random, the rows of each as they were."""
    values, label = np.unique(block, return_inverse=True)
    rank = generator.permutation(len(values))
    return np.argsort(rank[label], kind="stable")


def _place(stream: Stream, generator: np.random.Generator) -> int:
    """A random time within the first part of what is tested, microseconds."""
    begin, end = int(stream.ends[stream.first_test - 1]), int(stream.time[-1])
    return begin + int(generator.random() * LATEST_PLACE * (end - begin))


def _planted(
    shuffled: pl.DataFrame,
    settings: DetectSettings,
    plant: tuple[Slice, float],
    place: int,
    generator: np.random.Generator,
) -> Planted:
    where, drop = plant
    score: Floats = shuffled["score"].cast(pl.Float64).to_numpy()
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=place)
    wanted = [pl.col("time") >= moment, *(pl.col(name) == value for name, value in where)]
    late = shuffled.select(pl.all_horizontal(wanted).fill_null(value=False)).to_series().to_numpy()
    share = min(1.0, drop / max(float(score[late].mean()) if late.any() else 1.0, 1e-9))
    lost = late & (generator.random(len(score)) < share)
    worse = shuffled.with_columns(score=pl.Series(np.where(lost, 0.0, score)))
    walker = Walker(encode(worse, settings), settings)
    for batch in walker.steps():
        opened = [i.opened for i in walker.states.all if i.first.direction == "regression"]
        if opened:
            end = int(walker.stream.ends[batch])
            early = end <= place
            return Planted(drop, None if early else (end - place) / 3.6e9, early, where)
    return Planted(drop, None, early=False, where=where)


def largest_slices(scores: pl.DataFrame, settings: DetectSettings) -> list[dict[str, str]]:
    """The commonest value of each dimension that has more than one: slices to plant drops in."""
    rows = scores.filter(pl.col("score").is_not_null())
    found = []
    for name in settings.dimensions:
        values = rows[name].cast(pl.String).drop_nulls().value_counts().sort("count", name)
        if values.height > 1:
            found.append({name: str(values[name][-1])})
    return found

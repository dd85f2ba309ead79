"""The scores of one check as arrays: rows in order of time, batches, codes of the dimensions."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evalspan.detect._settings import DetectSettings
from evalspan.stats import crossed, informative_columns, sums_by

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MICROSECONDS_A_SECOND = 1_000_000
TINY = 1e-9


@dataclass(frozen=True)
class Stream:
    """Rows of one check in order of time.

    ``batch`` numbers the batches that hold rows, densely from 0; ``ends`` are their end times in
    microseconds UTC. ``codes`` holds per dimension the number of each row's value in ``values``,
    −1 for null. ``deff`` and ``mix_deff`` are the design effects of clusters until each batch;
    ``plain`` whether all scores until then are 0 or 1 with weight one, so that exact tests apply.
    """

    time: Ints
    batch: Ints
    ends: Ints
    score: Floats
    weight: Floats
    trace: list[str]
    codes: dict[str, Ints]
    values: dict[str, list[str]]
    strata: Ints
    strata_dimensions: tuple[str, ...]
    deff: Floats
    mix_deff: Floats
    plain: Mask
    first_test: int


def encode(scores: pl.DataFrame, settings: DetectSettings) -> Stream:
    """Drop rows without a score, order the rest by time and trace id, number everything.

    Raises ValueError when a score lies outside 0 to 1 or a weight is not positive.
    """
    rows = scores.filter(pl.col("score").is_not_null()).sort("time", "trace_id")
    time = rows["time"].dt.timestamp("us").to_numpy()
    score = rows["score"].cast(pl.Float64).to_numpy()
    weight = _weights(rows)
    if score.size and not (score.min() >= 0 and score.max() <= 1 and weight.min() > 0):
        message = "scores must lie within 0 and 1 and weights above 0; null is no verdict"
        raise ValueError(message)
    every = int(settings.every.total_seconds() * MICROSECONDS_A_SECOND)
    slots, batch = np.unique(time // every, return_inverse=True)
    ends = (slots + 1) * every
    names = tuple(
        dict.fromkeys(settings.dimensions + settings.version_dimensions + (settings.strata or ()))
    )
    pairs = {name: _codes(rows[name]) for name in names}
    codes = {name: pair[0] for name, pair in pairs.items()}
    first = _first_test(time, ends, settings)
    head = batch < first
    chosen = settings.strata
    if chosen is None:
        # only rows before the first test, so that the choice cannot lean on what is tested
        heads = {key: codes[key][head] for key in settings.dimensions}
        chosen = informative_columns(score[head], weight[head], heads)
    strata = crossed([codes[key] for key in chosen], len(time))
    deff, mix_deff = _design_effects(rows, batch, score, weight, strata, len(ends))
    return Stream(
        time=time,
        batch=batch.astype(np.int64),
        ends=ends,
        score=score,
        weight=weight,
        trace=rows["trace_id"].to_list(),
        codes=codes,
        values={name: pair[1] for name, pair in pairs.items()},
        strata=strata,
        strata_dimensions=chosen,
        deff=deff,
        mix_deff=mix_deff,
        plain=_plain(batch, score, weight, len(ends)),
        first_test=first,
    )


def _plain(batch: Ints, score: Floats, weight: Floats, batches: int) -> Mask:
    odd = ~np.isin(score, (0.0, 1.0)) | (weight != 1.0)
    odd_until: Floats = np.cumsum(sums_by(batch, odd.astype(np.float64), batches))
    return np.asarray(odd_until == 0)


def _weights(rows: pl.DataFrame) -> Floats:
    if "weight" not in rows.columns:
        return np.ones(rows.height)
    return rows["weight"].cast(pl.Float64).fill_null(1.0).to_numpy()


def _codes(column: pl.Series) -> tuple[Ints, list[str]]:
    """Number the values in order of first appearance, so that later rows renumber nothing."""
    text = column.cast(pl.String)
    values = text.drop_nulls().unique(maintain_order=True).to_list()
    numbers = {value: number for number, value in enumerate(values)}
    codes = text.replace_strict(numbers, default=-1, return_dtype=pl.Int64)
    return codes.fill_null(-1).to_numpy(), values


def _first_test(time: Ints, ends: Ints, settings: DetectSettings) -> int:
    """Number of batches that end within the minimum history, at least one."""
    if not time.size:
        return 1
    history = int(settings.minimum_history.total_seconds() * MICROSECONDS_A_SECOND)
    return max(1, int(np.searchsorted(ends, time[0] + history, side="right")))


def _design_effects(
    rows: pl.DataFrame, batch: Ints, score: Floats, weight: Floats, strata: Ints, batches: int
) -> tuple[Floats, Floats]:
    """Design effects of clusters on scores within strata, and on the mix of strata, per batch.

    The variance of sums over clusters within a batch, over that of independent rows (Kish 1965),
    cumulated over batches, so that the value after a batch knows nothing of later rows.
    """
    if "cluster" not in rows.columns or rows["cluster"].null_count() == rows.height:
        return np.ones(batches), np.ones(batches)
    n = np.cumsum(_table(batch, strata, weight, batches), axis=0)
    k = np.cumsum(_table(batch, strata, weight * score, batches), axis=0)
    means = k / np.maximum(n, 1e-12)
    overall = k.sum(axis=1) / np.maximum(n.sum(axis=1), 1e-12)
    own = pl.lit("row-") + pl.int_range(rows.height).cast(pl.String)
    cluster = rows.select(pl.coalesce(pl.col("cluster").cast(pl.String), own))["cluster"]
    label = pl.DataFrame({"b": batch, "c": cluster}).select(pl.struct("b", "c").rank("dense"))
    numbers = label.to_series().to_numpy().astype(np.int64) - 1
    within = weight * (score - means[batch, strata])
    mix = weight * (means[batch, strata] - overall[batch])
    return _inflation(batch, numbers, within, batches), _inflation(batch, numbers, mix, batches)


def _inflation(batch: Ints, cluster: Ints, residual: Floats, batches: int) -> Floats:
    clusters = int(cluster.max(initial=-1)) + 1
    sums = sums_by(cluster, residual, clusters)
    home = np.zeros(clusters, dtype=np.int64)
    home[cluster] = batch
    together = np.cumsum(sums_by(home, sums**2, batches))
    alone = np.cumsum(sums_by(batch, residual**2, batches))
    ratio = np.where(alone > TINY, together / np.maximum(alone, TINY), 1.0)
    return np.maximum(ratio, 1.0)


def _table(batch: Ints, strata: Ints, values: Floats, batches: int) -> Floats:
    width = int(strata.max(initial=0)) + 1
    return sums_by(batch * width + strata, values, batches * width).reshape(batches, width)

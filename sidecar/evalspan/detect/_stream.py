"""The scores of one check as arrays: rows in order of time, batches, codes of the dimensions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evalspan.detect._settings import BaselineSettings, DetectSettings
from evalspan.stats import crossed, informative_columns, sums_by

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MICROSECONDS_A_SECOND = 1_000_000
TINY = 1e-9
RECENT_BATCHES = 16
REVISION = "revision"
"""Column with the revision of the evaluator, where there is one."""


@dataclass(frozen=True)
class Stream:
    """Rows of one check in order of time.

    ``batch`` numbers the batches that hold rows, densely from 0; ``ends`` are their end times in
    microseconds UTC. ``codes`` holds per dimension the number of each row's value in ``values``,
    −1 for null. ``deff`` and ``mix_deff`` are the design effects of clusters until each batch;
    ``plain`` whether all scores until then are 0 or 1 with weight one, so that exact tests apply.
    ``base`` marks the rows that may serve as baseline: all of them, or those that are pinned.
    ``strata`` tells revisions of the evaluator apart, as ``revisions`` has them; ``mix_strata``
    does not. ``cluster`` numbers the clusters, a row without one being its own.
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
    deff: Floats
    mix_deff: Floats
    plain: Mask
    first_test: int
    base: Mask
    mix_strata: Ints
    revisions: Ints
    cluster: Ints


def ordered(scores: pl.DataFrame) -> pl.DataFrame:
    """Rows with a score, in order of time and trace id."""
    rows = scores.filter(pl.col("score").is_not_null())
    return rows.sort("time", "trace_id", maintain_order=True)


def encode(scores: pl.DataFrame, settings: DetectSettings) -> Stream:
    """Number everything in the rows that have a score, in order of time and trace id.

    Raises ValueError when a score lies outside 0 to 1 or a weight is not positive.
    """
    rows = ordered(scores)
    time = rows["time"].dt.timestamp("us").to_numpy()
    score = rows["score"].cast(pl.Float64).to_numpy()
    weight = _weights(rows)
    if score.size and not (score.min() >= 0 and score.max() <= 1 and weight.min() > 0):
        message = "scores must lie within 0 and 1 and weights above 0; null is no verdict"
        raise ValueError(message)
    every = int(settings.every.total_seconds() * MICROSECONDS_A_SECOND)
    slots, batch = np.unique(time // every, return_inverse=True)
    batch = batch.astype(np.int64)
    ends = (slots + 1) * every
    names = tuple(
        dict.fromkeys(settings.dimensions + settings.version_dimensions + (settings.strata or ()))
    )
    pairs = {name: _codes(rows[name]) for name in names}
    if REVISION in rows.columns:
        pairs[REVISION] = _codes(rows[REVISION])
    codes = {name: pair[0] for name, pair in pairs.items()}
    revisions = codes.get(REVISION, np.zeros(len(time), dtype=np.int64))
    base = _base(time, pairs, settings.baseline)
    first = _first_test(time, ends, settings)
    head = batch < first
    chosen = settings.strata
    if chosen is None:
        # only rows before the first test, so that the choice cannot lean on what is tested
        heads = {key: codes[key][head] for key in settings.dimensions}
        chosen = informative_columns(score[head], weight[head], heads)
    mix_strata = crossed([codes[key] for key in chosen], len(time))
    strata = crossed([mix_strata, revisions], len(time))
    cluster = _clusters(rows)
    deff, mix_deff = _design_effects(cluster, batch, strata, mix_strata, score, weight)
    return Stream(
        time=time,
        batch=batch,
        ends=ends,
        score=score,
        weight=weight,
        trace=rows["trace_id"].to_list(),
        codes=codes,
        values={name: pair[1] for name, pair in pairs.items()},
        strata=strata,
        deff=deff,
        mix_deff=mix_deff,
        plain=_plain(batch, score, weight, len(ends)),
        first_test=first,
        base=base,
        mix_strata=mix_strata,
        revisions=revisions,
        cluster=cluster,
    )


def _base(
    time: Ints, pairs: dict[str, tuple[Ints, list[str]]], pinned: BaselineSettings | None
) -> Mask:
    """Rows that may serve as baseline."""
    base = np.ones(len(time), dtype=np.bool_)
    if pinned is None:
        return base
    if pinned.since is not None and pinned.until is not None:
        base &= (time >= _microseconds(pinned.since)) & (time < _microseconds(pinned.until))
    for name, value in pinned.versions.items():
        if name in pairs:
            codes, values = pairs[name]
            base &= codes == (values.index(value) if value in values else -2)
    return base


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _clusters(rows: pl.DataFrame) -> Ints:
    if "cluster" not in rows.columns or rows["cluster"].null_count() == rows.height:
        return np.arange(rows.height)
    own = pl.lit("row-") + pl.int_range(rows.height).cast(pl.String)
    named = pl.lit("cluster-") + pl.col("cluster").cast(pl.String)
    return (
        rows.select(pl.coalesce(named, own).rank("dense")).to_series().to_numpy().astype(np.int64)
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
    """Number of batches that end within the minimum history or before the end of a pinned time.

    At least one.
    """
    if not time.size:
        return 1
    pinned = settings.baseline
    if pinned is not None and pinned.until is not None:
        # who pins a time has chosen how much history is enough
        every = settings.every // timedelta(microseconds=1)
        return max(1, int(np.searchsorted(ends - every, _microseconds(pinned.until))))
    history = settings.minimum_history // timedelta(microseconds=1)
    return max(1, int(np.searchsorted(ends, time[0] + history, side="right")))


def _design_effects(
    cluster: Ints, batch: Ints, strata: Ints, mix_strata: Ints, score: Floats, weight: Floats
) -> tuple[Floats, Floats]:
    """Design effects of clusters on scores within strata, and on the mix of strata, per batch.

    The variance of sums over clusters within a batch, over that of independent rows (Kish 1965),
    cumulated over batches, so that the value after a batch knows nothing of later rows. What all
    recent rows have in common is taken out, so that a change is not taken for clustering.
    """
    batches = int(batch.max(initial=-1)) + 1
    if len(np.unique(cluster)) == len(cluster):
        return np.ones(batches), np.ones(batches)
    numbers = crossed([batch, cluster], len(batch))
    within = score - _means(batch, strata, score, weight)
    means = _means(batch, mix_strata, score, weight)
    overall = _means(batch, np.zeros_like(batch), score, weight)
    return (
        _inflation(batch, numbers, within, weight),
        _inflation(batch, numbers, means - overall, weight),
    )


def _means(batch: Ints, strata: Ints, score: Floats, weight: Floats) -> Floats:
    """Mean score of each row's stratum over all batches until the row's."""
    n = np.cumsum(_table(batch, strata, weight), axis=0)
    k = np.cumsum(_table(batch, strata, weight * score), axis=0)
    return np.asarray((k / np.maximum(n, 1e-12))[batch, strata])


def _inflation(batch: Ints, cluster: Ints, residual: Floats, weight: Floats) -> Floats:
    together = np.cumsum(_spread(batch, cluster, residual, weight))
    alone = np.cumsum(_spread(batch, np.arange(len(batch)), residual, weight))
    ratio = np.where(alone > TINY, together / np.maximum(alone, TINY), 1.0)
    return np.maximum(ratio, 1.0)


def _spread(batch: Ints, cluster: Ints, residual: Floats, weight: Floats) -> Floats:
    """Sum per batch of the squared sums of residuals of its clusters, about their recent level."""
    batches, clusters = int(batch.max(initial=-1)) + 1, int(cluster.max(initial=-1)) + 1
    total = _recent(sums_by(batch, weight, batches))
    level = _recent(sums_by(batch, weight * residual, batches)) / np.maximum(total, TINY)
    sums = sums_by(cluster, weight * (residual - level[batch]), clusters)
    home = np.zeros(clusters, dtype=np.int64)
    home[cluster] = batch
    return sums_by(home, sums**2, batches)


def _recent(values: Floats) -> Floats:
    """Sums over each batch and those shortly before it."""
    running = np.concatenate([np.zeros(RECENT_BATCHES), np.cumsum(values)])
    return np.asarray(running[RECENT_BATCHES:] - running[:-RECENT_BATCHES])


def _table(batch: Ints, strata: Ints, values: Floats) -> Floats:
    height, width = int(batch.max(initial=-1)) + 1, int(strata.max(initial=0)) + 1
    return sums_by(batch * width + strata, values, height * width).reshape(height, width)

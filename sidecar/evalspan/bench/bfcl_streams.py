"""Detection over semi-synthetic streams of recorded verdicts, whose change is known.

Reads ``scenario_events.parquet``; events go in order of time in three-hour batches through the
detector with one configuration. ``scenario_truth.jsonl`` and ``records.parquet`` (true rates)
are read by the scorer. Each stream is also run with its scores permuted within strata.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from evalspan.bench import _bfcl_score
from evalspan.bench._workers import over
from evalspan.detect import DetectSettings, detect, rank

SETTINGS = DetectSettings(
    dimensions=("customer", "category", "language", "region", "tier", "n_tools"),
    version_dimensions=("model", "release"),
)
PERMUTED_WITHIN = ("category", "n_tools")
FEWEST_PERMUTED = 200


@dataclass(frozen=True)
class Job:
    """One stream: its events and, where scores are to be permuted, the seed."""

    scenario: str
    events: pl.DataFrame
    seed: int | None = None


def run(data: Path) -> dict[str, float | int | str]:
    """Figures of the detector over all streams of a folder."""
    streams = load(data / "scenario_events.parquet")
    repeats = -(-FEWEST_PERMUTED // len(streams))
    jobs = [Job(name, events) for name, events in streams.items()]
    shuffled = [
        Job(name, events, seed) for seed in range(repeats) for name, events in streams.items()
    ]
    results = over(judge, jobs + shuffled, "streams")
    outcomes = [
        _bfcl_score.Outcome(job.scenario, job.events, *result)
        for job, result in zip(jobs, results, strict=False)
    ]
    permuted = [
        (job.scenario, result[0])
        for job, result in zip(shuffled, results[len(jobs) :], strict=True)
    ]
    return _bfcl_score.score(data, outcomes, permuted)


def load(path: Path) -> dict[str, pl.DataFrame]:
    """Streams by name, in the shape that the detector takes; ``ts`` is in seconds."""
    events = pl.read_parquet(path).with_columns(
        pl.col(pl.Categorical).cast(pl.String),
        time=(pl.col("ts") * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
        score=pl.col("score").cast(pl.Float64),
        n_tools=pl.col("n_tools").cast(pl.String),
        trace_id=pl.int_range(pl.len()).cast(pl.String),
    )
    parts = events.partition_by("scenario", as_dict=True, include_key=False)
    return {str(key[0]): part.drop("ts") for key, part in sorted(parts.items())}


def judge(job: Job) -> tuple[pl.DataFrame, list[str]]:
    """States of the detector at the end of a stream, and its slices ranked as if asked."""
    events = job.events if job.seed is None else permute(job.events, job.seed)
    states = detect(events, SETTINGS)
    if job.seed is not None:
        return states, []
    return states, rank(events, SETTINGS)["slice"].to_list()


def permute(events: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The stream with its scores shuffled within strata, so that nothing changes over time."""
    generator = np.random.default_rng(seed)
    score = events["score"].to_numpy().copy()
    strata = events.select(pl.struct(PERMUTED_WITHIN).rank("dense").alias("s"))["s"].to_numpy()
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        score[rows] = generator.permutation(score[rows])
    return events.with_columns(score=pl.Series(score))

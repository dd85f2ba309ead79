"""Localisation over many dimensions: recorded incidents of a video service, and synthetic ones.

Real incidents (`rs_real`): counts per minute; the failures of the minute of the incident against
the four minutes before. Synthetic (`synthetic_S`, `synthetic_L`): leaf sums with a forecast.
A label file gives the minute and the dimensions of an incident, which are part of the question,
and the causes, which only the scorer uses.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl

from evalspan.bench._workers import over
from evalspan.explain import localise, localise_values

MINUTES_BEFORE = 4
SECONDS_A_MINUTE = 60
TOPS = (1, 3, 5)

Question = tuple[pl.DataFrame, tuple[str, ...]]


def run(data: Path) -> dict[str, float | int | str]:
    """Top-k recall on the real incidents, and F1 of the whole answers on all three sets."""
    labels = _lines(data / "rs_real_labels.jsonl")
    events = pl.read_parquet(data / "rs_real.parquet").with_columns(pl.col("case").cast(pl.String))
    questions = [
        incident(events, label["case"], label["timestamp"], label["attributes"]) for label in labels
    ]
    answers = over(_ratio, questions, "real incidents")
    truths = [[_name(cause) for cause in label["cause"]] for label in labels]
    tops = {
        f"rs_top{k}": sum(
            _recall(truth, answer["slice"].to_list()[:k])
            for truth, answer in zip(truths, answers, strict=True)
        )
        / max(len(truths), 1)
        for k in TOPS
    }
    figures: dict[str, float | int | str] = {"incidents": len(labels), **tops}
    figures["rs_f1"] = f1(truths, answers)
    for kind in ("S", "L"):
        labels = _lines(data / f"synthetic_{kind}_labels.jsonl")
        answers = over(_value, synthetic(data, kind, labels), f"synthetic {kind}")
        figures[f"{kind.lower()}_f1"] = f1([_causes(label["cause"]) for label in labels], answers)
    return figures


def incident(events: pl.DataFrame, case: str, minute: int, dimensions: list[str]) -> Question:
    """Leaf counts of the minute of the incident and of the minutes before."""
    rows = events.filter(pl.col("case") == case)
    earliest = minute - MINUTES_BEFORE * SECONDS_A_MINUTE
    sums = [pl.col("value").sum(), pl.col("cnt").sum()]
    now = rows.filter(pl.col("min") == minute).group_by(dimensions).agg(sums)
    before = rows.filter(pl.col("min").is_between(earliest, minute, closed="left"))
    leaves = now.join(
        before.group_by(dimensions).agg(sums),
        on=dimensions,
        how="full",
        coalesce=True,
        nulls_equal=True,
        suffix="_before",
    )
    names = {
        "value": "failed",
        "cnt": "total",
        "value_before": "failed_before",
        "cnt_before": "total_before",
    }
    counts = [pl.col(old).fill_null(0).alias(new) for old, new in names.items()]
    return leaves.select(*dimensions, *counts), tuple(dimensions)


def synthetic(data: Path, kind: str, labels: list[dict[str, Any]]) -> list[Question]:
    """Leaves of each synthetic instance, in the order of the labels."""
    events = pl.read_parquet(data / f"synthetic_{kind}.parquet").with_columns(
        pl.col(pl.Categorical).cast(pl.String)
    )
    dimensions = tuple(name for name in events.columns if name not in ("case", "real", "predict"))
    return [(events.filter(pl.col("case") == label["case"]), dimensions) for label in labels]


def _ratio(question: Question) -> pl.DataFrame:
    return localise(*question)


def _value(question: Question) -> pl.DataFrame:
    return localise_values(*question)


def f1(truths: list[list[str]], answers: list[pl.DataFrame]) -> float:
    """F1 of exactly named causes over all instances together."""
    right = named = wanted = 0
    for truth, answer in zip(truths, answers, strict=True):
        causes = answer.filter(pl.col("cause"))["slice"].to_list()
        right += len(set(truth) & set(causes))
        named += len(causes)
        wanted += len(truth)
    return 2 * right / max(named + wanted, 1)


def _recall(truth: list[str], answers: list[str]) -> float:
    return float(all(cause in answers for cause in truth))


def _causes(text: str) -> list[str]:
    return [_name(dict(pair.split("=") for pair in cause.split("&"))) for cause in text.split(";")]


def _name(cause: dict[str, str]) -> str:
    return json.dumps({key: str(value) for key, value in cause.items()}, sort_keys=True)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

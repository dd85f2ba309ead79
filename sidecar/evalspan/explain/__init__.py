"""Explain: why did a score change?

In: the frame of scores that the detector read (one row per verdict: ``time``, ``score``,
``weight``, ``trace_id`` and a text column per dimension) and one regression row of it. Out: one
row per finding with the columns of :data:`SCHEMA`, ranked: slices with their share of the drop,
the mix of traffic, a version that changed (with the diff of the prompt, where a function that
reads prompts is handed in), and what stays unexplained. Settings: :class:`ExplainSettings`.

:func:`localise` does the same for counts summed up over many dimensions (failures of a total
before and now), :func:`localise_values` for sums with a forecast.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from evalspan.explain._findings import find
from evalspan.explain._localise import localise, localise_values
from evalspan.explain._settings import ExplainSettings
from evalspan.explain._sides import split
from evalspan.explain._slices import ranked

__all__ = [
    "RANKING",
    "SCHEMA",
    "ExplainSettings",
    "explain",
    "localise",
    "localise_values",
    "rank_slices",
]

SCHEMA = pl.Schema(
    {
        "rank": pl.Int32(),
        "kind": pl.String(),
        "slice": pl.String(),
        "title": pl.String(),
        "share": pl.Float64(),
        "share_low": pl.Float64(),
        "share_high": pl.Float64(),
        "baseline_n": pl.Int64(),
        "candidate_n": pl.Int64(),
        "baseline_score": pl.Float64(),
        "candidate_score": pl.Float64(),
        "effect": pl.Float64(),
        "effect_low": pl.Float64(),
        "effect_high": pl.Float64(),
        "exemplars": pl.List(pl.String()),
        "prompt_diff": pl.String(),
        "countermeasure": pl.String(),
    }
)
"""Columns of the findings."""

RANKING = pl.Schema({"slice": pl.String(), "aliases": pl.String(), "evidence_nats": pl.Float64()})
"""Columns of the ranking of slices."""


def explain(
    scores: pl.DataFrame,
    regression: Mapping[str, Any],
    settings: ExplainSettings,
    prompts: Callable[[str], str | None] | None = None,
) -> pl.DataFrame:
    """Ranked findings of one regression; an empty frame where nothing changed that way.

    ``regression`` is a row of the detector as a mapping. ``prompts`` gives the text of a prompt
    version, or None where it is not known. Raises KeyError on a missing column.
    """
    sides = split(scores, regression, settings)
    return pl.DataFrame(find(sides, regression, settings, prompts), schema=SCHEMA)


def rank_slices(
    scores: pl.DataFrame, regression: Mapping[str, Any], settings: ExplainSettings
) -> pl.DataFrame:
    """Slices of one and two attributes by the evidence that they changed with the regression.

    Evidence minus one nat per attribute, then a residual test: a parent that changes without its
    child stands before the child. Slices with the same rows are one, the others its aliases.
    """
    order = ranked(split(scores, regression, settings), settings)
    rows = [
        {
            "slice": json.dumps(item.name, sort_keys=True, ensure_ascii=False),
            "aliases": json.dumps(item.aliases, ensure_ascii=False),
            "evidence_nats": item.nats,
        }
        for item in order
    ]
    return pl.DataFrame(rows, schema=RANKING)

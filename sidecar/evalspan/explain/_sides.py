"""The two sides of a regression as arrays: its rows before and after, codes and strata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evalspan.explain._settings import ExplainSettings
from evalspan.stats import crossed, informative_columns, sums_by

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sides:
    """Rows that the regression is about, in order of time, and which of them come after.

    ``sign`` is −1 where a fall is to be explained, 1 for a rise.
    """

    score: Floats
    weight: Floats
    after: Mask
    strata: Ints
    codes: dict[str, Ints]
    values: dict[str, list[str]]
    trace: list[str]
    sign: float

    def table(self, rows: Mask) -> tuple[Floats, Floats]:
        """Sums of weight, weight², weight·score, weight·score² per stratum, after and before."""
        return self._sums(rows & self.after), self._sums(rows & ~self.after)

    def _sums(self, rows: Mask) -> Floats:
        width = int(self.strata.max(initial=0)) + 1
        return np.stack(
            [sums_by(self.strata[rows], moment[rows], width) for moment in self.moments]
        )

    @property
    def moments(self) -> Floats:
        """Weight, weight², weight·score, weight·score² of each row, shape (4, rows)."""
        w, y = self.weight, self.score
        return np.stack([w, w * w, w * y, w * y * y])

    def rows(self, name: Mapping[str, str]) -> Mask:
        """Rows of a slice."""
        mask = np.ones(len(self.score), dtype=np.bool_)
        for key, value in name.items():
            known = self.values[key]
            mask &= self.codes[key] == (known.index(value) if value in known else len(known))
        return mask


def split(scores: pl.DataFrame, regression: Mapping[str, Any], settings: ExplainSettings) -> Sides:
    """Rows of the regression's slice, before and after its change or of its old and new version.

    Raises KeyError where the frame lacks a column that the regression names.
    """
    rows = scores.filter(pl.col("score").is_not_null()).sort("time", "trace_id")
    for key, value in json.loads(regression["slice"]).items():
        rows = rows.filter(pl.col(key).cast(pl.String) == value)
    dimension = regression.get("version_dimension")
    if dimension:
        version = pl.col(dimension).cast(pl.String)
        rows = rows.filter(version.is_in([regression["old"], regression["new"]]))
        after = (rows[dimension].cast(pl.String) == regression["new"]).to_numpy()
    else:
        after = (rows["time"] >= regression["change_time"]).to_numpy()
    names = dict.fromkeys(
        (*settings.dimensions, *settings.version_dimensions, *(settings.strata or ()))
    )
    pairs = {name: _codes(rows[name]) for name in names}
    codes = {name: pair[0] for name, pair in pairs.items()}
    score = rows["score"].cast(pl.Float64).to_numpy()
    weight = _weights(rows)
    chosen = settings.strata
    if chosen is None:
        heads = {key: codes[key][~after] for key in settings.dimensions}
        chosen = informative_columns(score[~after], weight[~after], heads)
    return Sides(
        score=score,
        weight=weight,
        after=after,
        strata=crossed([codes[key] for key in chosen], rows.height),
        codes=codes,
        values={name: pair[1] for name, pair in pairs.items()},
        trace=rows["trace_id"].to_list(),
        sign=_sign(regression),
    )


def _sign(regression: Mapping[str, Any]) -> float:
    if regression["direction"] == "mix_shift":
        return 1.0 if (regression.get("mix_amount") or 0.0) > 0 else -1.0
    return 1.0 if regression["direction"] == "improvement" else -1.0


def _weights(rows: pl.DataFrame) -> Floats:
    if "weight" not in rows.columns:
        return np.ones(rows.height)
    return rows["weight"].cast(pl.Float64).fill_null(1.0).to_numpy()


def _codes(column: pl.Series) -> tuple[Ints, list[str]]:
    text = column.cast(pl.String)
    values = text.drop_nulls().unique().sort().to_list()
    numbers = {value: number for number, value in enumerate(values)}
    codes = text.replace_strict(numbers, default=-1, return_dtype=pl.Int64)
    return codes.fill_null(-1).to_numpy(), values

"""Give every span the dimensions and the prompt, conversation and user of what is above it."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from evalspan.config import Dimension
from evalspan.settle._lineage import NOWHERE, Lineage, codes, nearest
from evalspan.settle._own import cut, fallback, own_name, pick, resource_name

# Columns of SPANS that a span takes from above where it has none of its own.
INHERITED: Final = ("prompt_name", "prompt_version", "conversation_id", "user_id")


def inherit(
    spans: pl.DataFrame, tree: Lineage, dimensions: Mapping[str, Dimension]
) -> pl.DataFrame:
    """Fill INHERITED and add one String column per dimension.

    A dimension: the span's own value, else the nearest ancestor's, else the
    root's, else the resource's. An inherited column: the span's own value, else the
    nearest ancestor's, else the one that all spans of the trace share. A prompt
    version is taken only from a span that speaks of the same prompt. Of all of these,
    own values included, LONGEST_LABEL characters are left, before any is inherited.
    """
    spans = spans.with_columns(cut(spans[name]) for name in INHERITED)
    own = {name: _from_above(spans[name], tree) for name in INHERITED if _some_null(spans[name])}
    if "prompt_version" in own:
        own["prompt_version"] = _same_prompt(spans, own["prompt_version"], tree)
    filled = {name: _shared(values, tree) for name, values in own.items()}
    if "prompt_version" in own:
        nameless = spans["prompt_name"].is_null()
        filled["prompt_version"] = filled["prompt_version"].zip_with(
            nameless, own["prompt_version"]
        )
    resources: dict[str, pl.Series] = {}
    for name, dimension in dimensions.items():
        values = _from_above(_own_values(spans, name, dimension), tree)
        values = _from_root(values, tree)
        if dimension.attribute is not None and _some_null(values):
            values = fallback(values, spans[resource_name(name)])
        resources[name] = values
    return spans.with_columns(
        *(values.alias(name) for name, values in filled.items()),
        *(values.alias(name) for name, values in resources.items()),
    )


def _some_null(values: pl.Series) -> bool:
    return bool(values.null_count())


def _from_above(values: pl.Series, tree: Lineage) -> pl.Series:
    if values.null_count() in {0, len(values)}:
        return values
    return pick(values, nearest(values.is_not_null().to_numpy(), tree.parent))


def _from_root(values: pl.Series, tree: Lineage) -> pl.Series:
    if values.null_count() in {0, len(values)}:
        return values
    return fallback(values, values.gather(tree.root))


def _same_prompt(spans: pl.DataFrame, versions: pl.Series, tree: Lineage) -> pl.Series:
    """Take a version from above only if it is of the prompt that the span itself names."""
    source = nearest(spans["prompt_version"].is_not_null().to_numpy(), tree.parent)
    own, theirs = spans["prompt_name"], pick(spans["prompt_name"], source)
    other_prompt = (own != theirs).fill_null(value=False)
    return versions.set(other_prompt, None)


def _shared(values: pl.Series, tree: Lineage) -> pl.Series:
    """Fill null with the value that all spans of the trace that have one agree on."""
    if values.null_count() in {0, len(values)}:
        return values
    (number,) = codes(values)
    size = int(tree.trace.max(initial=-1)) + 1
    least, most = np.full(size, np.iinfo(np.int64).max), np.full(size, NOWHERE)
    known = number != NOWHERE
    np.minimum.at(least, tree.trace[known], number[known])
    np.maximum.at(most, tree.trace[known], number[known])
    row_of = np.zeros(int(number.max()) + 1, dtype=np.int64)
    row_of[number[known]] = np.flatnonzero(known)
    agreed = np.where((least == most) & (most >= 0), row_of[np.maximum(most, 0)], NOWHERE)
    return fallback(values, pick(values, agreed[tree.trace]))


def _own_values(spans: pl.DataFrame, name: str, dimension: Dimension) -> pl.Series:
    if dimension.column is not None:
        return cut(spans[dimension.column].cast(pl.String))
    return spans[own_name(name)]

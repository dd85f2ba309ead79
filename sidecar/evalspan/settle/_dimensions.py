"""Give every span the dimensions and the prompt, conversation and user of what is above it."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from evalspan.config import Dimension
from evalspan.model import LONGEST_LABEL
from evalspan.settle._lineage import NOWHERE, Lineage, codes, nearest

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
    spans = spans.with_columns(_cut(spans[name]) for name in INHERITED)
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
        values = _from_above(_cut(_own_values(spans, dimension)), tree)
        values = _from_root(values, tree)
        if dimension.attribute is not None and _some_null(values):
            values = _or(values, _of_resource(spans, dimension.attribute))
        resources[name] = values
    return spans.with_columns(
        *(values.alias(name) for name, values in filled.items()),
        *(values.alias(name) for name, values in resources.items()),
    )


def _cut(values: pl.Series) -> pl.Series:
    """Return the texts themselves where none is too long, which costs next to nothing."""
    some_long = (values.str.len_bytes() > LONGEST_LABEL).any()
    return values.str.head(LONGEST_LABEL) if some_long else values


def _some_null(values: pl.Series) -> bool:
    return bool(values.null_count())


def _or(values: pl.Series, other: pl.Series) -> pl.Series:
    return values.zip_with(values.is_not_null(), other)


def _from_above(values: pl.Series, tree: Lineage) -> pl.Series:
    if values.null_count() in {0, len(values)}:
        return values
    return _gather(values, nearest(values.is_not_null().to_numpy(), tree.parent))


def _from_root(values: pl.Series, tree: Lineage) -> pl.Series:
    if values.null_count() in {0, len(values)}:
        return values
    return _or(values, values.gather(tree.root))


def _gather(values: pl.Series, rows: np.ndarray[Any, Any]) -> pl.Series:
    """Gather with null where the row is -1."""
    index = pl.Series(rows)
    return values.gather(index.set(index == NOWHERE, None))


def _same_prompt(spans: pl.DataFrame, versions: pl.Series, tree: Lineage) -> pl.Series:
    """Take a version from above only if it is of the prompt that the span itself names."""
    source = nearest(spans["prompt_version"].is_not_null().to_numpy(), tree.parent)
    own, theirs = spans["prompt_name"], _gather(spans["prompt_name"], source)
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
    return _or(values, _gather(values, agreed[tree.trace]))


def _nothing(height: int) -> pl.Series:
    return pl.repeat(None, height, dtype=pl.String, eager=True)


def _own_values(spans: pl.DataFrame, dimension: Dimension) -> pl.Series:
    if dimension.column is not None:
        return spans[dimension.column].cast(pl.String)
    key = dimension.attribute or ""
    return _or(_leftover(spans["attributes"], key), _promoted(spans, key))


def _leftover(attributes: pl.Series, key: str) -> pl.Series:
    """Return the value of attribute `key` as text, per span."""
    sizes = attributes.list.len().fill_null(0).to_numpy()
    flat = attributes.filter(pl.Series(sizes > 0)).explode()
    hits = np.flatnonzero((flat.struct.field("key") == key).fill_null(value=False).to_numpy())
    if not len(hits):
        return _nothing(len(attributes))
    rows = np.repeat(np.arange(len(attributes)), sizes)[hits]
    found = (
        flat.gather(hits)
        .struct.unnest()
        .select(
            row=pl.Series(rows),
            value=pl.coalesce(
                "string",
                pl.col("int").cast(pl.String),
                pl.col("bool").cast(pl.String),
                pl.col("double").cast(pl.String),
            ),
        )
    )
    index = np.full(len(attributes), NOWHERE, dtype=np.int64)
    index[found["row"].to_numpy()] = np.arange(found.height)
    return _gather(found["value"], index)


def _promoted(spans: pl.DataFrame, key: str) -> pl.Series:
    """Return the value of an attribute that fills a column word for word."""
    texts = spans["promoted"].unique().drop_nulls()
    by_column: dict[str, list[str]] = {}
    for text in texts.filter(texts.str.contains(f"={key}", literal=True)):
        for part in text.split(";"):
            column, _, source = part.partition("=")
            if source == key and column in spans.columns:
                by_column.setdefault(column, []).append(text)
    choices = [
        pl.when(pl.col("promoted").is_in(found)).then(pl.col(column).cast(pl.String))
        for column, found in by_column.items()
    ]
    if not choices:
        return _nothing(spans.height)
    return spans.select(value=pl.coalesce(choices)).to_series()


def _of_resource(spans: pl.DataFrame, key: str) -> pl.Series:
    """Return the value of a resource attribute; each distinct resource is read once.

    Spans of one request stand together, so runs of equal texts are found first:
    comparing neighbours is far cheaper than hashing every long text.
    """
    texts = spans["resource"]
    run = texts.rle_id().to_numpy().astype(np.int64)
    heads = texts.gather(np.flatnonzero(np.diff(run, prepend=-1)))
    distinct = heads.drop_nulls().unique()
    values = {text: resource_value(text, key) for text in distinct}
    found = heads.replace_strict(values, default=None, return_dtype=pl.String)
    return _cut(found).gather(run)


def resource_value(text: str, key: str) -> str | None:
    """Return attribute `key` of a resource in OTLP/JSON as text; null if it has none."""
    try:
        attributes = json.loads(text).get("attributes") or ()
    except RecursionError:  # nested thousands deep by its sender; then it has no plain value
        return None
    value = next((a.get("value") for a in attributes if a.get("key") == key), None)
    plain = next(iter(value.values()), None) if value else None
    if isinstance(plain, bool):
        return str(plain).lower()
    return str(plain) if isinstance(plain, str | int | float) else None

"""The values of dimensions that stand on a span itself, read when it comes.

Its attributes and its resource, which take most of the memory of a span, may go then.
"""

import json
from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.config import Dimension
from evalspan.model import LONGEST_LABEL
from evalspan.settle._lineage import NOWHERE


def own_name(dimension: str) -> str:
    """Return the column of the spans' own values, which is the name of no dimension."""
    return f"own {dimension}"


def resource_name(dimension: str) -> str:
    """Return the column of the values of the spans' resources, which is no dimension either."""
    return f"resource {dimension}"


def with_own(spans: pa.Table, dimensions: Mapping[str, Dimension]) -> pa.Table:
    """Add two text columns for each dimension that is an attribute: the span's, the resource's.

    The span's: an attribute that no column holds as it came, else the column that `promoted`
    names for it. Null where there is none, and cut to LONGEST_LABEL characters.
    """
    for name, dimension in dimensions.items():
        key = dimension.attribute
        if key is not None:
            own = fallback(_leftover(spans.column("attributes"), key), _promoted(spans, key))
            spans = spans.append_column(own_name(name), cut(own).to_arrow())
            of_resource = cut(_of_resource(pl.Series(spans.column("resource")), key))
            spans = spans.append_column(resource_name(name), of_resource.to_arrow())
    return spans


def cut(values: pl.Series) -> pl.Series:
    """Return the texts themselves where none is too long, which costs next to nothing."""
    some_long = (values.str.len_bytes() > LONGEST_LABEL).any()
    return values.str.head(LONGEST_LABEL) if some_long else values


def fallback(values: pl.Series, other: pl.Series) -> pl.Series:
    """Return the values, and where there is none the other."""
    return values.zip_with(values.is_not_null(), other)


def pick(values: pl.Series, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.Series:
    """Return the values at these rows, null where the row is NOWHERE."""
    index = pl.Series(rows)
    return values.gather(index.set(index == NOWHERE, None))


def _nothing(height: int) -> pl.Series:
    return pl.repeat(None, height, dtype=pl.String, eager=True)


def _leftover(attributes: pa.ChunkedArray, key: str) -> pl.Series:
    """Return the value of attribute `key` as text, per span."""
    return pl.concat([_nothing(0), *(_of_chunk(lists, key) for lists in attributes.chunks)])


def _of_chunk(lists: pa.ListArray, key: str) -> pl.Series:
    items = lists.flatten()
    same = pc.equal(items.field("key"), key).fill_null(fill_value=False)
    hits = np.flatnonzero(np.asarray(same))
    if not len(hits):
        return _nothing(len(lists))
    sizes = np.asarray(pc.list_value_length(lists).fill_null(0))
    rows = np.repeat(np.arange(len(lists)), sizes)[hits]
    texts = (
        pl.Series(items.take(pa.array(hits)))
        .struct.unnest()
        .select(
            pl.coalesce(
                "string",
                pl.col("int").cast(pl.String),
                pl.col("bool").cast(pl.String),
                pl.col("double").cast(pl.String),
            )
        )
        .to_series()
    )
    index = np.full(len(lists), NOWHERE, dtype=np.int64)
    index[rows] = np.arange(len(rows))
    return pick(texts, index)


def _promoted(spans: pa.Table, key: str) -> pl.Series:
    """Return the value of an attribute that fills a column word for word."""
    by_column: dict[str, list[str]] = {}
    for text in spans.column("promoted").unique().drop_null().to_pylist():
        for part in text.split(";") if f"={key}" in text else ():
            column, _, source = part.partition("=")
            if source == key and column in spans.schema.names:
                by_column.setdefault(column, []).append(text)
    if not by_column:
        return _nothing(spans.num_rows)
    choices = [
        pl.when(pl.col("promoted").is_in(found)).then(pl.col(column).cast(pl.String))
        for column, found in by_column.items()
    ]
    frame = pl.DataFrame(spans.select(dict.fromkeys(["promoted", *by_column])))
    return frame.select(value=pl.coalesce(choices)).to_series()


def _of_resource(texts: pl.Series, key: str) -> pl.Series:
    """Return the value of a resource attribute; each distinct resource is read once.

    Spans of one request stand together, so runs of equal texts are found first:
    comparing neighbours is far cheaper than hashing every long text.
    """
    run = texts.rle_id().to_numpy().astype(np.int64)
    heads = texts.gather(np.flatnonzero(np.diff(run, prepend=-1)))
    distinct = heads.drop_nulls().unique()
    values = {text: _resource_value(text, key) for text in distinct}
    found = heads.replace_strict(values, default=None, return_dtype=pl.String)
    return found.gather(run)


def _resource_value(text: str, key: str) -> str | None:
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

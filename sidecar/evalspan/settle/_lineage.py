"""Who is whose parent: the spans of a batch as rows that point at rows."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]
NOWHERE: Final = -1
# 2**16 ancestors. A cycle of parents, which only a broken sender makes, ends here as well.
_MOST_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True)
class Lineage:
    """Per row of a batch: the number of its trace, its parent's row, its trace's root row.

    `parent` is -1 where the parent is not in the batch; `root` is never -1.
    """

    trace: Rows
    parent: Rows
    root: Rows

    @property
    def is_root(self) -> NDArray[np.bool_]:
        """True at the one row of each trace that is its root."""
        return np.asarray(self.root == np.arange(len(self.root)))


def codes(*columns: pl.Series) -> list[Rows]:
    """Number the distinct texts of all columns together, from 0; null is -1."""
    texts = pa.concat_arrays([c.to_arrow().cast(pa.large_string()) for c in columns])
    numbers = texts.dictionary_encode().indices.fill_null(NOWHERE).to_numpy(zero_copy_only=False)
    cuts = np.cumsum([len(c) for c in columns])[:-1]
    return [part.astype(np.int64) for part in np.split(numbers, cuts)]


def lineage(spans: pl.DataFrame) -> Lineage:
    """Find parents and roots. Reads trace_id, span_id, parent_span_id, start_time.

    Where two rows have the same ids the first one is the parent. The root of a
    trace is its earliest span that names no parent, else the earliest one whose
    parent is not here.
    """
    (trace,) = codes(spans["trace_id"])
    span, named_parent = codes(spans["span_id"], spans["parent_span_id"])
    parent = _find(trace, span, named_parent)
    order = np.where(named_parent == NOWHERE, 0, np.where(parent == NOWHERE, 1, 2))
    start = spans["start_time"].to_physical().fill_null(0).to_numpy()
    return Lineage(trace, parent, _roots(trace, order, start))


def _find(trace: Rows, span: Rows, named_parent: Rows) -> Rows:
    width = max(int(span.max(initial=0)), int(named_parent.max(initial=0))) + 1
    have = pl.DataFrame({"key": trace * width + span, "row": np.arange(len(span))})
    want = pl.DataFrame(
        {"key": np.where(named_parent == NOWHERE, NOWHERE, trace * width + named_parent)}
    )
    found = want.join(
        have.unique("key", keep="first", maintain_order=True),
        on="key",
        how="left",
        maintain_order="left",
    )["row"]
    parent = found.fill_null(NOWHERE).to_numpy().astype(np.int64)
    parent[parent == np.arange(len(parent))] = NOWHERE
    return parent


def _roots(trace: Rows, order: Rows, start: Rows) -> Rows:
    by = np.lexsort((start, order, trace))
    first = np.ones(len(by), dtype=bool)
    first[1:] = trace[by][1:] != trace[by][:-1]
    root_of = np.zeros(int(trace.max(initial=-1)) + 1, dtype=np.int64)
    root_of[trace[by][first]] = by[first]
    return root_of[trace]


def nearest(has: NDArray[np.bool_], parent: Rows) -> Rows:
    """Return for each row the row itself if it `has` it, else its nearest ancestor that does.

    -1 where there is none. Pointers double: after k rounds 2**k ancestors were looked at.
    """
    found = np.where(has, np.arange(len(has)), NOWHERE)
    above = parent
    for _ in range(_MOST_DOUBLINGS):
        open_rows = (found == NOWHERE) & (above != NOWHERE)
        if not open_rows.any():
            break
        found = np.where(open_rows, found[above], found)
        above = np.where(above == NOWHERE, NOWHERE, above[above])
    return found

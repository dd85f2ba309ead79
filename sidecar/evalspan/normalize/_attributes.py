"""The attributes of a batch of spans as one long table, grouped by key."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from evalspan.model import ATTRIBUTE
from evalspan.normalize import _values

STRING, INT, DOUBLE, BOOL, BYTES, NESTED = range(1, 7)
_FIELDS: Final = ("string", "int", "double", "bool", "bytes", "nested")


@dataclass(frozen=True)
class Attributes:
    """Attribute rows in the order of their spans.

    `key` is the index into `names`, `parent` the row of the span, `kind` which
    field holds the value (0 if none). All numpy, one element per attribute.
    """

    struct: Any
    names: list[str]
    key: Any
    parent: Any
    offsets: Any
    kind: Any

    @staticmethod
    def of(lists: Any) -> "Attributes":  # noqa: ANN401 - Arrow list array
        """Read a column of coded attributes."""
        lengths = np.asarray(lists.value_lengths().fill_null(0))
        struct = lists.flatten()
        coded = struct.field("key")
        kind = np.zeros(len(struct), np.int8)
        for number, name in enumerate(_FIELDS, start=1):
            held = struct.field(name)
            if held.null_count < len(held):
                kind[np.asarray(held.is_valid())] = number
        return Attributes(
            struct,
            coded.dictionary.to_pylist(),
            np.asarray(coded.indices),
            np.repeat(np.arange(len(lists)), lengths),
            np.concatenate([[0], np.cumsum(lengths)]),
            kind,
        )

    @cached_property
    def _groups(self) -> tuple[Any, Any]:
        keys = self.key.astype(np.int16 if len(self.names) < 1 << 15 else np.int32)
        counts = np.bincount(self.key, minlength=len(self.names))
        return np.argsort(keys, kind="stable"), np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    def rows(self, key: str) -> Any:  # noqa: ANN401 - numpy array
        """Return the attribute rows that have this key, in the order of their spans."""
        place = self._ids.get(key)
        if place is None:
            return np.empty(0, np.int64)
        order, starts = self._groups
        return order[starts[place] : starts[place + 1]]

    def take(self, kind: int, rows: Any) -> Any:  # noqa: ANN401 - Arrow array
        """Return the values of these rows, which are of this kind."""
        return self.struct.field(_FIELDS[kind - 1]).take(pa.array(rows))

    def values(self, rows: Any) -> list[Any]:  # noqa: ANN401 - numpy rows
        """Return the values of any rows as Python values, arrays and maps decoded."""
        out: list[Any] = [None] * len(rows)
        kinds = self.kind[rows]
        for kind in np.unique(kinds).tolist():
            if kind:
                places = np.flatnonzero(kinds == kind)
                found = self.take(kind, rows[places]).to_pylist()
                if kind == NESTED:
                    found = [_values.plain(value) for value in found]
                for place, value in zip(places.tolist(), found, strict=True):
                    out[place] = value
        return out

    def by_span(self, prefixes: tuple[str, ...], spans: Any) -> dict[int, dict[str, Any]]:  # noqa: ANN401
        """Return by span the scalars whose keys begin so; `spans` says which spans are wanted.

        Of equal keys the later wins.
        """
        named = np.array([name.startswith(prefixes) for name in self.names], bool)
        scalar = (self.kind != NESTED) & (self.kind > 0)
        rows = np.flatnonzero(named[self.key] & scalar & spans[self.parent])
        found: dict[int, dict[str, Any]] = {}
        keys, parents = self.key[rows].tolist(), self.parent[rows].tolist()
        for parent, key, value in zip(parents, keys, self.values(rows), strict=True):
            found.setdefault(parent, {})[self.names[key]] = value
        return found

    def without(self, taken: Any) -> Any:  # noqa: ANN401 - numpy rows in, Arrow list array out
        """Return the attributes that are not among `taken`, as the contract has them."""
        kept = np.ones(len(self.key), bool)
        kept[taken] = False
        counts = np.bincount(self.parent[kept], minlength=len(self.offsets) - 1)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        mask = pa.array(kept)
        arrays = [_filtered(self.struct.field(field.name), field.type, mask) for field in ATTRIBUTE]
        held = pa.StructArray.from_arrays(arrays, fields=list(ATTRIBUTE))
        return pa.ListArray.from_arrays(pa.array(offsets), held)


def _filtered(values: Any, kind: Any, mask: Any) -> Any:  # noqa: ANN401 - Arrow arrays
    if values.null_count == len(values):
        return pa.nulls(int(np.count_nonzero(mask)), kind)
    found = values.filter(mask)
    return found.dictionary_decode() if pa.types.is_dictionary(values.type) else found

"""Attributes as ptars gives them, turned into the ATTRIBUTES of the contract."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.decode import _walker

# Tag of the field of AnyValue that holds an array, and of the one that holds a map.
_ARRAY_TAG: Final = b"\x2a"
_MAP_TAG: Final = b"\x32"
KEY: Final = pa.dictionary(pa.int32(), pa.string())

# Notes that a row was mended: (rows, what).
Note = Callable[[Any, str], None]


def text(values: Any, what: str, note: Note | None = None) -> Any:  # noqa: ANN401 - Arrow arrays
    """Read bytes as UTF-8; what is not UTF-8 becomes U+FFFD, and `note` is told the rows."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        pieces = [None if v is None else v.decode("utf-8", "replace") for v in values.to_pylist()]
        mended = pa.array(pieces, pa.string())
        changed = pc.not_equal(mended.cast(pa.binary()), values).fill_null(fill_value=False)
        if note is not None:
            note(np.flatnonzero(np.asarray(changed)), what)
        return mended


def lists(attributes: Any, note: Note | None = None, *, coded: bool = False) -> Any:  # noqa: ANN401
    """Turn a list<KeyValue> array into a list of the contract's ATTRIBUTE.

    With `coded` the keys stay dictionary-coded, for the room that groups by
    them. `note` is told the rows whose text had to be mended.
    """
    lengths = np.asarray(attributes.value_lengths().fill_null(0))
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    pairs = attributes.flatten()

    def note_owner(rows: Any, what: str) -> None:  # noqa: ANN401 - numpy array
        if note is not None:
            note(np.unique(np.searchsorted(offsets, rows, side="right") - 1), what)

    values = pairs.field("value")
    arrays = [
        _keys(pairs.field("key"), note_owner, coded=coded),
        text(values.field("string_value"), "attributes", note_owner),
        values.field("int_value"),
        values.field("double_value"),
        values.field("bool_value"),
        values.field("bytes_value"),
        _nested(values),
    ]
    names = ["key", "string", "int", "double", "bool", "bytes", "nested"]
    fields = [
        pa.field(name, array.type, nullable=name != "key")
        for name, array in zip(names, arrays, strict=True)
    ]
    return pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.StructArray.from_arrays(arrays, fields=fields),
    )


def _keys(keys: Any, note: Note, *, coded: bool) -> Any:  # noqa: ANN401 - Arrow arrays
    if not coded:
        return text(keys, "attributes", note)
    found = keys.dictionary_encode()

    def note_users(places: Any, what: str) -> None:  # noqa: ANN401 - numpy array
        note(np.flatnonzero(np.isin(np.asarray(found.indices), places)), what)

    names = text(found.dictionary, "attributes", note_users)
    return pa.DictionaryArray.from_arrays(found.indices, names)


def _nested(values: Any) -> Any:  # noqa: ANN401 - Arrow arrays
    """Arrays and maps as the bytes of their AnyValue; a value with nothing in it as no bytes."""
    count = len(values)
    arrays, maps = values.field("array_value"), values.field("kvlist_value")
    empty = _empty(values)
    if arrays.null_count == count and maps.null_count == count and not len(empty):
        return pa.nulls(count, pa.binary())
    places = np.full(count, -1, np.int64)
    pieces: list[bytes] = []
    for held, tag in ((arrays, _ARRAY_TAG), (maps, _MAP_TAG)):
        rows = np.flatnonzero(np.asarray(held.is_valid()))
        places[rows] = np.arange(len(pieces), len(pieces) + len(rows))
        pieces += [
            tag + _walker.varint(len(piece)) + piece for piece in held.drop_null().to_pylist()
        ]
    places[empty] = len(pieces)
    pieces.append(b"")
    return pa.array(pieces, pa.binary()).take(pa.array(places, mask=places < 0))


def _empty(values: Any) -> Any:  # noqa: ANN401 - Arrow array in, numpy rows out
    """Rows that have a value with nothing in it, unlike rows that have no value."""
    unset = np.asarray(values.is_valid())
    for child in range(values.type.num_fields):
        if not unset.any():
            break
        held = values.field(child)
        if held.null_count < len(held):
            unset = unset & np.asarray(held.is_null())
    return np.flatnonzero(unset)

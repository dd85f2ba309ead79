"""Scatter attributes into columns, and remember which came through word for word."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.model import ROLES, SPANS
from evalspan.normalize import _clean, _messages
from evalspan.normalize._attributes import BOOL, DOUBLE, INT, NESTED, STRING, Attributes
from evalspan.normalize._dialect import Dialect, To, base, known

_LIST: Final = pa.list_(pa.string())
# Text columns that take arrays and maps too, as JSON.
_AS_JSON: Final = (
    *("input_messages", "output_messages", "tool_definitions", "system_prompt"),
    *("input_text", "output_text"),
)


@dataclass(slots=True)
class Column:
    """A column in the making.

    `source` is the attribute row that each value came from (-1: none), `exact`
    whether the value is that attribute word for word.
    """

    values: Any
    source: Any
    exact: Any


@dataclass(frozen=True, slots=True)
class _Rule:
    """One key that fills a column, for the spans of some dialects and roles."""

    key: str
    to: To
    spans: Any


def columns(attributes: Attributes, dialect: Any, role: Any) -> dict[str, Column]:  # noqa: ANN401
    """Return every column that attributes fill; `dialect` and `role` are indexes by span."""
    rules: dict[str, list[_Rule]] = {}
    present = set(attributes.names)
    for place in np.unique(dialect).tolist():
        spans = dialect == place
        table = _table(known()[place] if place >= 0 else None)
        for key, to in table.items():
            if key in present:
                rules.setdefault(to.column, []).append(_Rule(key, to, spans))
    return {
        column: _column(column, found, attributes, role, len(dialect))
        for column, found in rules.items()
    }


def _table(dialect: Dialect | None) -> dict[str, To]:
    """Return a dialect's keys, its own before the conventions'; none of them has only a few."""
    own: Mapping[str, str | To] = dialect.columns if dialect else {}
    general = base().columns if dialect else _GENERAL
    found: dict[str, To] = {}
    for key, to in [*own.items(), *general.items()]:
        found.setdefault(key, to if isinstance(to, To) else To(to))
    return found


# What spans of any kind say in the same words.
_GENERAL: Final = {
    "error.type": "error_type",
    "user.id": "user_id",
    "enduser.id": "user_id",
    "session.id": "conversation_id",
}


def _column(
    name: str,
    rules: Sequence[_Rule],
    attributes: Attributes,
    role: Any,  # noqa: ANN401 - numpy
    count: int,
) -> Column:
    kind, read = _READERS.get(name) or _BY_TYPE[SPANS.schema.field(name).type]
    source = np.full(count, -1, np.int64)
    exact = np.zeros(count, bool)
    converted: dict[int, Any] = {}
    for rule in reversed(rules):  # what wins is written last
        rows = _wanted(rule, attributes, role)
        same = _as_they_are(rows, kind, rule, attributes)
        straight = rows[same]
        parents = attributes.parent[straight]
        source[parents] = straight
        exact[parents] = True
        if len(straight) < len(rows):
            _convert(rows[~same], read, rule.to.scale, attributes, (source, exact, converted))
    if kind == NESTED:
        values = _lists(source, exact, attributes, converted, count)
    else:
        held = attributes.struct.field(_FIELD[kind])
        values = _merge(held.take(pa.array(source, mask=~exact)), converted, count)
    return Column(values, source, exact)


def _as_they_are(rows: Any, kind: int, rule: _Rule, attributes: Attributes) -> Any:  # noqa: ANN401
    """Say which values the column can hold as they are: of its type, unit, and finite."""
    same = attributes.kind[rows] == kind
    if rule.to.scale is not None:
        same[:] = False
    if kind == DOUBLE and same.any():
        places = np.flatnonzero(same)
        same[places] = np.asarray(pc.is_finite(attributes.take(DOUBLE, rows[places])))
    return same


_FIELD: Final = {STRING: "string", INT: "int", DOUBLE: "double", BOOL: "bool", NESTED: "nested"}


def _wanted(rule: _Rule, attributes: Attributes, role: Any) -> Any:  # noqa: ANN401 - numpy
    rows = attributes.rows(rule.key)
    parents = attributes.parent[rows]
    wanted = rule.spans[parents]
    if len(rule.to.roles) < len(ROLES):
        allowed = np.array([name in rule.to.roles for name in ROLES])
        wanted = wanted & allowed[role[parents]]
    return rows[wanted & (attributes.kind[rows] > 0)]


def _convert(
    rows: Any,  # noqa: ANN401 - numpy
    read: Callable[[Any], Any],
    scale: float | None,
    attributes: Attributes,
    into: tuple[Any, Any, dict[int, Any]],
) -> None:
    source, exact, converted = into
    for row, raw in zip(rows.tolist(), attributes.values(rows), strict=True):
        value = read(raw)
        if value is not None:
            parent = int(attributes.parent[row])
            source[parent], exact[parent] = row, False
            converted[parent] = value if scale is None else value * scale


def _merge(values: Any, converted: Mapping[int, Any], count: int) -> Any:  # noqa: ANN401 - Arrow
    if not converted:
        return values
    instead: list[Any] = [None] * count
    for row, value in converted.items():
        instead[row] = value
    return pc.coalesce(values, pa.array(instead, values.type))


def _lists(
    source: Any,  # noqa: ANN401 - numpy
    exact: Any,  # noqa: ANN401 - numpy
    attributes: Attributes,
    converted: Mapping[int, Any],
    count: int,
) -> Any:  # noqa: ANN401 - Arrow
    """Read finish reasons: few distinct values stand on many spans, each is read once."""
    spans = np.flatnonzero(exact)
    coded = attributes.take(NESTED, source[spans]).dictionary_encode()
    found = [_clean.finish_reasons(raw) for raw in coded.dictionary.to_pylist()]
    place = np.asarray(coded.indices, dtype=np.int64)
    exact[spans] = np.array([bool(each and each[1]) for each in found], bool)[place]
    where = np.zeros(count, np.int64)
    where[spans] = place + 1
    distinct = pa.array([None, *(each[0] if each else None for each in found)], _LIST)
    left = {row: value for row, value in converted.items() if not where[row]}
    return _merge(distinct.take(pa.array(where)), left, count)


def _reasons(value: Any) -> Any:  # noqa: ANN401 - attribute value
    found = _clean.finish_reasons(value) if isinstance(value, str) else None
    return found[0] if found else None


def _as_json(value: Any) -> str | None:  # noqa: ANN401 - attribute value
    return _messages.dump(value) if isinstance(value, list | dict) else _clean.word(value)


_BY_TYPE: Final[dict[Any, tuple[int, Callable[[Any], Any]]]] = {
    pa.string(): (STRING, _clean.word),
    pa.int64(): (INT, _clean.whole),
    pa.float64(): (DOUBLE, _clean.real),
    pa.bool_(): (BOOL, _clean.flag),
    _LIST: (NESTED, _reasons),
}
_READERS: Final[dict[str, tuple[int, Callable[[Any], Any]]]] = dict.fromkeys(
    _AS_JSON,
    (STRING, _as_json),
)


def promoted(attributes: Attributes, found: Mapping[str, Column]) -> tuple[Any, Any]:
    """Return the `promoted` and `attributes` columns of SPANS."""
    count = len(attributes.offsets) - 1
    taken = [column.source[column.exact] for column in found.values()]
    left = attributes.without(np.concatenate(taken) if taken else np.empty(0, np.int64))
    code = np.zeros(count, np.int64)
    parts: list[tuple[str, ...]] = [()]
    for name, column in sorted(found.items()):
        key = np.full(count, -1, np.int64)
        key[column.exact] = attributes.key[column.source[column.exact]]
        code, parts = _extend(code, parts, key, name, attributes.names)
    texts = pa.array([";".join(part) or None for part in parts], pa.string())
    return texts.take(pa.array(code)), left


def _extend(
    code: Any,  # noqa: ANN401 - numpy
    parts: list[tuple[str, ...]],
    key: Any,  # noqa: ANN401 - numpy
    column: str,
    names: list[str],
) -> tuple[Any, list[tuple[str, ...]]]:
    """Tell the spans of each group apart by the key that filled one more column."""
    if not (key >= 0).any():
        return code, parts
    counts = np.bincount(key + 1)
    keys = np.flatnonzero(counts) - 1
    place = np.cumsum(counts > 0) - 1
    pair = code * len(keys) + place[key + 1]
    groups = np.flatnonzero(np.bincount(pair, minlength=len(parts) * len(keys)))
    renumbered = np.zeros(len(parts) * len(keys), np.int64)
    renumbered[groups] = np.arange(len(groups))
    longer = []
    for group in groups.tolist():
        before, filled = parts[group // len(keys)], int(keys[group % len(keys)])
        longer.append(before if filled < 0 else (*before, f"{column}={names[filled]}"))
    return renumbered[pair], longer

"""Normalize: what vendors name in their own way becomes the columns of SPANS.

In: what `decode` returns (`spans`, `events`, `logs`). Out: `Normalized`, the
tables SPANS and EVENTS exactly. There are no settings; a dialect is a file in
`dialects/` whose `DIALECT` is found by the name of the file.

- Role before dialect: `role` says what a span does. Token counts, cost and time
  to the first token stand on LLM and embedding spans only; an agent's copy of
  them stays among its attributes, so sums over SPANS count a call once.
- `promoted` names the attributes that a column holds word for word; they are
  not kept again in `attributes`. A value that had to be changed on its way into
  a column (a numeric text, a vendor's word, messages of another form) stays
  there as it came. `rebuild` puts a span together again.
- Messages are JSON in the form of the GenAI conventions. System messages stay
  among `input_messages` where they came among them; `system_prompt` has their
  text in either case. JSON that an SDK cut off is read as far as it goes, and
  `repaired` says `cut:COLUMN`. A span whose values cannot be read at all stays one of
  no dialect, with `repaired` `unread:ERROR`.
- `messages_from_events` reads the messages of spans whose content came as log
  records, for whoever joins them. Span events are read here.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evalspan.model import EVENTS, ROLES, SPANS
from evalspan.normalize import _clean, _content, _detect, _events, _promote
from evalspan.normalize._attributes import Attributes
from evalspan.normalize._dialect import CALLS, known
from evalspan.normalize._events import messages_from_events
from evalspan.normalize._promote import Column
from evalspan.normalize._rebuild import rebuild

__all__ = ["Normalized", "messages_from_events", "normalize", "rebuild"]

_COUNTS: Final = (
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_tokens",
)
_CALL_ROLES: Final = tuple(ROLES.index(name) for name in CALLS)


class Decoded(Protocol):
    """What normalize reads of a decoded segment."""

    @property
    def spans(self) -> pa.Table:
        """Spans whose attributes have coded keys."""

    @property
    def events(self) -> pa.Table:
        """Events of the spans, EVENTS plus `row`."""

    @property
    def logs(self) -> pa.Table:
        """Log records, EVENTS."""


@dataclass(frozen=True, slots=True)
class Normalized:
    """Spans as SPANS, their events and the log records as EVENTS."""

    spans: pa.Table
    events: pa.Table


def normalize(decoded: Decoded) -> Normalized:
    """Fill the GenAI columns of every span of a segment."""
    tables = []
    first_row = 0
    rows = np.asarray(decoded.events.column("row"))
    for batch in decoded.spans.to_batches():
        low, high = np.searchsorted(rows, [first_row, first_row + len(batch)]).tolist()
        events = decoded.events.slice(low, high - low)
        tables.append(_careful(pa.Table.from_batches([batch]), events, first_row))
        first_row += len(batch)
    spans = pa.concat_tables(tables) if tables else SPANS.empty()
    events = decoded.events.select(EVENTS.schema.names).cast(EVENTS.schema)
    return Normalized(spans, pa.concat_tables([events, decoded.logs]))


def _careful(spans: pa.Table, events: pa.Table, first_row: int) -> pa.Table:
    """Normalize a batch; a span that breaks it stays as it came and costs no other one."""
    try:
        return _batch(spans, events, first_row)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - it stands in the row; raised, the segment came again
        if len(spans) == 1:
            return _unread(spans, error)
    middle = len(spans) // 2
    cut = int(np.searchsorted(np.asarray(events.column("row")), first_row + middle))
    halves = (
        _careful(spans.slice(0, middle), events.slice(0, cut), first_row),
        _careful(spans.slice(middle), events.slice(cut), first_row + middle),
    )
    return pa.concat_tables(halves)


def _unread(spans: pa.Table, error: Exception) -> pa.Table:
    """Return a span with its attributes only, like one that no dialect claims."""
    attributes = Attributes.of(spans.column("attributes").combine_chunks())
    note = f"unread:{type(error).__name__}"
    given = spans.column("repaired").to_pylist()[0]
    done = {
        "role": pa.array(["other"]),
        "attributes": attributes.without(np.empty(0, np.int64)),
        "repaired": pa.array([f"{given};{note}" if given else note]),
    }
    return _table(spans, done)


def _batch(spans: pa.Table, events: pa.Table, first_row: int) -> pa.Table:
    attributes = Attributes.of(spans.column("attributes").chunk(0))
    dialect = _detect.detect(attributes, spans.column("scope_name").chunk(0))
    role = _detect.roles(attributes, dialect)
    columns = _promote.columns(attributes, dialect, role)
    found = _derived(attributes, dialect, role)
    for row, more in _events.of_batch(events, first_row, spans, dialect).items():
        found[row] = {**more, **{k: v for k, v in found.get(row, {}).items() if v}}
    cut = _content.fill(columns, found, role)
    _settle_provider(columns, role)
    _settle_operation(columns)
    _drop_made_up_zeros(columns)
    _include_cached(columns, dialect)
    promoted, left = _promote.promoted(attributes, columns)
    names = np.array([*(d.name for d in known()), None], object)
    done: dict[str, Any] = {name: column.values for name, column in columns.items()}
    done |= {
        "dialect": pa.array(names[dialect], pa.string()),
        "role": pa.array(ROLES, pa.string()).take(pa.array(role)),
        "prompt_hash": _prompt_hashes(columns, len(role)),
        "attributes": left,
        "promoted": promoted,
        "repaired": _repaired(spans.column("repaired").chunk(0), cut),
    }
    return _table(spans, done)


def _derived(attributes: Attributes, dialect: Any, role: Any) -> dict[int, dict[str, Any]]:  # noqa: ANN401
    found: dict[int, dict[str, Any]] = {}
    for place in np.unique(dialect).tolist():
        table = known()[place]
        if place < 0 or table.derive is None:
            continue
        roles = [ROLES.index(name) for name in table.derive_roles]
        spans = (dialect == place) & np.isin(role, roles)
        for row, held in attributes.by_span(table.derive_prefixes, spans).items():
            found[row] = {name: value for name, value in table.derive(held).items() if value}
    return found


def _settle_provider(columns: dict[str, Column], role: Any) -> None:  # noqa: ANN401 - numpy
    """Bring providers to the words of the conventions; where a call has none, ask its model."""
    column = columns.get("provider") or _content.empty("provider", len(role))
    coded = column.values.dictionary_encode()
    words = [_clean.provider(word) for word in coded.dictionary.to_pylist()]
    values = pa.array(words, pa.string()).take(coded.indices)
    same = np.asarray(pc.equal(values, column.values).fill_null(fill_value=False))
    for name in ("response_model", "request_model"):
        if name in columns:
            models = columns[name].values.dictionary_encode()
            guesses = [_clean.provider_of_model(m) for m in models.dictionary.to_pylist()]
            guess = pa.array(guesses, pa.string()).take(models.indices)
            calls = pa.array(np.isin(role, _CALL_ROLES))
            values = pc.if_else(pc.and_(values.is_null(), calls), guess, values)
    columns["provider"] = Column(values, column.source, column.exact & same)


def _settle_operation(columns: dict[str, Column]) -> None:
    """Bring operations to the words of the conventions."""
    column = columns.get("operation")
    if column is None:
        return
    coded = column.values.dictionary_encode()
    words = [_clean.operation(word) for word in coded.dictionary.to_pylist()]
    values = pa.array(words, pa.string()).take(coded.indices)
    same = np.asarray(pc.equal(values, column.values).fill_null(fill_value=False))
    columns["operation"] = Column(values, column.source, column.exact & same)


def _drop_made_up_zeros(columns: dict[str, Column]) -> None:
    """Forget the counts of a call with zero input tokens: no call has none.

    Some instrumentors write zeros where they missed the usage of a stream.
    """
    given = columns.get("input_tokens")
    if given is None:
        return
    none = pc.equal(given.values, 0).fill_null(fill_value=False)
    if not pc.any(none).as_py():
        return
    for name in _COUNTS:
        if name in columns:
            column = columns[name]
            zero = pc.and_(none, pc.equal(column.values, 0).fill_null(fill_value=False))
            column.values = pc.if_else(zero, pa.scalar(None, pa.int64()), column.values)
            column.exact &= ~np.asarray(zero)


def _include_cached(columns: dict[str, Column], dialect: Any) -> None:  # noqa: ANN401 - numpy
    """Add cached tokens to the input tokens of who leaves them out.

    More cached tokens than input tokens prove it; of OpenLIT on Anthropic it is
    known.
    """
    tokens = columns.get("input_tokens")
    cached = [
        columns[c].values for c in ("cache_read_tokens", "cache_write_tokens") if c in columns
    ]
    if tokens is None or not cached:
        return
    total = sum(np.asarray(values.fill_null(0)) for values in cached)
    given = np.asarray(tokens.values.fill_null(0))
    openlit = np.array([d.name == "openlit" for d in known()] + [False])[dialect]
    anthropic = pc.equal(columns["provider"].values, "anthropic").fill_null(fill_value=False)
    apart = (total > given) | (openlit & np.asarray(anthropic) & (total > 0))
    apart &= np.asarray(tokens.values.is_valid())
    if apart.any():
        tokens.exact[apart] = False
        tokens.values = pc.if_else(pa.array(apart), pa.array(given + total), tokens.values)


def _prompt_hashes(columns: dict[str, Column], count: int) -> Any:  # noqa: ANN401 - Arrow
    if "system_prompt" not in columns:
        return pa.nulls(count, pa.string())
    coded = columns["system_prompt"].values.dictionary_encode()
    hashes = [_content.prompt_hash(text) for text in coded.dictionary.to_pylist()]
    return pa.array(hashes, pa.string()).take(coded.indices)


def _repaired(given: Any, cut: dict[int, str]) -> Any:  # noqa: ANN401 - Arrow
    if not cut:
        return given
    notes = given.to_pylist()
    for row, names in cut.items():
        notes[row] = ";".join(filter(None, (notes[row], f"cut:{names}")))
    return pa.array(notes, pa.string())


def _table(spans: pa.Table, done: dict[str, Any]) -> pa.Table:
    arrays = []
    for field in SPANS.schema:
        if field.name in done:
            arrays.append(done[field.name])
        elif field.name in spans.schema.names:
            arrays.append(spans.column(field.name))
        else:
            arrays.append(pa.nulls(len(spans), field.type))
    return pa.Table.from_arrays(arrays, schema=SPANS.schema)

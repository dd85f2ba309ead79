"""The content of a span: messages in one form, and the texts that checks read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from evalspan.model import ROLES, SPANS
from evalspan.normalize import _messages, _values
from evalspan.normalize._clean import finish_reason
from evalspan.normalize._promote import Column

_HASH_DIGITS: Final = 12
_MESSAGES: Final = ("input_messages", "output_messages")
_STRUCTURED: Final = (*_MESSAGES, "system_prompt", "tool_definitions")
_READ: Final = (*_STRUCTURED, "input_text", "output_text")


@dataclass(slots=True)
class Content:
    """What one span says. `changed` names the columns that are not as they came."""

    columns: dict[str, Any] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    cut: list[str] = field(default_factory=list)


@_values.remembered(1024)
def prompt_hash(system_prompt: str) -> str:
    """Return the first 12 hex digits of the SHA-256 of a system prompt."""
    data = system_prompt.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]


@_values.remembered(1024)
def system(raw: str) -> tuple[str | None, bool]:
    """Return the system prompt in what the attribute holds, and whether it was whole."""
    value, whole = _messages.parse(raw) if raw[:1] in {"[", "{", '"'} else (raw, True)
    return _messages.system_text(value), whole


def read(given: Mapping[str, Any], role: str) -> Content:
    """Read the content of one span.

    `given` has the columns of SPANS that hold content, messages as JSON text or
    as lists of messages, the system prompt as its text. The columns it returns
    are all text.
    """
    out = Content()
    messages = [_side(given.get(name), name, out) for name in _MESSAGES]
    prompt = given.get("system_prompt") or _messages.system_of(messages[0])
    if prompt:
        out.columns["system_prompt"] = prompt
    tools = given.get("tool_definitions")
    if tools:
        text = tools if isinstance(tools, str) else _messages.dump(tools)
        _put(out, "tool_definitions", text, tools)
    if not given.get("input_text"):
        _put(out, "input_text", _messages.last_user_text(messages[0]), None)
    if not given.get("output_text"):
        last = role == "agent"
        _put(out, "output_text", _messages.answer_text(messages[1], last=last), None)
    reasons = [m.get("finish_reason") for m in messages[1]]
    if not given.get("finish_reasons") and any(reasons):
        out.columns["finish_reasons"] = [finish_reason(r) for r in reasons if isinstance(r, str)]
    return out


def _side(raw: Any, column: str, out: Content) -> list[_messages.Message]:  # noqa: ANN401
    if not raw:
        return []
    if not isinstance(raw, str):
        _put(out, column, _messages.dump(raw), raw)
        return list(raw)
    value, whole = _messages.parse(raw)
    if whole and _messages.canonical(value):
        return list(value)
    found = _messages.read(value, "user" if column == "input_messages" else "assistant")
    _put(out, column, _messages.dump(found) if found else None, raw, whole=whole)
    return found


def _put(out: Content, column: str, value: Any, raw: Any, *, whole: bool = True) -> None:  # noqa: ANN401
    if value != raw:
        out.columns[column] = value
        out.changed.add(column)
    elif value:
        out.columns.setdefault(column, value)
    if not whole:
        out.cut.append(column)


def fill(
    columns: dict[str, Column],
    derived: Mapping[int, Mapping[str, Any]],
    role: Any,  # noqa: ANN401 - numpy
) -> dict[int, str]:
    """Read the content of every span that has some, into `columns`.

    `derived` holds by row what no single key holds. Returns the rows whose
    content was cut off, with the names of the columns.
    """
    count = len(role)
    cut = _systems(columns)
    rows = _rows(columns, derived)
    taken = {name: _list(columns, name, rows) for name in _MESSAGES}
    changes: dict[str, dict[int, Any]] = {name: {} for name in (*_READ, "finish_reasons")}
    sides = zip(rows.tolist(), taken["input_messages"], taken["output_messages"], strict=True)
    agents = role == ROLES.index("agent")
    for place, (row, asked, answered) in enumerate(sides):
        if row not in derived and _quick(row, asked, answered, bool(agents[row]), changes):
            continue
        if len(taken) == len(_MESSAGES):  # many batches have no span that needs the others
            taken |= {n: _list(columns, n, rows) for n in (*_READ, "finish_reasons")}
        more = derived.get(row, {})
        given = {name: values[place] or more.get(name) for name, values in taken.items()}
        content = read(given, ROLES[role[row]])
        found = {name: value for name, value in more.items() if name not in _STRUCTURED and value}
        for name, value in {**found, **content.columns}.items():
            if name in content.changed or not _present(taken, name, place):
                changes.setdefault(name, {})[row] = value
        if content.cut:
            cut[row] = ",".join(filter(None, (cut.get(row), *content.cut)))
    for name, values in changes.items():
        if values:
            columns[name] = _changed(columns.get(name), name, values, count)
    return cut


def _quick(
    row: int,
    asked: str | None,
    answered: str | None,
    last: bool,  # noqa: FBT001 - runs once per span
    changes: Mapping[str, dict[int, Any]],
) -> bool:
    """Read the texts of a span whose messages need no change; say whether that was so."""
    try:
        messages = from_json(asked) if asked else []
        answers = from_json(answered) if answered else []
    except ValueError:
        return False
    if not (_messages.canonical(messages) and _messages.canonical(answers)):
        return False
    question = _messages.one_text(messages)
    if question and messages[0]["role"] == "user":
        changes["input_text"][row] = question
    else:
        changes["input_text"][row] = _messages.last_user_text(messages)
        if prompt := _messages.system_of(messages):
            changes["system_prompt"][row] = prompt
    answer = _messages.one_text(answers)
    if answer and answers[0]["role"] == "assistant":
        changes["output_text"][row] = answer
    else:
        changes["output_text"][row] = _messages.answer_text(answers, last=last)
    reasons = [r for m in answers if isinstance(r := m.get("finish_reason"), str) and r]
    if reasons:
        changes["finish_reasons"][row] = [finish_reason(r) for r in reasons]
    return True


def _systems(columns: dict[str, Column]) -> dict[int, str]:
    """Replace system prompts by their text, each distinct one read once; return what was cut."""
    column = columns.get("system_prompt")
    if column is None:
        return {}
    coded = column.values.dictionary_encode()
    read_ = [system(raw) for raw in coded.dictionary.to_pylist()]
    column.values = pa.array([text for text, _ in read_], pa.string()).take(coded.indices)
    same = [text == raw for (text, _), raw in zip(read_, coded.dictionary.to_pylist(), strict=True)]
    index = np.asarray(coded.indices.fill_null(len(read_)))
    column.exact &= np.array([*same, False])[index]
    broken = np.array([*(not whole for _, whole in read_), False])[index]
    return dict.fromkeys(np.flatnonzero(broken).tolist(), "system_prompt")


def _present(taken: Mapping[str, list[Any]], name: str, place: int) -> bool:
    return name in taken and bool(taken[name][place])


def _rows(columns: Mapping[str, Column], derived: Mapping[int, Any]) -> Any:  # noqa: ANN401
    content = [columns[name].source >= 0 for name in _READ[:3] if name in columns]
    rows = np.flatnonzero(np.logical_or.reduce(content)) if content else np.empty(0, np.int64)
    return np.union1d(rows, np.array(sorted(derived), np.int64)).astype(np.int64)


def empty(name: str, count: int) -> Column:
    """Return a column of SPANS without a value."""
    return Column(
        pa.nulls(count, SPANS.schema.field(name).type),
        np.full(count, -1, np.int64),
        np.zeros(count, bool),
    )


def _list(columns: Mapping[str, Column], name: str, rows: Any) -> list[Any]:  # noqa: ANN401
    if name not in columns:
        return [None] * len(rows)
    return list(columns[name].values.take(pa.array(rows)).to_pylist())


def _changed(column: Column | None, name: str, values: Mapping[int, Any], count: int) -> Column:
    """Put values in: messages over what is there, others only where nothing is."""
    new: list[Any] = [None] * count
    for row, value in values.items():
        new[row] = value
    instead = pa.array(new, SPANS.schema.field(name).type)
    if column is None:
        return Column(instead, np.full(count, -1, np.int64), np.zeros(count, bool))
    if name not in _MESSAGES:
        column.values = pc.coalesce(column.values, instead)
        return column
    rows = np.fromiter(values, np.int64, len(values))
    mask = np.zeros(count, bool)
    mask[rows] = True
    column.exact[rows] = False
    column.values = pc.if_else(pa.array(mask), instead, column.values)
    return column

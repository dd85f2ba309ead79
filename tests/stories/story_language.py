"""The language of the stories; README.md tells it to who writes one."""

import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from story_world import World

from evalspan import testing
from evalspan.config import parse_duration

CAPTURES = Path(__file__).parents[1] / "golden" / "captures"
_WORD = re.compile(r"([\w.:]+)([=~])(.*)", re.DOTALL)
_METRIC = re.compile(r"(\w+)\{(.*)\} ([\d.]+)")


class StoryError(AssertionError):
    """An expectation that does not hold, or a line that cannot be read; names file and line."""


@dataclass(frozen=True)
class Step:
    """One command: its line number, its words, and the indented lines below it."""

    line: int
    text: str
    block: str


@dataclass(frozen=True)
class Condition:
    """`key=value`, or `key~part` for a text that holds the part."""

    key: str
    sign: str
    value: str

    def fits(self, found: object) -> bool:
        if self.sign == "~":
            return self.value in str(found)
        if self.value == "null":
            return found is None
        if isinstance(found, bool):
            return self.value == str(found).lower()
        if isinstance(found, int | float):
            return abs(float(self.value) - found) < 1e-9
        return self.value == str(found)


def steps(text: str) -> Iterator[Step]:
    """Cut a story into its commands."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            message = f"line {number}: an indented line belongs below a command"
            raise StoryError(message)
        first = number
        while number < len(lines) and (lines[number].startswith("  ") or not lines[number].strip()):
            number += 1
        block = textwrap.dedent("\n".join(lines[first:number]))
        yield Step(first, line.strip(), block)


def play(file: Path, folder: Path) -> int:
    """Run a story in an empty folder; returns how many expectations held. Raises StoryError."""
    world = World(folder)
    held = 0
    try:
        for step in steps(file.read_text(encoding="utf-8")):
            name, _, rest = step.text.partition(" ")
            try:
                _COMMANDS[name](world, rest.strip(), step.block)
            except KeyError as error:
                message = f"{file.name}:{step.line}: there is no command or key {error}"
                raise StoryError(message) from error
            except (StoryError, ValueError) as error:
                message = f"{file.name}:{step.line}: {step.text}\n{error}"
                raise StoryError(message) from error
            held += name == "expect"
    finally:
        world.end()
    return held


def _config(world: World, _: str, block: str) -> None:
    world.config = block


def _file(world: World, name: str, block: str) -> None:
    (world.folder / name).write_text(block, encoding="utf-8")


def _load(world: World, rest: str, block: str) -> None:
    signal, *words = shlex.split(rest)
    kind = {"spans": "traces", "logs": "logs"}[signal]
    captures = [word for word in words if "=" not in word]
    options = {c.key: c.value for c in _conditions([w for w in words if "=" in w])}
    for name in captures:
        ending = ".logs.binpb" if kind == "logs" else ".binpb"
        world.send(kind, (CAPTURES / f"{name}{ending}").read_bytes())
    if not captures:
        spans = [span for line in block.splitlines() if line.strip() for span in _spans(line)]
        scope = options.pop("scope", "opentelemetry.instrumentation.genai.openai")
        request = testing.request(spans, resource={"service.name": "app", **options}, scope=scope)
        world.send(kind, request.SerializeToString())


def _spans(line: str) -> Iterator[Any]:
    """Read `llm|tool|plain [name] key=value …`; `repeat=N` makes N traces of one span."""
    role, *words = shlex.split(line)
    given = {c.key: c.value for c in _conditions([w for w in words if "=" in w])}
    names = [word for word in words if "=" not in word]
    number = int(given.pop("trace", 1))
    for trace in range(number, number + int(given.pop("repeat", 1))):
        yield _span(role, names, {**given, "trace": trace})


def _span(role: str, names: list[str], given: dict[str, Any]) -> Any:  # noqa: ANN401 - a Span
    known: dict[str, Any] = {"trace": given.pop("trace"), "number": int(given.pop("span", 1))}
    if "parent" in given:
        known["parent"] = int(given.pop("parent"))
    attributes = {key: given.pop(key) for key in [k for k in given if "." in k]}
    if role == "tool":
        return testing.tool_span(" ".join(names) or "lookup_order", **(known | given))
    known["attributes"] = attributes
    if "seconds" in given:
        known["duration_seconds"] = float(given.pop("seconds"))
    if role == "plain":
        return testing.plain_span(" ".join(names), **(known | given))
    if "tokens" in given:
        known["input_tokens"], known["output_tokens"] = map(int, given.pop("tokens").split("/"))
    parts: dict[str, Any] = {k: None if v == "null" else v for k, v in given.items()}
    return testing.span(**known, **parts)


def _at(world: World, rest: str, _: str) -> None:
    world.close_at(parse_duration(rest.removeprefix("+")).total_seconds())


def _restart(world: World, _: str, __: str) -> None:
    world.restart()


def _judge(world: World, rest: str, block: str) -> None:
    """Answer each question with `question: yes|no|unknown "quote"`."""
    answers = []
    for line in block.splitlines():
        if line.strip():
            question, answer, *quote = shlex.split(line)
            found = {"question": question.rstrip(":"), "answer": answer, "quote": "".join(quote)}
            answers.append(found)
    asked = world.judge(answers)
    if rest and rest != f"asked {asked}":
        message = f"the judge was asked {asked} times"
        raise StoryError(message)


def _expect(world: World, rest: str, _: str) -> None:
    what, _, words = rest.partition(" ")
    if what == "ledger":
        _expect_ledger(world, words)
    elif what == "metric":
        _expect_metric(world, words)
    else:
        _expect_rows(world, what, words)


def _expect_rows(world: World, table: str, words: str) -> None:
    """`TABLE where CONDITIONS count N`, or `span CONDITIONS : CONDITIONS` for one row."""
    where, colon, wanted = words.removeprefix("where ").partition(" : ")
    count = 1
    if not colon:
        where, _, number = where.rpartition("count ")
        count = int(number)
    rows = world.rows(table)
    found = [row for row in rows.to_dicts() if _all_fit(where, row)]
    if len(found) != count:
        shown = rows.select(pl.exclude("attributes", "bytes", "resource"))
        columns = [c.key for c in _conditions(shlex.split(where)) if c.key in shown.columns]
        message = f"{len(found)} rows, not {count}; there are:\n{shown.select(columns).to_dicts()}"
        raise StoryError(message)
    for condition in _conditions(shlex.split(wanted)):
        value = _value(condition.key, found[0])
        if not condition.fits(value):
            message = f"{condition.key} is {value!r}"
            raise StoryError(message)


def _expect_ledger(world: World, words: str) -> None:
    """`balanced`, or `SUBJECT key=number …` with a subject such as spans or check:NAME."""
    book = world.ledger()
    if words.startswith("balanced"):
        pending = int(words.partition("pending=")[2] or 0)
        if not book.balanced or book.pending != pending:
            raise StoryError(str(book.as_dict()))
        return
    subject, *rest = shlex.split(words)
    lines = {line.subject: line for line in book.lines}
    lines |= {f"check:{line.check}": line for line in book.checks}  # type: ignore[misc]
    for condition in _conditions(rest):
        value = getattr(lines[subject], condition.key)
        if not condition.fits(value):
            message = f"{condition.key} is {value}: {lines[subject]}"
            raise StoryError(message)


def _expect_metric(world: World, words: str) -> None:
    match = _METRIC.fullmatch(words)
    if match is None:
        message = "write NAME{label=value, …} NUMBER"
        raise ValueError(message)
    name, labels, number = match.groups()
    conditions = _conditions(part.strip() for part in labels.split(",") if part.strip())

    def fits(found: Mapping[str, str]) -> bool:
        return all(c.fits(found.get(c.key, "")) for c in conditions)

    value = world.metric(name, fits)
    if abs(value - float(number)) > 1e-9:
        message = f"it is {value}"
        raise StoryError(message)


def _all_fit(where: str, row: Mapping[str, Any]) -> bool:
    return all(c.fits(_value(c.key, row)) for c in _conditions(shlex.split(where)))


def _conditions(words: Any) -> list[Condition]:  # noqa: ANN401 - an iterable of words
    found = []
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            message = f"{word!r} is no key=value"
            raise ValueError(message)
        key, sign, value = match.groups()
        found.append(Condition(key, sign, value))
    return found


def _value(key: str, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the column's type
    """Return a column; trace, span and parent are the numbers of ids, `a.b` is a value of a map."""
    if key in {"trace", "span", "parent"}:
        column = {"trace": "trace_id", "span": "span_id", "parent": "parent_span_id"}[key]
        return None if row[column] is None else int(row[column] or "0", 16)
    column, dot, inner = key.partition(".")
    if not dot:
        return row[column]
    return dict(row[column] or {}).get(inner)


_COMMANDS: Mapping[str, Callable[[World, str, str], None]] = {
    "config": _config,
    "file": _file,
    "load": _load,
    "at": _at,
    "restart": _restart,
    "judge": _judge,
    "expect": _expect,
}

"""Read a YAML config strictly: every mistake names file, line, key and what was expected.

Settings stand beside what they set, in the doors of the rooms; this module has
what they are written with, and the loader.
"""

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo


class ConfigError(ValueError):
    """A setting that is wrong. The text is meant for the person who wrote it."""


class SettingError(ConfigError):
    """A wrong setting whose key is known: `keys` lead to it, `told` says what is wrong."""

    def __init__(self, keys: Sequence[str | int], told: str) -> None:
        """Name the key; the file and the line are added by `located`."""
        self.keys = tuple(keys)
        self.told = told
        super().__init__(f"{'.'.join(map(str, self.keys))}: {told}")


class Strict(BaseModel):
    """Settings that refuse unknown keys and cannot be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def parse_duration(value: object) -> timedelta:
    """Read `250ms`, `10s`, `5m`, `1h`, `1h30m`, `14d`; raises ValueError."""
    if isinstance(value, timedelta):
        return value
    text = str(value)
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text):
        msg = f"{_EXPECTED['time_delta']}, not {'nothing' if value is None else repr(text)}"
        raise ValueError(msg)
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError as error:
        msg = f"expected a duration that a calendar can hold, not {text!r}"
        raise ValueError(msg) from error


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Dimension(Strict):
    """A property by which scores are split: its values become metric labels and slices."""

    attribute: str | None = Field(
        default=None,
        description="Attribute that holds the value, looked for on the span, then on the spans "
        "above it up to the root, then on the resource.",
    )
    column: str | None = Field(
        default=None,
        description="Column of SPANS that holds the value, instead of an attribute.",
    )
    budget: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Most values that become metric labels; what overflows is __other__.",
    )


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read and check the config file; raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: cannot be read: this is no text in UTF-8"
        raise ConfigError(msg) from error
    return parse(text, model, str(path))


def parse(text: str, model: type[Model], name: str = "config") -> Model:
    """Check the text of a config; `name` stands for the file in errors."""
    data = read_yaml(text, name)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        msg = f"{name}:1: expected keys and values (found {_short(data)})"
        raise ConfigError(msg)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(e, node, model, name) for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def read_yaml(text: str, name: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Return what a text in YAML holds; raises ConfigError with `name` and the line."""
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        msg = f"{name}:{_line_of(error, text)}: this is not valid YAML: {_problem_of(error)}"
        raise ConfigError(msg) from error
    except RecursionError as error:
        msg = f"{name}:1: this is too deep: lists and mappings within each other without end"
        raise ConfigError(msg) from error


def located(mistakes: Iterable[SettingError], file: Path | None) -> ConfigError:
    """Return one error for all the mistakes, each with the file and the line of its key."""
    if file is None:
        return ConfigError("\n".join(str(mistake) for mistake in mistakes))
    return ConfigError("\n".join(lines_of(mistakes, file)))


def lines_of(mistakes: Iterable[SettingError], file: Path) -> list[str]:
    """Return each mistake as `file:line: key: what`, in the order of the file."""
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    found = sorted(mistakes, key=lambda mistake: _locate(node, mistake.keys)[0])
    return [_line(str(file), node, mistake.keys, mistake.told) for mistake in found]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'latency'?`, or nothing where no known word is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _line(name: str, node: yaml.Node | None, keys: Sequence[str | int], told: str) -> str:
    """Return what is wrong as `file:line: key: what`."""
    line, _ = _locate(node, keys)
    return f"{name}:{line}: {'.'.join(map(str, keys)) or '(the whole file)'}: {told}"


# What YAML's parser says → what the person who wrote the file is told.
_PROBLEMS = (
    ("'\\t' that cannot start", "a tab stands here; YAML is indented with spaces"),
    ("cannot start any token", "a text that begins with this character needs quotes"),
    ("mapping values are not allowed", "a second ':' in one line; put the text into quotes"),
    ("could not find expected ':'", "this is no key: there is no ':' after it"),
    ("expected <block end>", "this line is not indented as the lines it belongs to"),
    ("expected ',' or", "a bracket or a comma is missing before this"),
    ("expected the node content", "a value is missing before this"),
    ("end of stream", "a quote or a bracket is not closed before the end of the file"),
    ("unknown escape", "a \\ in double quotes that stands for nothing; use single quotes"),
    ("another document", "a second document begins here (---); a config is one"),
    ("undefined alias", "an alias (*) of an anchor (&) that the file does not have"),
    ("duplicate anchor", "an anchor (&) that stands in the file twice"),
    ("constructor for the tag", "a tag (!) has no meaning in a config"),
    ("for merging", "what is merged here (<<) is no mapping"),
)


def _problem_of(error: yaml.YAMLError) -> str:
    """Return in plain words what the parser of YAML stumbled over."""
    if isinstance(error, yaml.reader.ReaderError):
        return f"the character U+{error.character:04X} may not stand in a text"
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    return next((words for part, words in _PROBLEMS if part in problem), problem)


def _line_of(error: yaml.YAMLError, text: str) -> int:
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 1


# `<<`, whose mapping the base class puts in its place.
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, which YAML forbids and PyYAML allows."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                problem = "a key is text, not a list or a mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the key {key!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - the base class's signature
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:  # a date such as 2026-13-45, a number of thousands of digits
            problem = "this looks like a date or a number but is none; put a text into quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _explain(
    error: Any,  # noqa: ANN401 - pydantic's ErrorDetails
    node: yaml.Node | None,
    model: type[BaseModel],
    name: str,
) -> str:
    kept = (part for part in error["loc"] if not str(part).startswith("function-"))
    found_at = [part for part in kept if part != "[key]"]
    where, _ = _walk(model, found_at)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return _line(name, node, [*where, *cause.keys], cause.told)
    if error["type"] == "extra_forbidden":
        unknown = found_at[-1]
        known = list(_fields(model, found_at[:-1]))
        told = f"unknown key.{nearest(str(unknown), known)} Known here: {', '.join(known)}."
        return _line(name, node, [*where, unknown], told)
    _, path = _locate(node, where)
    told = _KEY if error["loc"][-1:] == ("[key]",) else expected(error)
    if error["type"] == "string_pattern_mismatch":
        told = _description(model, where) or told
    return _line(name, node, path, with_found(error, told))


def with_found(error: Any, told: str) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return what is told of a value and the value, unless the text holds it already."""
    value, own = error["input"], error["type"] == "value_error"
    if error["type"] == "missing" or (own and (isinstance(value, dict) or _short(value) in told)):
        return told
    return f"{told} (found {_short(value)})"


_KEY = "a key is text: put it into quotes"
# What pydantic finds wrong → what the person who wrote the file is told.
_EXPECTED = {
    "arguments": "expected keys and values",
    "bool": "expected true or false",
    "bytes": "expected text",
    "date": "expected a day such as 2026-12-01",
    "datetime": "expected a time such as 2026-12-01T08:00, or a day such as 2026-12-01",
    "dataclass": "expected keys and values",
    "decimal": "expected a number",
    "dict": "expected keys and values",
    "enum": "expected {expected}",
    "finite_number": "expected a number that is finite",
    "float": "expected a number",
    "frozen_dict": "expected keys and values",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "int": "expected a whole number",
    "invalid_key": _KEY,
    "iterable": "expected a list",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "list": "expected a list",
    "literal_error": "expected {expected}",
    "mapping": "expected keys and values",
    "missing": "this key must be set",
    "model": "expected keys and values",
    "multiple_of": "expected a multiple of {multiple_of}",
    "none_required": "expected nothing here",
    "path": "expected a path",
    "recursion_loop": "this holds itself (an alias * within its own anchor &)",
    "set": "expected a list",
    "string": "expected text",
    "string_pattern_mismatch": "expected text of the form {pattern}",
    "string_too_long": "expected a text of at most so many characters: {max_length}",
    "string_too_short": "expected a text of at least so many characters: {min_length}",
    "time": "expected a time such as 08:00",
    "time_delta": "expected a duration such as 250ms, 10s, 5m, 1h30m or 14d",
    "timezone_aware": "expected a time with its zone, such as 2026-12-01T08:00Z",
    "timezone_naive": "expected a time without a zone, such as 2026-12-01T08:00",
    "too_long": "expected at most so many entries: {max_length}",
    "too_short": "expected at least so many entries: {min_length}",
    "tuple": "expected a list",
    "url": "expected an address such as https://example.com",
    "uuid": "expected a UUID",
}
_OTHERWISE = "this value cannot stand here"


def expected(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return what pydantic found wrong in the words of this project."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    parts = kind.split("_")
    names = ("_".join(parts[:length]) for length in range(len(parts), 0, -1))
    words = next((_EXPECTED[name] for name in names if name in _EXPECTED), _OTHERWISE)
    told = words.format(**context)
    if kind == "literal_error":
        told += "." + nearest(str(error["input"]), re.findall(r"'([^']*)'", context["expected"]))
    return told.removesuffix(".")


def _short(value: object) -> str:
    text = _as_written(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one line


def _as_written(value: object) -> str:
    """Return a value about as it stands in YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else repr(value)


def _locate(node: yaml.Node | None, where: Sequence[Any]) -> tuple[int, list[Any]]:
    """Return the line (from 1) and the keys as far as the file has them."""
    line, path = (node.start_mark.line + 1 if node else 1), []
    for part in where:
        child = _child(node, part)
        if child is None:
            if node is None or not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
                break
            path.append(part)
            continue
        key_line, node = child
        line = key_line
        path.append(part)
    return line, path


def _child(node: yaml.Node | None, part: object) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        value = node.value[part]
        return value.start_mark.line + 1, value
    return None


def _walk(model: type[BaseModel], where: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the keys of a path without what names a branch of a union, and the forms there."""
    keys, forms = [], [model]
    for part in where:
        below = [inner for form in forms for inner in _below(form, part)]
        if below:
            keys.append(part)
        forms = below or [f for f in forms if getattr(f, "__name__", None) == part] or forms
    return keys, forms


def _below(form: Any, part: object) -> list[Any]:  # noqa: ANN401 - a typing form
    """Return what may stand at a key of a model or a mapping, or in a list; nothing elsewhere."""
    if isinstance(form, type) and issubclass(form, BaseModel):
        field = form.model_fields.get(str(part))
        return _branches(field.annotation) if field else []
    origin, inner = get_origin(form), get_args(form)
    if not isinstance(origin, type):
        return []
    if issubclass(origin, Mapping):
        return _branches(inner[-1])
    if isinstance(part, int) and issubclass(origin, Collection):
        return [branch for each in inner for branch in _branches(each)]
    return []


def _branches(annotation: Any) -> list[Any]:  # noqa: ANN401 - a typing form
    """Return the forms that a union allows; any other form is the only one."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _branches(inner[0])
    if origin in {Union, UnionType}:
        return [branch for each in inner for branch in _branches(each)]
    return [annotation]


def _fields(model: type[BaseModel], where: Sequence[Any]) -> dict[str, FieldInfo]:
    """Return the settings that the model at `where` knows, or all of those that may stand there."""
    fields = (getattr(form, "model_fields", {}) for form in _walk(model, where)[1])
    return {name: field for each in fields for name, field in each.items()}


def _description(model: type[BaseModel], where: Sequence[Any]) -> str | None:
    """Return what is said of the setting at `where`."""
    field = _fields(model, where[:-1]).get(str(where[-1]))
    if field is None or field.description is None:
        return None
    return f"this does not fit; expected: {field.description.removesuffix('.')}"

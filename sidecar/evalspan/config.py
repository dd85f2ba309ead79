"""Read a YAML config strictly: every mistake names file, line, key and what was expected.

Settings stand beside what they set, in the doors of the rooms; this module has
what they are written with, and the loader.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


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
        msg = f"expected a duration such as 250ms, 10s, 5m, 1h30m or 14d, not {text!r}"
        raise ValueError(msg)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


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
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not readable"
        msg = f"{name}:{line}: this is not valid YAML: {problem}"
        raise ConfigError(msg) from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        msg = f"{name}:1: expected keys and values, found {type(data).__name__}"
        raise ConfigError(msg)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(e, node, model, name) for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def located(mistakes: Iterable[SettingError], file: Path | None) -> ConfigError:
    """Return one error for all the mistakes, each with the file and the line of its key."""
    if file is None:
        return ConfigError("\n".join(str(mistake) for mistake in mistakes))
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    lines = [_line(str(file), node, mistake.keys, mistake.told) for mistake in mistakes]
    return ConfigError("\n".join(lines))


def _line(name: str, node: yaml.Node | None, keys: Sequence[str | int], told: str) -> str:
    """Return what is wrong as `file:line: key: what`."""
    line, _ = _locate(node, keys)
    return f"{name}:{line}: {'.'.join(map(str, keys)) or '(the whole file)'}: {told}"


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, which YAML forbids and PyYAML allows."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                problem = "a key is text, not a list or a mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the key {key!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _explain(
    error: Any,  # noqa: ANN401 - pydantic's ErrorDetails
    node: yaml.Node | None,
    model: type[BaseModel],
    name: str,
) -> str:
    where = [part for part in error["loc"] if not str(part).startswith("function-")]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):
        return _line(name, node, [*where, *cause.keys], cause.told)
    _, path = _locate(node, where)
    if error["type"] == "extra_forbidden":
        valid = _valid_keys(model, where[:-1])
        near = get_close_matches(str(where[-1]), valid, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return _line(name, node, path, f"unknown key.{hint} Known here: {', '.join(valid)}.")
    found = "" if error["type"] == "missing" else f" (found {_short(error['input'])})"
    return _line(name, node, path, f"{expected(error)}{found}")


# What pydantic finds wrong → what the person who wrote the file is told.
_EXPECTED = {
    "bool": "expected true or false",
    "dict": "expected keys and values",
    "float": "expected a number",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "int": "expected a whole number",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "list": "expected a list",
    "literal_error": "expected {expected}",
    "missing": "this key must be set",
    "model": "expected keys and values",
    "path": "expected a path",
    "string_type": "expected text",
    "tuple": "expected a list",
}


def expected(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return what pydantic found wrong in the words of this project."""
    kind = error["type"]
    words = _EXPECTED.get(kind) or _EXPECTED.get(kind.partition("_")[0])
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return words.format(**error.get("ctx", {}))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one line


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


def _valid_keys(model: type[BaseModel], where: Sequence[Any]) -> list[str]:
    """Return the keys that the model at `where` knows."""
    current: Any = model
    for part in where:
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = _model_of(info.annotation) if info else None
        if current is None:
            return []
    known = isinstance(current, type) and issubclass(current, BaseModel)
    return list(current.model_fields) if known else []


def _model_of(annotation: Any) -> Any:  # noqa: ANN401 - a typing form
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_of(inner)
        if found is not None:
            return found
    return None

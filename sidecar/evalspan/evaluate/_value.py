"""The value of a check's setting: from a file if it names one, and of its parameter's type."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalspan.config import ConfigError, SettingError, expected, nearest, read_yaml, with_found


def value_of(
    annotation: Any,  # noqa: ANN401 - a typing form
    given: object,
    folder: Path | None,
) -> tuple[Any, list[SettingError]]:
    """Return what the check is handed, and the mistakes, each with its keys within the value.

    With a `folder` a text is the path of a JSON or YAML file from there.
    """
    if folder is None or not isinstance(given, str):
        return _typed(annotation, given)
    try:
        held = _file(folder / given, given)
    except ConfigError as error:
        return None, [SettingError((), str(error))]
    made, mistakes = _typed(annotation, held)
    return made, [SettingError((), _told_of(given, mistake)) for mistake in mistakes]


def _told_of(file: str, mistake: SettingError) -> str:
    return ": ".join(filter(None, (file, ".".join(map(str, mistake.keys)), mistake.told)))


def _typed(annotation: Any, value: object) -> tuple[Any, list[SettingError]]:  # noqa: ANN401 - a typing form, a setting
    try:
        made = TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        # Each branch of a union has its own complaint of the same value: one is enough.
        first = {m.keys: m for m in reversed(list(_mistakes(error, value)))}
        return None, list(reversed(first.values()))
    if isinstance(made, float) and not abs(made) <= sys.float_info.max:
        return None, [SettingError((), f"expected a number that is finite (found {value!r})")]
    return made, []


def _mistakes(error: ValidationError, value: object) -> Iterator[SettingError]:
    for each in error.errors():
        keys = _keys_within(value, each["loc"])
        cause = each.get("ctx", {}).get("error")
        if isinstance(cause, SettingError):
            yield SettingError((*keys, *cause.keys), cause.told)
        else:
            missing = each["loc"][-1:] if each["type"] == "missing" else ()
            yield SettingError((*keys, *missing), with_found(each, expected(each)))


def _keys_within(value: Any, where: Sequence[int | str]) -> tuple[int | str, ...]:  # noqa: ANN401 - a setting
    """Return the keys that lead into a value, without what names a branch of a union."""
    keys = []
    for part in where:
        try:
            value = value[part]
        except (TypeError, KeyError, IndexError):
            continue
        keys.append(part)
    return tuple(keys)


def _file(path: Path, name: str) -> object:
    """Return what stands in a file; raises ConfigError that says where it stops being readable."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        beside = path.parent
        there = [each.name for each in beside.iterdir()] if beside.is_dir() else []
        msg = f"{path} cannot be read: {error.strerror}.{nearest(path.name, there)}"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} cannot be read: this is no text in UTF-8"
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f"{name!r} is no path of a file"
        raise ConfigError(msg) from error
    return _json(text, name) if path.suffix == ".json" else read_yaml(text, name)


def _json(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        what = error.msg[0].lower() + error.msg[1:]
        msg = f"{name}:{error.lineno}: not JSON: {what} (column {error.colno})"
        raise ConfigError(msg) from error
    except (RecursionError, ValueError) as error:
        msg = f"{name}: cannot be read: too deep, or with a number of thousands of digits"
        raise ConfigError(msg) from error

"""Write the reference pages from the code: `python docs/generate.py [--check]`.

In: the settings, the metrics, the tables, the commands and the extensions as the code
declares them. Out: one page each in `docs/reference/`. With `--check` nothing is written
and the exit code is 1 where a committed page differs.
"""  # noqa: INP001 - a folder of pages with one script, no package

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command

from evalspan.__main__ import EXIT_CODES, app
from evalspan.metrics import DECLARED, Declared
from evalspan.model import TABLES, Table
from evalspan.pipeline import Settings, plugins

FOLDER: Final = Path(__file__).with_name("reference")
NOTICE: Final = "<!-- Written by `python docs/generate.py`; change the code, not this page. -->"
SUFFIXES: Final = {"counter": "_total", "histogram": "", "gauge": "", "info": ""}
BOUNDS: Final[Mapping[type, str]] = {
    annotated_types.Ge: "≥ {ge}",
    annotated_types.Gt: "> {gt}",
    annotated_types.Le: "≤ {le}",
    annotated_types.Lt: "< {lt}",
}

WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    timedelta: "duration",
    Path: "path",
    Any: "anything",
    type(None): "null",
}


def pages() -> dict[str, str]:
    """Return file name → text of every reference page."""
    made = {
        "commands.md": ("Commands", commands()),
        "settings.md": ("Settings", settings()),
        "plugins.md": ("Checks, dialects, mutators, targets, renderers", extensions()),
        "metrics.md": ("Metrics", metrics()),
        "tables.md": ("Tables", tables()),
    }
    return {
        name: "\n\n".join([f"# {title}", NOTICE, *parts]) + "\n"
        for name, (title, parts) in made.items()
    }


# Markdown


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    """Return the text as one cell: no line ends, no bare pipe."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Return the text as code, nothing for an empty one."""
    return f"`{text}`" if text else ""


def literal_names(text: str) -> str:
    """Return the text with names that Markdown would take for emphasis as code."""
    return re.sub(r"(?<![`\w])__\w+__(?![`\w])", r"`\g<0>`", text)


# Commands


def commands() -> Iterator[str]:
    """Yield a section per command: text, arguments, options, example."""
    yield EXIT_CODES.strip().replace("\n", " ")
    for path, command in walk_commands():
        yield f"## evalspan {' '.join(path)}"
        yield command.help
        rows = [[*names_of(p), p.help or ""] for p in command.params if p.name != "help"]
        if rows:
            yield table(("argument or option", "default", "meaning"), rows)
        if command.epilog:
            yield re.sub(r"\[/?bold\]", "`", command.epilog)


def walk_commands() -> Iterator[tuple[list[str], Any]]:
    """Yield path and command of everything that can be typed."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None or command.invoke_without_command:
            yield [name], command
        if below is not None:
            yield from (([name, inner], each) for inner, each in below.items())


def names_of(parameter: Any) -> tuple[str, str]:  # noqa: ANN401 - a parameter of typer
    """Return how a parameter is written, and its default."""
    if parameter.param_type_name == "argument":
        name = parameter.name.upper()
        return code(name if parameter.required else f"[{name}]"), ""
    spelled = ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = "" if parameter.default in (None, False) else str(parameter.default)
    if parameter.default is True:
        default = parameter.opts[0]
    return code(spelled), code("required" if parameter.required else default)


# Settings


def settings() -> Iterator[str]:
    """Yield a table per key of the config."""
    yield (
        "What can stand in the config file. Every key has a default; an empty file is a valid "
        "config. `evalspan config check FILE` checks a file, `evalspan config schema` prints "
        "the JSON Schema for an editor. A duration is written `250ms`, `10s`, `5m`, `1h30m` "
        "or `14d`. `NAME` stands for a name that you choose."
    )
    own = [(n, f) for n, f in Settings.model_fields.items() if not list(models(f.annotation))]
    yield table(("key", "type", "default", "meaning"), [row(n, f) for n, f in own])
    for name, field in Settings.model_fields.items():
        found = list(models(field.annotation))
        if found:
            yield f"## {name}"
            yield literal_names(field.description or "")
            yield from sections(name + joint(field.annotation), found[0])


def sections(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield the table of a model's keys, then those of the models inside it."""
    fields = model.model_fields
    rows = [row(f"{prefix}.{name}", field) for name, field in fields.items()]
    yield table(("key", "type", "default", "meaning"), rows)
    for name, field in fields.items():
        for inner in models(field.annotation):
            key = f"{prefix}.{name}{joint(field.annotation)}"
            yield f"### {key}"
            yield inner.__doc__ or ""
            yield from sections(key, inner)


def row(key: str, field: FieldInfo) -> list[str]:
    """Return one line of the table of settings."""
    kind = words_of(field.annotation)
    bounds = [
        form.format(**vars_of(each))
        for each in field.metadata
        for sort, form in BOUNDS.items()
        if isinstance(each, sort)
    ]
    text = literal_names(field.description or "")
    return [code(key), ", ".join([kind, *bounds]), code(default_of(field)), text]


def vars_of(bound: Any) -> dict[str, Any]:  # noqa: ANN401 - one of annotated_types
    """Return what a bound says; durations as they are written."""
    value = next(getattr(bound, name) for name in ("ge", "gt", "le", "lt") if hasattr(bound, name))
    name = type(bound).__name__.lower()
    return {name: written(value) if isinstance(value, timedelta) else value}


def default_of(field: FieldInfo) -> str:
    """Return the default as it would be written in YAML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value is PydanticUndefined else written(value)


def written(value: Any) -> str:  # noqa: ANN401 - any value of a config
    """Return a value as it is written in YAML."""
    match value:
        case timedelta():
            return duration(value)
        case Path() | str():
            return str(value) or '""'
        case BaseModel():
            changed = {name: getattr(value, name) for name in value.model_fields_set}
            inside = ", ".join(f"{name}: {written(v)}" for name, v in changed.items())
            return f"{{{inside}}}"
        case tuple() | list():
            return f"[{', '.join(map(written, value))}]"
        case _:
            return json.dumps(value)


def duration(value: timedelta) -> str:
    """Return a duration in the largest unit that leaves a whole number."""
    milliseconds = value // timedelta(milliseconds=1)
    units = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
    unit = next((u for u, size in units.items() if milliseconds and milliseconds % size == 0), "s")
    return f"{milliseconds // units[unit]}{unit}"


def models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - a typing form
    """Yield the models that a type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def joint(annotation: Any) -> str:  # noqa: ANN401 - a typing form
    """Return what stands between a key and the keys of the model inside it."""
    origin = get_origin(annotation)
    return ".NAME" if origin is dict else "[]" if origin in (tuple, list) else ""


def words_of(annotation: Any) -> str:  # noqa: ANN401 - a typing form
    """Return a type in words that a writer of YAML knows."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(code(str(each)) for each in inside)
    kinds = [words_of(each) for each in inside if each is not ...]
    if origin is Annotated:
        return kinds[0]
    if origin in (Union, UnionType):
        return " or ".join(kinds)
    many = {tuple: "list of {0}", list: "list of {0}", dict: "map of text to {1}"}
    return many[origin].format(*kinds) if origin else WORDS.get(annotation, "keys below")


# Extensions, metrics, tables


def extensions() -> Iterator[str]:
    """Yield a section per kind, an entry per extension: text and settings."""
    yield "Every extension that a config can name; `evalspan list` prints the same."
    for kind, entries in plugins().items():
        yield f"## {kind.capitalize()}s"
        for entry in entries:
            yield f"### {entry['name']}"
            yield literal_names(entry["text"])
            if entry["settings"]:
                yield "\n".join(f"- `{setting}`" for setting in entry["settings"])


def metrics() -> Iterator[str]:
    """Yield the table of metrics, and the buckets of the histograms."""
    yield (
        "What `/metrics` shows (OpenMetrics, with trace ids as exemplars; `metrics.listen` sets "
        "the address). Counters end in `_total`; a histogram has `_bucket`, `_sum` and `_count`. "
        "Labels beside those in the table are the dimensions of the config."
    )
    rows = [[code(shown_name(m)), m.kind, m.help, labels_of(m)] for m in DECLARED]
    yield table(("metric", "kind", "meaning", "labels"), rows)
    yield "## Buckets"
    rows = [[code(m.name), ", ".join(map(bound, m.buckets))] for m in DECLARED if m.buckets]
    yield table(("histogram", "upper bounds"), rows)


def bound(value: float) -> str:
    """Return an upper bound as a person writes it."""
    return f"{value:.0f}" if value.is_integer() else f"{value:g}"


def shown_name(metric: Declared) -> str:
    """Return the name as Prometheus shows it."""
    return metric.name + SUFFIXES[metric.kind]


def labels_of(metric: Declared) -> str:
    """Return the labels; what is no name of a label stays plain text."""
    return ", ".join(n if " " in n else code(n) for n in metric.labels)


def tables() -> Iterator[str]:
    """Yield a section per table: key, columns, OpenTelemetry names."""
    yield (
        "The Delta tables below `tables/` of the data folder. Files are partitioned by the UTC "
        "day of one column. Ids are lower-case hex text, times are UTC microseconds, durations "
        "say their unit. Null means not known, or no verdict. Columns are added, never renamed "
        "or removed."
    )
    for each in TABLES:
        yield f"## {each.name}"
        key = ", ".join(code(name) for name in each.key)
        yield f"{each.description} Key: {key}. Day of: {code(each.time)}."
        yield columns_of(each)


def columns_of(each: Table) -> str:
    """Return the table of a table's columns."""
    rows = []
    for field in each.schema:
        about = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        semconv = code(about.get("semconv", ""))
        text = literal_names(about["description"])
        rows.append([code(field.name), kind_of(field.type), text, semconv])
    return table(("column", "type", "meaning", "OpenTelemetry"), rows)


def kind_of(kind: pa.DataType) -> str:
    """Return an Arrow type in words."""
    if pa.types.is_timestamp(kind):
        return "time"
    if pa.types.is_list(kind):
        return f"list of {kind_of(kind.value_type)}"
    if pa.types.is_map(kind):
        return f"map of {kind_of(kind.key_type)} to {kind_of(kind.item_type)}"
    if pa.types.is_struct(kind):
        return f"struct ({', '.join(f.name for f in kind)})"
    return {"string": "text", "double": "number", "bool": "true or false"}.get(str(kind), str(kind))


def differing() -> Iterator[Path]:
    """Yield the pages that are not as the code says, those included that it does not know."""
    made: Mapping[str, str] = pages()
    for name, text in made.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            yield path
    yield from (path for path in sorted(FOLDER.glob("*")) if path.name not in made)


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` say which differ."""
    stale = list(differing())
    say: Callable[[str], object] = sys.stdout.write
    if "--check" in arguments:
        for path in stale:
            say(f"{path.name} is not as the code says; run python docs/generate.py\n")
        return 1 if stale else 0
    made = pages()
    FOLDER.mkdir(exist_ok=True)
    for path in stale:
        if path.name in made:
            path.write_text(made[path.name], encoding="utf-8")
        else:
            path.unlink()
        say(f"{path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

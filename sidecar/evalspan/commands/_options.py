"""Options and output that the commands share."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalspan.config import ConfigError, parse_duration

STDOUT = "-"
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="EVALSPAN_CONFIG",
        help="Config file; without it ./evalspan.yaml, and without that the defaults.",
        show_default=False,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", "-d", help="Data folder, instead of the one of the config."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
ViewOption = Annotated[str, typer.Option("--view", help="View to read through.")]


class _Console(Console):
    """A console that never hands on what a terminal would obey: traces write into our texts."""

    def print(self, *objects: Any, **more: Any) -> None:  # noqa: ANN401 - as rich has it
        """Print; control characters of plain texts are replaced."""
        super().print(*(_harmless(o) if isinstance(o, str) else o for o in objects), **more)

    def on_broken_pipe(self) -> None:
        """Go on in silence where the reader has gone: the exit code is still an answer."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


# Wide when a file or a pipe reads it: a cut table is no table.
console = _Console(width=None if os.isatty(1) else 160, highlight=False)
errors = _Console(stderr=True, highlight=False)


def settings_of(config: Path | None, data: Path | None = None) -> Any:  # noqa: ANN401 - loaded late
    """Return the settings of the config file that the options name."""
    from evalspan.pipeline import load_settings  # noqa: PLC0415 - start fast for --help

    settings = load_settings(config, data=data)
    if settings.data.exists() and not settings.data.is_dir():
        where = "data" if data is None else "--data"
        message = f"{where}: {settings.data} is a file; expected a folder, which may be new"
        raise ConfigError(message)
    return settings


def settings_to_read(config: Path | None, data: Path | None = None) -> Any:  # noqa: ANN401 - loaded late
    """Return the settings for a command that only reads; say so where nothing is stored yet.

    An empty answer of a mistyped folder looks like that of a good one.
    """
    settings = settings_of(config, data)
    if not settings.data.exists():
        errors.print(no_folder(settings), markup=False, soft_wrap=True)
    return settings


def no_folder(settings: Any) -> str:  # noqa: ANN401 - loaded late
    """Return that the data folder is not there, in a line."""
    return (
        f"nothing is stored in {settings.data}: there is no such folder (yet); --data or "
        "--config names another"
    )


def slice_words(names: str, everything: str = "all traffic") -> str:
    """Return a slice, which is stored as JSON, in words."""
    parts = (f"{name}={value}" for name, value in json.loads(names).items())
    return " and ".join(parts) or everything


def tell_nothing(
    settings: Any,  # noqa: ANN401 - loaded late
    view: str,
    since: str,
    check: str | None = None,
    *,
    what: str = "scores",
) -> None:
    """Say that there is no score to look at, and what to do."""
    if not settings.data.exists():
        return  # `settings_to_read` has said so
    sought = f"no {what}" + (f" of the check {check!r}" if check else "")
    seen = f" that the view {view!r} lets through" if view in settings.views else ""
    todo = (
        "`evalspan ledger` shows what came in and what became of it; `evalspan serve` takes in "
        "what the Collector sends, `evalspan ingest` recorded files"
    )
    if not settings.checks and not settings.checklists:
        todo = "no checks are configured, so nothing is scored: name some under `checks:`"
    told = f"{sought}{seen} {since_when(since)} are stored in {settings.data}: {todo}"
    errors.print(told, markup=False, soft_wrap=True)


def since_when(since: str) -> str:
    """`30d` → `in the last 30d`, `2026-12-01` → `since 2026-12-01`."""
    try:
        parse_duration(since)
    except ValueError:
        return f"since {since}"
    return f"in the last {since}"


def writable(file: Path | str | None) -> Path | str | None:
    """Refuse a file that cannot be written, before any work; a `callback` of an option."""
    if file is None or str(file) == STDOUT:
        return file
    path = Path(file)
    if path.is_dir():
        message = f"{path} is a folder; expected a file to write"
    elif not path.parent.is_dir():
        message = f"{path}: there is no folder {path.parent}; make it, or name another file"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        message = f"{path} may not be written by this user; name another file"
    else:
        return file
    raise ConfigError(message)


def print_json(value: object) -> None:
    """Print one JSON document; what a terminal would act on is escaped."""
    text = json.dumps(value, default=_plain, indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text))


def _escaped(character: str) -> str:
    """Return a character as JSON writes it in ASCII, two escapes beyond U+FFFF."""
    return json.dumps(character)[1:-1]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers stand right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(r[index], int | float | None) for r in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # No markup: a value that a user of the app chose must not be read as some.
        table.add_row(*(Text(_text(value)) for value in row))
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def _harmless(text: str) -> str:
    """Replace control characters; line breaks and tabs stay."""
    kept = (c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "".join(kept)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)

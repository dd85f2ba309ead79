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

# Wide when a file or a pipe reads it: a cut table is no table.
console = Console(width=None if os.isatty(1) else 160, highlight=False)
errors = Console(stderr=True, highlight=False)


def settings_of(config: Path | None, data: Path | None = None) -> Any:  # noqa: ANN401 - loaded late
    """Return the settings of the config file that the options name."""
    from evalspan.pipeline import load_settings  # noqa: PLC0415 - start fast for --help

    return load_settings(config, data=data)


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers stand right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(r[index], int | float | None) for r in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row))
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return text.replace("[", "\\[")


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)

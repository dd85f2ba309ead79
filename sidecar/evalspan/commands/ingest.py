"""evalspan ingest."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    console,
    errors,
    print_json,
    settings_of,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: [bold]evalspan ingest traces.jsonl[/bold]")(ingest)


def ingest(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="OTLP/JSON lines as the Collector's file exporter writes them, or files that "
            "each hold one binary request.",
            exists=True,
            dir_okay=False,
        ),
    ],
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take recorded OTLP files in: store them, score them, then stop.

    Exit code 1 if a request could not be read; the others are taken in.
    """
    settings = settings_of(config, data)
    from evalspan.pipeline import ingest_files, read_ledger  # noqa: PLC0415 - start fast

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal
    ) as progress:
        task = progress.add_task("reading", total=None)

        def tell(text: str, share: float) -> None:
            progress.update(task, description=text, completed=share, total=1)

        done = ingest_files(settings, files, tell)
    if as_json:
        print_json(done)
    else:
        console.print(
            f"{done['requests']} requests, {done['spans']} spans, {done['log_records']} log "
            f"records in; {done['scores']} verdicts out. Data: {settings.data}",
            markup=False,
            soft_wrap=True,
        )
        waiting = sum(line.pending for line in read_ledger(settings).checks)
        if waiting:
            console.print(f"judges have still to answer: {waiting} (evalspan serve asks them)")
        for line in done["refused"]:
            errors.print(line, markup=False, soft_wrap=True)
    if done["refused"]:
        raise typer.Exit(1)

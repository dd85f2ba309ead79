"""evalspan ingest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

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
    from evalspan.pipeline import ingest_files, read_ledger, told_errors  # noqa: PLC0415 - start fast

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
        console.print(f"{_told(done)}. Data: {settings.data}", markup=False, soft_wrap=True)
        for found in done["errors"]:
            line = f"{found['check']}: {told_errors(found)}"
            console.print(line, markup=False, soft_wrap=True)
        waiting = sum(line.pending for line in read_ledger(settings).checks)
        if waiting:
            console.print(f"judges have still to answer: {waiting} (evalspan serve asks them)")
        for line in done["refused"]:
            errors.print(line, markup=False, soft_wrap=True)
    if done["refused"]:
        raise typer.Exit(1)


def _told(done: Mapping[str, Any]) -> str:
    """`1 request, 816 spans, 0 log records in; 2448 verdicts out`, or that all of it is known."""
    requests = _count(done["requests"], "request")
    new = {name: (done[f"{name}s"], done[f"duplicate_{name}s"]) for name in ("span", "log_record")}
    known = [_count(again, name) for name, (_, again) in new.items() if again]
    if known and not any(fresh for fresh, _ in new.values()):
        return f"{requests}, {', '.join(known)}, all stored before (duplicates)"
    came = [
        _count(fresh, name) + (f" (and {again} stored before)" if again else "")
        for name, (fresh, again) in new.items()
    ]
    made = [_count(done["verdicts"], "verdict")]
    if done["values"]:
        made.append(f"{_count(done['values'], 'value')} without a verdict")
    if broken := sum(found["errors"] for found in done["errors"]):
        made.append(_count(broken, "error"))
    return f"{requests}, {', '.join(came)} in; {', '.join(made)} out"


def _count(number: int, name: str) -> str:
    return f"{number} {name.replace('_', ' ')}{'s' * (number != 1)}"

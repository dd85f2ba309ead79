"""evalspan wal inspect, evalspan wal repair."""

import typer

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    console,
    print_json,
    print_table,
    settings_to_read,
)

app = typer.Typer(name="wal", help="Look into the write-ahead log.", no_args_is_help=True)


@app.command(epilog="Example: [bold]evalspan wal inspect --data evalspan-data[/bold]")
def inspect(
    config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """List the segments of the log with what they hold.

    Exit code 1 if one is damaged.
    """
    from evalspan.pipeline import inspect_log  # noqa: PLC0415 - start fast for --help

    rows = inspect_log(settings_to_read(config, data))
    if as_json:
        print_json(rows)
    else:
        columns = list(rows[0]) if rows else ["segment"]
        print_table("Segments", columns, [[row[c] for c in columns] for row in rows])
    raise typer.Exit(1 if any(row["error"] for row in rows) else 0)


@app.command(epilog="Example: [bold]evalspan wal repair --data evalspan-data[/bold]")
def repair(config: ConfigOption = None, data: DataOption = None) -> None:
    """Move the damaged bytes of the log aside and keep every good record."""
    from evalspan.pipeline import repair_log  # noqa: PLC0415 - start fast for --help

    repairs = repair_log(settings_to_read(config, data))
    for line in repairs:
        console.print(
            f"segment {line.segment}: {line.records_kept} records kept, {line.bytes_bad} bytes "
            f"moved to {line.corrupt}: {line.reason}",
            markup=False,
            soft_wrap=True,
        )
    if not repairs:
        console.print("nothing to repair")

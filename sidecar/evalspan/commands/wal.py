"""evalspan wal inspect, evalspan wal repair."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Final

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

# So many empty segments in a row are listed one by one.
_FEW: Final = 3

app = typer.Typer(name="wal", help="Look into the write-ahead log.", no_args_is_help=True)


@app.command(epilog="Example: [bold]evalspan wal inspect --data evalspan-data[/bold]")
def inspect(
    config: ConfigOption = None,
    data: DataOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="List every empty segment, as --json does.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the segments of the log with what they hold.

    Empty ones say that time has passed; several in a row are one line. Exit code 1 if
    one is damaged.
    """
    from evalspan.pipeline import inspect_log  # noqa: PLC0415 - start fast for --help

    settings = settings_to_read(config, data)
    rows = inspect_log(settings)
    if as_json:
        print_json(rows)
    elif not rows and settings.data.exists():
        told = f"the log in {settings.log_folder} is empty: nothing was received yet"
        console.print(told, markup=False, soft_wrap=True)
    elif rows:
        shown = rows if every else list(_folded(rows))
        columns = list(rows[0])
        print_table("Segments", columns, [[row[c] for c in columns] for row in shown])
    raise typer.Exit(1 if any(row["error"] for row in rows) else 0)


def _folded(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one row for some empty segments in a row, and the others as they are."""
    for empty, run in groupby(rows, _is_empty):
        group = list(run)
        if not empty or len(group) < _FEW:
            yield from group
            continue
        first, last = group[0], group[-1]
        yield first | {
            "segment": f"{first['segment']} … {last['segment']}",
            "state": f"{len(group)} empty",
            "size_bytes": sum(row["size_bytes"] for row in group),
            "closed": last["closed"],
        }


def _is_empty(row: dict[str, Any]) -> bool:
    closed = row["state"] == "closed" and row["error"] is None
    return closed and not any(row[name] for name in ("traces", "logs", "undecodable"))


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

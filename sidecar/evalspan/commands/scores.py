"""evalspan scores."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    ViewOption,
    console,
    errors,
    print_json,
    print_table,
    settings_to_read,
    since_when,
    tell_nothing,
)

_LEGEND = (
    "n: verdicts. pass_rate: share of them that passed; low to high: where the true share "
    "probably lies (95 %). errors: evaluations that broke; they are in no rate."
)
_LEGEND_OF_VALUES = " values: numbers that the check measured; mean_value: in its own unit."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: [bold]evalspan scores --by customer --since 7d[/bold]")(scores)


def scores(
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    check: Annotated[str | None, typer.Option(help="One check only.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Split by this dimension; may be given twice."),
    ] = None,
    since: Annotated[str, typer.Option(help="How far back, such as 1h or 7d.")] = "30d",
    as_json: JsonOption = False,
) -> None:
    """Show pass rates and mean values of every check, with sample sizes and intervals.

    Below them what breaks: the errors of each check, and the commonest of them.

    Exit code 1 if there is no score to show.
    """
    split = list(dict.fromkeys(by or []))
    settings = settings_to_read(config, data)
    from evalspan.pipeline import errors_of, key_is_missed, pass_rates, told_errors  # noqa: PLC0415 - start fast

    if warning := key_is_missed(settings):
        errors.print(warning, markup=False, soft_wrap=True)
    rows = pass_rates(settings, view, since=since, check=check, by=split)
    if as_json:
        print_json(rows)
    elif rows:
        _print(view, since, split, rows)
        for found in errors_of(rows):
            told = f"{found['check']}: {told_errors(found)}"
            console.print(told, markup=False, soft_wrap=True)
    if not rows:
        tell_nothing(settings, view, since, check)
        raise typer.Exit(1)


def _print(view: str, since: str, by: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    measured = ("values", "mean_value") if any(row["values"] for row in rows) else ()
    columns = ("check", "item", *by, "n", "pass_rate", "low", "high", *measured, "errors")
    shown = [[_percent(c, row[c]) for c in columns] for row in rows]
    print_table(f"Scores in view {view} {since_when(since)}", columns, shown)
    legend = _LEGEND + (_LEGEND_OF_VALUES if measured else "")
    console.print(legend, markup=False, style="dim", soft_wrap=True)


def _percent(column: str, value: object) -> object:
    if column in {"pass_rate", "low", "high"} and isinstance(value, float):
        return f"{100 * value:.1f} %"
    return value

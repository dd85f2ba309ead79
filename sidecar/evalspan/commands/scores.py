"""evalspan scores."""

from typing import Annotated

import typer

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    ViewOption,
    errors,
    print_json,
    print_table,
    settings_to_read,
)


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
    """Show pass rates and mean values of every check, with sample sizes and intervals."""
    settings = settings_to_read(config, data)
    from evalspan.pipeline import missing_key, pass_rates  # noqa: PLC0415 - start fast

    if warning := missing_key(settings):
        errors.print(warning, markup=False, soft_wrap=True)
    rows = pass_rates(settings, view, since=since, check=check, by=by or [])
    if as_json:
        print_json(rows)
        return
    columns = (
        "check",
        "item",
        *(by or []),
        "n",
        "pass_rate",
        "low",
        "high",
        "mean_value",
        "errors",
    )
    shown = [[_percent(c, row[c]) for c in columns] for row in rows]
    print_table(f"Scores in view {view}, last {since}", columns, shown)


def _percent(column: str, value: object) -> object:
    if column in {"pass_rate", "low", "high"} and isinstance(value, float):
        return f"{value:.1%}"
    return value

"""evalspan explain, optimize, report: the read side by hand."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

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
    slice_words,
    writable,
)

Answer = TypeVar("Answer")
IdArgument = Annotated[
    str | None,
    typer.Argument(
        help="Id of a regression, or its start; without it the open one with the most evidence.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: [bold]evalspan explain 3f2a[/bold]")(explain)
    app.command(epilog="Example: [bold]evalspan optimize 3f2a[/bold]")(optimize)
    app.command(epilog="Example: [bold]evalspan report --format markdown > report.md[/bold]")(
        report
    )


def explain(
    regression: IdArgument = None,
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """Say why a score fell: slices, mix, what changed in the prompt, example traces.

    Exit code 1 if no regression is open.
    """
    settings = settings_to_read(config, data)
    from evalspan.pipeline import find_causes  # noqa: PLC0415 - start fast for --help

    row, findings = _or_say(lambda: find_causes(settings, view, regression))
    if as_json:
        print_json({"regression": row, "findings": findings})
        return
    console.print(f"{_head(row)}: {row['reason']}", markup=False, soft_wrap=True)
    _print_failures(row.get("failures"))
    columns = ("rank", "kind", "cause", "share", "before", "after", "points [95 %]", "n")
    table = [
        (
            f["rank"],
            f["kind"],
            f["title"],
            None if f["share"] is None else f"{100 * f['share']:.0f} %",
            _rate(f["baseline_score"]),
            _rate(f["candidate_score"]),
            _change(f),
            f["candidate_n"],
        )
        for f in findings
    ]
    print_table("Causes", columns, table)
    console.print(_LEGEND, markup=False, style="dim", soft_wrap=True)
    for finding in findings:
        if finding["exemplars"]:
            traces = ", ".join(finding["exemplars"][:3])
            console.print(f"{finding['rank']}. traces: {traces}", markup=False, soft_wrap=True)
    for finding in findings:
        if finding["prompt_diff"]:
            console.print(finding["prompt_diff"], markup=False, soft_wrap=True)
    if others := row.get("also_open"):
        names = "; ".join(f"{o['id'][:8]} {_place(o)}" for o in others)
        console.print(f"{len(others)} more open: {names}", markup=False, soft_wrap=True)


def optimize(
    regression: IdArgument = None,
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """Look for a prompt that mends a regression and prove it on cases of production.

    Exit code 1 if no proposal was proven.
    """
    settings = settings_to_read(config, data)
    from evalspan.pipeline import improve  # noqa: PLC0415 - start fast for --help

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal
    ) as progress:
        task = progress.add_task("taking cases", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        outcome, text = _or_say(lambda: improve(settings, view, regression, tell))
    if as_json:
        print_json(outcome)
    else:
        typer.echo(text)
    raise typer.Exit(0 if outcome["accepted"] else 1)


def report(
    regression: IdArgument = None,
    config: ConfigOption = None,
    data: DataOption = None,
    form: Annotated[
        str,
        typer.Option("--format", help="terminal, html, markdown, json, or module:function."),
    ] = "terminal",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.", callback=writable)
    ] = None,
) -> None:
    """Show a report: what fell, since when, what fails, why, and what was tried against it.

    Exit code 1 if there is no report yet.
    """
    settings = settings_to_read(config, data)
    from evalspan.pipeline import show_report  # noqa: PLC0415 - start fast for --help

    text: str | bytes = _or_say(lambda: show_report(settings, regression, form))
    content = text if isinstance(text, bytes) else text.encode()
    if output is not None:
        output.write_bytes(content)
        return
    typer.echo(content, nl=not content.endswith(b"\n"))


def _head(row: Mapping[str, Any]) -> str:
    """Return what it is, when it began and of when the figures are."""
    since = row["state_time"] or row["detected_time"]
    changed = f", changed at about {_minute(row['change_time'])}" if row["change_time"] else ""
    return (
        f"{_place(row)} ({row['id'][:8]}), {row['state']} since {_minute(since)}{changed}; figures "
        f"of {_minute(row['detected_time'])}"
    )


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['check']}, {slice_words(row['slice'])}"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _print_failures(failures: Mapping[str, Any] | None) -> None:
    if failures is None:
        return
    columns = ("what fails", "failures", "before", "example trace")
    table = [
        (
            reason["words"],
            f"{reason['count']} of {failures['count']}",
            f"{reason['count_before']} of {failures['count_before']}",
            next((each["trace_id"] for each in reason["exemplars"]), ""),
        )
        for reason in failures["reasons"]
    ]
    print_table("Failures", columns, table)


def _or_say(ask: Callable[[], Answer]) -> Answer:
    """Return what is asked for; where there is nothing yet, say what to do and exit with 1."""
    from evalspan.pipeline import NothingYetError  # noqa: PLC0415 - start fast for --help

    try:
        return ask()
    except NothingYetError as nothing:
        errors.print(str(nothing), markup=False, soft_wrap=True)
        raise typer.Exit(1) from nothing


_LEGEND = (
    "The first sentence has the figures of its time; those of the tables are worked out now, over "
    "the verdicts that came since as well, and can differ. before, after: pass rates. points: "
    "after minus before within like traffic, in brackets the 95 % interval. share: how much of the "
    "drop it explains; shares overlap. n: verdicts after."
)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _change(finding: Mapping[str, Any]) -> str:
    """`−36.9 [−44.0, −29.8]`, percentage points."""
    if finding.get("effect") is None:
        return ""
    low, high = (f"{100 * finding[name]:+.1f}" for name in ("effect_low", "effect_high"))
    return f"{100 * finding['effect']:+.1f} [{low}, {high}]".replace("-", "\N{MINUS SIGN}")

"""evalspan detect, explain, optimize, report: the read side by hand."""

import json
from pathlib import Path
from typing import Annotated, Any

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
)

IdArgument = Annotated[
    str | None,
    typer.Argument(
        help="Id of a regression, or its start; without it the open one with the most evidence.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: [bold]evalspan detect --json[/bold]")(detect)
    app.command(epilog="Example: [bold]evalspan explain 3f2a[/bold]")(explain)
    app.command(epilog="Example: [bold]evalspan optimize 3f2a[/bold]")(optimize)
    app.command(epilog="Example: [bold]evalspan report --format markdown > report.md[/bold]")(
        report
    )


def detect(
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    write: Annotated[bool, typer.Option(help="Keep what changed in the tables.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Look at every check and slice for a change; show what is open.

    Exit code 1 if a regression is open.
    """
    settings = settings_to_read(config, data)
    from evalspan.pipeline import find_changes  # noqa: PLC0415 - start fast for --help

    rows, notes = find_changes(settings, view, write=write)
    if as_json:
        print_json({"changes": rows, "notes": notes})
    else:
        columns = ("id", "check", "direction", "state", "slice", "effect", "since", "evidence")
        table = [
            (
                row["id"][:8],
                row["check"],
                row["direction"],
                row["state"],
                _slice(row["slice"]),
                _points(row),
                row["change_time"],
                row["evidence_nats"],
            )
            for row in rows
        ]
        print_table(f"Changes in view {view}", columns, table)
        for row in rows:
            console.print(f"{row['id'][:8]}  {row['reason']}", markup=False, soft_wrap=True)
        for note in notes:
            console.print(note, markup=False, style="dim", soft_wrap=True)
    worse = any(r["state"] == "open" and r["direction"] == "regression" for r in rows)
    raise typer.Exit(1 if worse else 0)


def explain(
    regression: IdArgument = None,
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """Say why a score fell: slices, mix, what changed in the prompt, example traces."""
    settings = settings_to_read(config, data)
    from evalspan.pipeline import find_causes  # noqa: PLC0415 - start fast for --help

    row, findings = find_causes(settings, view, regression)
    if as_json:
        print_json({"regression": row, "findings": findings})
        return
    console.print(row["reason"], markup=False, soft_wrap=True)
    columns = ("rank", "kind", "cause", "share", "before", "after", "n")
    table = [
        (
            f["rank"],
            f["kind"],
            f["title"],
            None if f["share"] is None else f"{f['share']:.0%}",
            None if f["baseline_score"] is None else f"{f['baseline_score']:.1%}",
            None if f["candidate_score"] is None else f"{f['candidate_score']:.1%}",
            f["candidate_n"],
        )
        for f in findings
    ]
    print_table("Causes", columns, table)
    for finding in findings:
        if finding["exemplars"]:
            traces = ", ".join(finding["exemplars"][:3])
            console.print(f"{finding['rank']}. traces: {traces}", markup=False, soft_wrap=True)
    for finding in findings:
        if finding["prompt_diff"]:
            console.print(finding["prompt_diff"], markup=False, soft_wrap=True)


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

        outcome, text = improve(settings, view, regression, tell)
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
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
) -> None:
    """Show a report: what fell, since when, why, and what was tried against it."""
    settings = settings_to_read(config, data)
    from evalspan.pipeline import show_report  # noqa: PLC0415 - start fast for --help

    text: str | bytes = show_report(settings, regression, form)
    content = text if isinstance(text, bytes) else text.encode()
    if output is not None:
        output.write_bytes(content)
        return
    typer.echo(content, nl=not content.endswith(b"\n"))


def _slice(names: str) -> str:
    """Return a slice, which is stored as JSON, in words."""
    parts = (f"{name}={value}" for name, value in json.loads(names).items())
    return " and ".join(parts) or "all traffic"


def _points(row: dict[str, Any]) -> str:
    amount = row["mix_amount"] if row["direction"] == "mix_shift" else row["effect"]
    return "" if amount is None else f"{100 * amount:+.1f} points"

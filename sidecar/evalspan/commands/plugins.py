"""evalspan list."""

import typer

from evalspan.commands._options import JsonOption, console, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog="Example: [bold]evalspan list[/bold]")(list_plugins)


def list_plugins(as_json: JsonOption = False) -> None:
    """List every check, dialect, mutator, target and renderer with its settings."""
    from evalspan.pipeline import plugins  # noqa: PLC0415 - start fast for --help

    found = plugins()
    if as_json:
        print_json(found)
        return
    for kind, entries in found.items():
        console.print(f"\n[bold]{kind}[/bold]")
        for entry in entries:
            first = entry["text"].splitlines()[0] if entry["text"] else ""
            console.print(f"  [cyan]{entry['name']}[/cyan]  {first}", soft_wrap=True)
            for setting in entry["settings"]:
                console.print(f"      {setting}", markup=False, soft_wrap=True)

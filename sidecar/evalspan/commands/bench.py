"""evalspan bench."""

import typer

from evalspan.bench.__main__ import main


def register(app: typer.Typer) -> None:
    """Add the command."""
    epilog = "Example: [bold]evalspan bench bfcl_streams --data DIR --json[/bold]"
    app.command("bench", epilog=epilog)(main)

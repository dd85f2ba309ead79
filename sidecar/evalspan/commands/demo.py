"""evalspan demo."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: [bold]evalspan demo[/bold]")(demo)


def demo(
    folder: Annotated[
        Path,
        typer.Option(help="Where the demo keeps its data; emptied at the start."),
    ] = Path("evalspan-demo"),
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep serving metrics and reports at the end."),
    ] = False,
) -> None:
    """Show the whole way once: an app, a prompt change that breaks one customer, the proven mend.

    A real small app with the real SDKs and instrumentors runs against a stand-in
    model server. What it shows is that the loop works, not how good a model is.
    """
    from evalspan.demo.story import run  # noqa: PLC0415 - start fast for --help

    raise typer.Exit(run(folder, keep=keep))

"""evalspan config check, evalspan config schema."""

from pathlib import Path
from typing import Annotated

import typer

from evalspan.commands._options import console, print_json

app = typer.Typer(name="config", help="Check and describe the config.", no_args_is_help=True)


@app.command(epilog="Example: [bold]evalspan config check evalspan.yaml[/bold]")
def check(file: Annotated[Path, typer.Argument(help="Config file.")]) -> None:
    """Check a config file: keys, values, what they say of each other, conditions, checks, schemas.

    Every mistake names file, line, key, what was expected and the nearest valid word.
    A file of secrets or certificates that is not here is a warning: it may be where
    the sidecar runs. Exit code 2 if there is a mistake.
    """
    from evalspan.pipeline import check_config  # noqa: PLC0415 - start fast for --help

    for note in check_config(file):
        console.print(note, markup=False, soft_wrap=True)
    console.print(f"{file}: good", markup=False, soft_wrap=True)


@app.command(epilog="Example: [bold]evalspan config schema > evalspan.schema.json[/bold]")
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    from evalspan.pipeline import Settings  # noqa: PLC0415 - start fast for --help

    print_json(Settings.model_json_schema())

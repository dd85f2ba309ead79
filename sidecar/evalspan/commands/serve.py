"""evalspan serve."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from evalspan.commands._options import ConfigOption, DataOption, settings_of


class Part(StrEnum):
    """A process of the sidecar."""

    receive = "receive"
    pipeline = "pipeline"
    analyse = "analyse"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: [bold]evalspan serve --config evalspan.yaml[/bold]",
    )(serve)


def serve(
    config: ConfigOption = None,
    data: DataOption = None,
    only: Annotated[
        Part | None,
        typer.Option(help="Run one part only, for a process manager of your own."),
    ] = None,
) -> None:
    """Run the sidecar: take spans, keep them, score them, watch the scores.

    Takes OTLP over gRPC on 127.0.0.1:4317, shows metrics and reports on
    http://127.0.0.1:9464. Stop it with Ctrl-C: what was accepted is stored, at the latest by the
    next start.
    """
    settings = settings_of(config, data)
    from evalspan.pipeline import run_part, supervise  # noqa: PLC0415 - start fast for --help

    if only is None:
        raise typer.Exit(supervise(settings, config, data))
    raise typer.Exit(run_part(only.value, settings, parent=_parent()))


def _parent() -> int | None:
    text = os.environ.get("EVALSPAN_PARENT", "")
    return int(text) if text.isdecimal() else None

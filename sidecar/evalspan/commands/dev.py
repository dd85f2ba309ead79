"""evalspan dev model-server."""

from pathlib import Path
from typing import Annotated

import typer

from evalspan.config import ConfigError, load

app = typer.Typer(name="dev", help="Things for trying and testing.", no_args_is_help=True)


@app.command(
    "model-server",
    epilog="Example: [bold]evalspan dev model-server --port 8081[/bold]",
)
def model_server(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8081,
    scenario: Annotated[Path | None, typer.Option(help="Scenario file (YAML).")] = None,
) -> None:
    """Run the stand-in model server: Anthropic Messages, OpenAI Chat Completions and Responses.

    Its answers follow a written scenario, not a model. It shows that a loop works,
    not how good a model is.
    """
    from evalspan.testing import Scenario, serve_model_server  # noqa: PLC0415 - start fast

    if scenario is not None:
        load(scenario, Scenario)  # mistakes are told with their lines
    try:
        serve_model_server(host, port, scenario)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        message = f"cannot listen on {host}:{port}: {why}; choose another --host or --port"
        raise ConfigError(message) from error


@app.callback()
def _dev() -> None:
    pass

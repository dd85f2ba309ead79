"""evalspan grafana rules, evalspan grafana install."""

from pathlib import Path
from typing import Annotated, Any

import typer

from evalspan.commands._options import ConfigOption, console, settings_of, writable
from evalspan.config import ConfigError

app = typer.Typer(
    name="grafana", help="Rules for Prometheus, dashboards for Grafana.", no_args_is_help=True
)
NO_ADDRESS = "expected an address such as https://grafana.example: give --url, or grafana.url"
NO_TOKEN = "expected a file with a service account token: give --token-file, or grafana.token_file"  # noqa: S105 - words


@app.command(epilog="Example: [bold]evalspan grafana rules -o evalspan-rules.yaml[/bold]")
def rules(
    config: ConfigOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; without it to standard output.",
            callback=writable,
        ),
    ] = None,
) -> None:
    """Write the recording and alert rules that fit the config, for `rule_files` of Prometheus.

    The key `alerts` of the config says when people are told; limits of checks of latency and
    cost become burn rates; `report.public_url` and `grafana.url` become links in alerts.
    """
    settings = settings_of(config)
    from evalspan.grafana import rules as written  # noqa: PLC0415 - start fast for --help
    from evalspan.pipeline import watched  # noqa: PLC0415 - as above

    text = written(watched(settings))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@app.command(
    epilog="Example: [bold]evalspan grafana install --url https://grafana.example "
    "--token-file token --dry-run[/bold]"
)
def install(
    config: ConfigOption = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of Grafana; default is grafana.url.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="File with the token of a service account that may edit; default is "
            "grafana.token_file.",
        ),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="Address of Prometheus, as Grafana reaches it.")
    ] = None,
    loki: Annotated[
        str | None, typer.Option(help="Address of Loki, as Grafana reaches it.")
    ] = None,
    tempo: Annotated[
        str | None, typer.Option(help="Address of Tempo, as Grafana reaches it.")
    ] = None,
    with_rules: Annotated[
        bool,
        typer.Option(
            "--rules/--no-rules",
            help="Alert rules that Grafana evaluates; leave them out where Prometheus loads the "
            "file of `evalspan grafana rules`, or people are told twice.",
        ),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; show what would be changed.")
    ] = False,
) -> None:
    """Put dashboards, data sources and alert rules into a Grafana; a second run changes nothing.

    A data source is made for each address that is given; without one, those that Grafana has
    are used. Written for the HTTP API of Grafana 11 and tested against a stand-in of it only.
    """
    settings = settings_of(config)
    from evalspan import grafana  # noqa: PLC0415 - start fast for --help
    from evalspan.pipeline import watched  # noqa: PLC0415 - as above

    given = {"prometheus": prometheus, "loki": loki, "tempo": tempo}
    sources = {kind: address for kind, address in given.items() if address}
    wanted = grafana.Wanted(sources, watched(settings), with_rules)
    for change in grafana.install(_grafana(settings, url, token_file), wanted, dry_run=dry_run):
        would = "would be " if dry_run and change.action != "unchanged" else ""
        console.print(f"{change.what}: {would}{change.action}", markup=False, soft_wrap=True)
        if dry_run and change.diff:
            console.print(change.diff, markup=False, soft_wrap=True)


def _grafana(settings: Any, url: str | None, token_file: Path | None) -> Any:  # noqa: ANN401 - loaded late
    from evalspan.grafana import Grafana  # noqa: PLC0415 - start fast for --help

    address = url or settings.grafana.url
    if not address or not address.startswith(("http://", "https://")):
        raise typer.BadParameter(NO_ADDRESS)
    file = token_file or settings.grafana.token_file
    if file is None:
        raise typer.BadParameter(NO_TOKEN)
    return Grafana(address, _token(file))


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "this is no text in UTF-8"
        message = f"{file}: cannot be read: {why}; {NO_TOKEN}"
        raise ConfigError(message) from error
    if not token:
        message = f"{file}: is empty; {NO_TOKEN}"
        raise ConfigError(message)
    return token

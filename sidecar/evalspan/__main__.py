"""The command `evalspan`: one file per command in `evalspan.commands`."""

import sys
from typing import NoReturn

import typer

from evalspan import __version__
from evalspan.commands import (
    analysis,
    bench,
    config,
    demo,
    detect,
    dev,
    grafana,
    ingest,
    ledger,
    metrics,
    plugins,
    scores,
    serve,
    wal,
)
from evalspan.config import ConfigError
from evalspan.plugin import PluginError

EXIT_CODES = """
Exit codes: 0 done; 1 the answer is no (the ledger does not balance, a regression
is open, a proposal was rejected, there is nothing to show yet); 2 the command or the
config is wrong; 3 something broke while running.
"""

app = typer.Typer(
    name="evalspan",
    help="Quality monitor for LLM features in production.\n\n"
    "OpenTelemetry spans in; Parquet, Prometheus scores, regressions, causes and proven "
    "prompt changes out.\n\n" + EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(shown: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if shown:
        typer.echo(f"evalspan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_shown: bool = typer.Option(  # noqa: FBT001 - a flag
        False,  # noqa: FBT003 - its default
        "--version",
        callback=_version,
        is_eager=True,
        help="Print the version.",
    ),
) -> None:
    pass


for _module in (serve, ingest, scores, analysis, plugins, ledger, bench, demo):
    _module.register(app)
for _module in (detect, config, wal, metrics, grafana, dev):
    app.add_typer(_module.app)


def main() -> None:
    """Run the command line; mistakes of the user are one line, not a traceback."""
    try:
        app()
    except (ConfigError, PluginError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        _fail(str(error))
    except Exception as error:
        from evalspan.pipeline import FAILURES  # noqa: PLC0415 - start fast for --help

        if not isinstance(error, FAILURES):
            raise
        _fail(str(error))


def _fail(why: str) -> NoReturn:
    sys.stderr.write(f"evalspan: {why}\n")
    sys.exit(3)


if __name__ == "__main__":
    main()

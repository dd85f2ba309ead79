"""The command `evalspan`: one file per command in `evalspan.commands`."""

import sys
from typing import NoReturn

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

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
    trace,
    wal,
)
from evalspan.config import ConfigError, expected
from evalspan.plugin import PluginError

EXIT_CODES = """
Exit codes: 0 done; 1 the answer is no (the ledger does not balance, a regression
is open, a proposal was rejected, there is nothing to look at yet); 2 the command or the
config is wrong, or another process has the data; 3 something broke while running.
"""


class _Plain(TyperGroup):
    """The commands; an option that does not fit is told in the words of a config."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command that the line names."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                wrong = error.__cause__.errors()[0]
                told, found = expected(wrong), repr(wrong["input"])
                error.message = told if found in told else f"{told} (found {found})"
            raise


app = typer.Typer(
    name="evalspan",
    cls=_Plain,
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


for _module in (serve, ingest, scores, analysis, trace, plugins, ledger, bench, demo):
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
        known = error.filename is not None and error.strerror is not None
        _fail(f"{error.filename}: {error.strerror}" if known else str(error))
    except Exception as error:
        from evalspan.pipeline import FAILURES, AlreadyRunsError  # noqa: PLC0415 - start fast
        from evalspan.wal import LogLockedError  # noqa: PLC0415 - as above

        if not isinstance(error, FAILURES):
            raise
        in_use = isinstance(error, AlreadyRunsError | LogLockedError)
        _fail(str(error), 2 if in_use else 3)


def _fail(why: str, code: int = 3) -> NoReturn:
    sys.stderr.write(f"evalspan: {why}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()

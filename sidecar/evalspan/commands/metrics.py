"""evalspan metrics backfill."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from evalspan.commands._options import (
    STDOUT,
    ConfigOption,
    DataOption,
    ViewOption,
    errors,
    settings_to_read,
    writable,
)
from evalspan.config import ConfigError

app = typer.Typer(name="metrics", help="The past of the metrics.", no_args_is_help=True)


@app.command(epilog="Example: [bold]evalspan metrics backfill --since 30d -o history.txt[/bold]")
def backfill(  # noqa: PLR0913, PLR0917 - one argument an option
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    since: Annotated[
        str, typer.Option(help="Where it begins: a duration before now, or a time.")
    ] = "30d",
    until: Annotated[
        str | None,
        typer.Option(
            help="Where it ends, the same way. Without it: where the sidecar that runs on this "
            "data began to count, or now if none runs.",
        ),
    ] = None,
    step: Annotated[
        str,
        typer.Option(help="Time between samples, as the interval of a scrape; whole seconds."),
    ] = "1m",
    check: Annotated[str | None, typer.Option(help="One check or checklist only.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE to put on every series, such as job=evalspan and instance=HOST:9464, "
            "which Prometheus adds to what it scrapes; may be given several times.",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="File to write; - is the standard output.", callback=writable
        ),
    ] = STDOUT,
) -> None:
    """Write the verdicts and values of the past as OpenMetrics for Prometheus.

    The counter evalspan_verdicts and the histogram evalspan_check_value,
    named and labelled as on /metrics, from SCORES through a view, by the time
    of the span. Exit code 1 if there is nothing to write.

    Prometheus takes the file in with its storage folder as DATA:

        promtool tsdb create-blocks-from openmetrics history.txt DATA

    It deletes at once what is older than --storage.tsdb.retention.time (15
    days if not set), and advises against the last three hours while it runs.
    promtool reads the file once for each block: a long past is taken in far
    sooner with --max-block-duration=168h after create-blocks-from.

    A past has only what SCORES hold: a check that is new has verdicts from
    when it was added on, and on recordings that "evalspan ingest" took in
    since. There is no command yet that evaluates stored spans again.

    Nothing is counted twice if it ends where the live counters begin. What
    was evaluated after the end is left out, since they have it, and every
    series ends in a 0 just before, so that increase() sees a restart. If
    Prometheus has scraped an earlier run of this sidecar, give as --until the
    first time that it knows of it:

        min_over_time(timestamp(evalspan_build_info)[60d:1h])

    Do not take the same time in twice. Without --label job=... and
    instance=... the past is series of its own, which sum by (...) puts
    together with the live ones. What the page had put into __other__ may
    have a series of its own in the past, and the other way round.
    """
    settings = settings_to_read(config, data)
    from evalspan.pipeline import backfill as write  # noqa: PLC0415 - start fast for --help

    labels = dict(map(_label, label or []))
    if output == STDOUT and sys.stdout.isatty():
        message = (
            "--output: a past is long, and this is a terminal; name a file, such as -o history.txt"
        )
        raise ConfigError(message)
    with _progress() as tell, _opened(output) as out:
        done = write(
            settings,
            out,
            view=view,
            since=since,
            until=until,
            step=step,
            check=check,
            labels=labels,
            tell=tell,
        )
    _say(
        f"{done.verdicts} verdicts from {done.since:%Y-%m-%d %H:%M:%S} to "
        f"{done.until:%Y-%m-%d %H:%M:%S} UTC: {done.written.samples} samples of "
        f"{done.written.series} counters and histograms",
    )
    if done.live_since and done.until > done.live_since:
        _say(
            f"the sidecar that runs counts since {done.live_since:%Y-%m-%d %H:%M:%S} UTC: what it "
            "counted before the end is in both",
        )
    raise typer.Exit(0 if done.verdicts else 1)


def _say(text: str) -> None:
    errors.print(text, markup=False, soft_wrap=True)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not name.isascii():
        msg = f"--label: expected NAME=VALUE such as job=evalspan, not {text!r}"
        raise ConfigError(msg)
    return name, value


@contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    if output == STDOUT:
        yield sys.stdout
        return
    with Path(output).open("w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    columns: Sequence[TextColumn | BarColumn | TimeElapsedColumn] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal
    ) as progress:
        task = progress.add_task("reading", total=1)

        def tell(text: str, share: float) -> None:
            progress.update(task, description=text, completed=share)

        yield tell


@app.callback()
def _metrics() -> None:
    pass

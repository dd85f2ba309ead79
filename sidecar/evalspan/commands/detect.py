"""evalspan detect: look for changes; mute what is known; try the detector on one's own history."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    ViewOption,
    console,
    errors,
    print_json,
    print_table,
    settings_of,
    settings_to_read,
    slice_words,
    tell_nothing,
    writable,
)
from evalspan.config import ConfigError

app = typer.Typer(
    name="detect",
    invoke_without_command=True,
    epilog="Example: [bold]evalspan detect --json[/bold]",
)

HOURS_TOLD = 48

CheckOption = Annotated[str | None, typer.Option("--check", help="A check, or check/item.")]
SliceOption = Annotated[
    list[str] | None,
    typer.Option("--slice", help="dimension=value, as often as needed; without it every slice."),
]


@app.callback()
def detect(
    context: typer.Context,
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    write: Annotated[bool, typer.Option(help="Keep what changed in the tables.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Look at every check and slice for a change; show what is open.

    Exit code 1 if a regression is open, or if there is no score to look at.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_to_read(config, data)
    from evalspan.pipeline import find_changes  # noqa: PLC0415 - start fast for --help

    rows, notes = find_changes(settings, view, write=write)
    nothing = not rows and _has_no_verdicts(settings, view)
    if as_json:
        print_json({"changes": rows, "notes": notes})
    elif notes or not nothing:
        _print(view, rows, notes, nothing=nothing)
    if nothing and not notes:
        tell_nothing(settings, view, _history(settings))
    firing = ("open", "worsening")
    worse = any(r["state"] in firing and r["direction"] == "regression" for r in rows)
    raise typer.Exit(1 if worse or nothing else 0)


def _has_no_verdicts(settings: Any, view: str) -> bool:  # noqa: ANN401 - loaded late
    from evalspan.pipeline import pass_rates  # noqa: PLC0415 - start fast for --help

    rates = pass_rates(settings, view, since=_history(settings), check=None, by=[])
    return not any(row["n"] for row in rates)


def _history(settings: Any) -> str:  # noqa: ANN401 - loaded late
    """Return how far back is looked, as a duration of the config: `30d`."""
    hours = settings.analysis.history.total_seconds() / 3600
    return f"{hours / 24:.15g}d" if hours >= HOURS_TOLD else f"{hours:.15g}h"


_LEGEND = (
    "points: by how much the pass rate changed, in percentage points, compared within like "
    "traffic; in brackets where the true change probably lies (95 %). evidence: how much better "
    "a change explains the verdicts than none, as a natural logarithm (nats): 3 is 20 times, 7 "
    "about 1,000 times. since: when the score changed. The sentences have the figures of this "
    "look, over whole batches (detect.every); of what is over, those before it ended."
)


def _print(
    view: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str], *, nothing: bool
) -> None:
    if nothing:
        console.print(f"Nothing is compared in view {view}.", markup=False)
    elif not rows:
        console.print(f"No change is seen in view {view}.", markup=False)
    else:
        _print_changes(view, rows)
    for note in notes:
        console.print(note, markup=False, style="dim", soft_wrap=True)


def _print_changes(view: str, rows: Sequence[Mapping[str, Any]]) -> None:
    head = ("id", "check", "direction", "state", "slice")
    columns = (*head, "points [95 %]", "since (UTC)", "evidence (nats)")
    table = [
        (
            row["id"][:8],
            row["check"],
            row["direction"],
            row["state"],
            slice_words(row["slice"]),
            _points(row),
            row["change_time"],
            row["evidence_nats"],
        )
        for row in rows
    ]
    print_table(f"Changes in view {view}", columns, table)
    for row in rows:
        console.print(f"{row['id'][:8]}  {row['reason']}", markup=False, soft_wrap=True)
    console.print(_LEGEND, markup=False, style="dim", soft_wrap=True)


@app.command(
    epilog="Example: [bold]evalspan detect mute --check json_valid --slice customer=acme --reason "
    "'they test' --until 7d[/bold]"
)
def mute(  # noqa: PLR0913, PLR0917 - one argument an option
    regression: Annotated[
        str | None, typer.Argument(help="Id of what is to be muted, or its start.")
    ] = None,
    check: CheckOption = None,
    names: SliceOption = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever wonders later.")] = "",
    until: Annotated[
        str, typer.Option(help="A duration such as 7d, or a day such as 2026-12-01.")
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show what is muted.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """Stop telling of a regression, or of a check and a slice, until a time.

    What is muted is followed as before; the mute ends by itself.
    """
    settings = settings_of(config, data)
    from evalspan import pipeline  # noqa: PLC0415 - start fast for --help

    if listed:
        found = pipeline.mutes(settings)
    else:
        if not reason or not until:
            message = "a mute has an end and a reason: give --until and --reason"
            raise ConfigError(message)
        made = pipeline.mute(
            settings,
            view,
            regression=regression,
            check=check,
            names=_pairs(names),
            reason=reason,
            until=until,
        )
        found = [made]
    _print_mutes("Muted", found, as_json=as_json)
    for note in (note for each in found for note in each.get("notes", ())):
        errors.print(note, markup=False, soft_wrap=True)


@app.command(epilog="Example: [bold]evalspan detect unmute 3f2a[/bold]")
def unmute(
    start: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Id of a mute or of what is muted, or its start."),
    ] = None,
    check: CheckOption = None,
    names: SliceOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a mute before its time."""
    settings = settings_of(config, data)
    from evalspan import pipeline  # noqa: PLC0415 - start fast for --help

    ended = pipeline.unmute(settings, start=start, check=check, names=_pairs(names))
    _print_mutes("Not muted any more", ended, as_json=as_json)


def _pairs(texts: Sequence[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts or ()]
    for name, sign, value in pairs:
        if not (name and sign and value):
            message = f"--slice: expected dimension=value, not {name + sign + value!r}"
            raise ConfigError(message)
    return {name: value for name, _, value in pairs}


def _print_mutes(title: str, found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"mutes": list(found)})
        return
    columns = ("id", "what", "until (UTC)", "reason")
    table = [(m["id"], _what(m), m["until"], m["reason"]) for m in found]
    print_table(title, columns, table)


def _what(mute_row: Mapping[str, Any]) -> str:
    if mute_row["regression"]:
        return f"regression {mute_row['regression'][:8]}"
    return f"{mute_row['check']}, {slice_words(json.dumps(mute_row['slice']), 'every slice')}"


def _points(row: Mapping[str, Any]) -> str:
    """`−36.9 [−44.0, −29.8]`, percentage points."""
    name = "mix" if row["direction"] == "mix_shift" else "effect"
    amount = row["mix_amount"] if name == "mix" else row["effect"]
    if amount is None:
        return ""
    bounds = (f"{100 * row[f'{name}_{end}']:+.1f}" for end in ("low", "high"))
    text = f"{100 * amount:+.1f} [{', '.join(bounds)}]"
    return text.replace("-", "\N{MINUS SIGN}")


@app.command(
    epilog="Example: [bold]evalspan detect backtest --since 30d --plot backtest.html[/bold]"
)
def backtest(  # noqa: PLR0913, PLR0917 - one argument an option
    since: Annotated[str, typer.Option(help="How much of the history.")] = "30d",
    check: CheckOption = None,
    permutations: Annotated[
        int, typer.Option(help="Shuffled histories, each with every drop.", min=1)
    ] = 100,
    days: Annotated[
        bool,
        typer.Option(
            "--days",
            help="Shuffle whole days, where verdicts of a day hang together; without it verdicts, "
            "those of one cluster staying together.",
        ),
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            help="Plant drops in this slice too: dimension=value, as often as needed.",
        ),
    ] = None,
    largest: Annotated[
        bool,
        typer.Option(
            "--slices", help="Plant drops in the commonest value of each dimension too. Slow."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="File to draw into, .svg or .html.", callback=writable)
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    as_json: JsonOption = False,
) -> None:
    """Try the detector on the history: false alarms, and planted drops of 2, 5 and 10 points.

    Choose minimum_effect, error_budget and every on these figures. Nothing is kept.
    Exit code 1 if there is no verdict to try it on.
    """
    if plot is not None and plot.suffix not in (".svg", ".html"):
        message = f"--plot: expected a file that ends in .svg or .html, not {plot.name!r}"
        raise ConfigError(message)
    settings = settings_to_read(config, data)
    from evalspan import pipeline  # noqa: PLC0415 - start fast for --help

    together: Literal["days", "clusters"] = "days" if days else "clusters"
    asked = pipeline.Asked(
        since, check, permutations, together, seed, where=_pairs(names), largest=largest
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal
    ) as progress:
        task = progress.add_task("reading", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        found = pipeline.backtest(settings, view, asked, tell)
    if plot is not None:
        plot.write_text(pipeline.draw_backtest(found, plot.suffix), encoding="utf-8")
    if as_json:
        print_json({"checks": found})
    elif found:
        _print_backtest(found)
    if not found:
        tell_nothing(settings, view, since, what="verdicts")
        raise typer.Exit(1)


def _print_backtest(found: Sequence[Mapping[str, Any]]) -> None:
    names = ("verdicts", "days", "false alarms", "planted in", "drop", "found", "median delay")
    table: list[tuple[object, ...]] = []
    for row in found:
        head = (row["check"], f"{row['verdicts']:,}", f"{row['days']:.1f}")
        if not row["permutations"]:
            table.append((*head, "too little history", "", "", "", ""))
        for number, drop in enumerate(row["drops"]):
            first = (*head, _share_of(row["false_alarms"])) if not number else ("", "", "", "")
            points = f"{100 * drop['drop']:.0f} points"
            where = slice_words(json.dumps(drop["where"]))
            table.append((*first, where, points, found_told(row, drop), _delay(drop)))
    print_table("Backtest", ("check", *names), table)
    console.print(
        "False alarms: shuffled histories, in which nothing changes, with a regression. Found: "
        "planted drops that raised one; 95 % intervals.",
        markup=False,
        style="dim",
    )


def found_told(row: Mapping[str, Any], drop: Mapping[str, Any]) -> str:
    """Return how many planted drops were found, or why none could be."""
    if drop["below_minimum_effect"] and not drop["found"]["n"]:
        least = f"{100 * row['minimum_effect']:.4g} points"
        return f"below the minimum effect ({least}): never an alarm by your setting"
    return _share_of(drop["found"])


def _share_of(share: Mapping[str, Any]) -> str:
    """`3 of 100, 3.0 % [1.0, 8.5]`."""
    if not share["of"]:
        return "none"
    low, middle, high = (f"{100 * share[name]:.1f}" for name in ("low", "share", "high"))
    return f"{share['n']} of {share['of']}, {middle} % [{low}, {high}]"


def _delay(drop: Mapping[str, Any]) -> str:
    hours = drop["median_delay_hours"]
    return (
        "" if hours is None else f"{hours:.1f} h" if hours < HOURS_TOLD else f"{hours / 24:.1f} d"
    )

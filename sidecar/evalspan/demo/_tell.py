"""The words and tables of the demo."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]


class Teller:
    """Prints what the demo found, a part at a time."""

    def __init__(self, console: Console) -> None:
        """Print to this console; a file or a pipe gets whole lines."""
        self._console = console
        if not console.is_terminal:
            console.width = _PIPED_WIDTH

    def start(self, model_server: str) -> None:
        """Say what the story is."""
        self._say(
            "A small shop app extracts products from the web pages of eight customers and answers "
            "support questions. Its prompt changes from v1 to v2; that breaks one customer.",
            f"The model server at {model_server} is a stand-in that follows a written scenario: "
            "what this shows is that the loop works, not how good a model is.",
        )

    def listens(self, settings: Any) -> None:  # noqa: ANN401 - Settings
        """Say where the sidecar is."""
        self._say(
            f"spans go to {settings.receive.listen}, metrics are at "
            f"http://{settings.metrics.listen}/metrics",
        )

    def scores(self, rows: Sequence[Row]) -> None:
        """Show pass rates per check, the two versions side by side."""
        self._head("1. Scores", "pass rate of every check with prompt v1 and v2; [95 % interval]")
        pairs: dict[str, dict[str, Row]] = {}
        for row in rows:
            if row["pass_rate"] is not None and row["prompt_version"]:
                name = f"{row['check']} / {row['item']}" if row["item"] else row["check"]
                pairs.setdefault(name, {})[row["prompt_version"]] = row
        table = _table("check", "v1 [95 %]", "v2 [95 %]", "n v1 / v2")
        for check, versions in pairs.items():
            table.add_row(check, *(_rate(versions.get(v)) for v in ("v1", "v2")), _sizes(versions))
        self._console.print(table)

    def slices(self, rows: Sequence[Row]) -> None:
        """Show the pass rate of the schema check per customer."""
        pairs: dict[str, dict[str, Row]] = {}
        for row in rows:
            if row["pass_rate"] is not None:
                pairs.setdefault(row["customer"] or "", {})[row["prompt_version"]] = row
        table = _table("json_schema by customer", "v1 [95 %]", "v2 [95 %]", "n v1 / v2")
        for customer, versions in sorted(pairs.items()):
            before, after = (versions.get(v) for v in ("v1", "v2"))
            fell = before and after and after["pass_rate"] < before["pass_rate"] - 0.1
            style = "bold red" if fell else ""
            cells = (customer, _rate(before), _rate(after), _sizes(versions))
            table.add_row(*cells, style=style)
        self._console.print(table)

    def regression(self, row: Row) -> None:
        """Say what was detected."""
        self._head("2. The alarm", "raised by the evidence, not by a threshold")
        self._say(f"When it was raised: {row['reason']}")

    def causes(self, findings: Sequence[Row]) -> None:
        """Show the causes with example traces."""
        self._head(
            "3. The cause",
            "ranked, over all verdicts that have come by now; points are within like traffic",
        )
        for finding in findings[:4]:
            known = finding["share"] is not None
            share = f"; {100 * finding['share']:.0f} % of the drop" if known else ""
            self._say(f"{finding['rank']}. {finding['title']}{share}")
            if finding["exemplars"]:
                self._say("   traces: " + ", ".join(finding["exemplars"][:3]))
        diff = next((f["prompt_diff"] for f in findings if f["prompt_diff"]), None)
        if diff:
            self._diff(diff)

    def outcome(self, outcome: Row) -> None:
        """Show a proposal that the guard turned down, and the one that was proven."""
        self._head("4. The mend", "proposed, replayed, proven on cases that the search never saw")
        harmful = [r for r in outcome["rejected"] if _is_harmful(r)]
        for rejected in (harmful or outcome["rejected"])[:1]:
            number = len(outcome["rejected"])
            self._say(f"rejected ({rejected['mutator']}, one of {number}): {rejected['reason']}")
        accepted = outcome["accepted"]
        if accepted is None:
            self._say(f"nothing was proven: {outcome['summary']}")
            return
        self._say(f"{outcome['verdict']} ({accepted['mutator']}): {outcome['summary']}")
        for reservation in accepted["judgement"]["reservations"]:
            self._say(f"   reservation: {reservation}")
        self._diff(accepted["diff"])
        table = _table("on the holdout", "before", "after", "points [95 %]", "n", "")
        for row in accepted["judgement"]["checks"]:
            table.add_row(*_comparison(row))
        for row in accepted["judgement"]["resources"]:
            before, after = (f"{row[k]:.3g}" if row[k] is not None else "" for k in _BOTH)
            table.add_row(row["name"], before, after, "", str(row["n"]), "mean")
        self._console.print(table)
        self._say(
            f"{len(outcome['better'])} cases got better, {len(outcome['worse'])} worse",
            "Half of the cases are failing ones as far as there are enough: these rates are of the "
            "cases, not of production.",
        )

    def ledger(self, book: Any) -> None:  # noqa: ANN401 - Ledger
        """Say that everything is accounted for."""
        self._head("5. The ledger", "received = stored + duplicate + quarantined + pending")
        for line in book.lines:
            self._say(
                f"{line.subject}: {line.received} = {line.stored} + {line.duplicate} + "
                f"{line.quarantined} + {line.pending}",
            )
        expected = sum(line.expected for line in book.checks)
        done = sum(line.done for line in book.checks)
        skipped = sum(line.skipped for line in book.checks)
        errors = sum(line.error for line in book.checks)
        self._say(
            f"evaluations: {expected} = {done} done + {skipped} skipped (the check is not about "
            f"this span, or another span reports the same call) + {errors} errors",
        )

    def where(self, settings: Any, folder: Path, seconds: float) -> None:  # noqa: ANN401 - Settings
        """Say where to look further."""
        self._head("Where to look", f"the demo took {seconds:.0f} s")
        spans = settings.tables_folder / "spans"
        self._say(
            f"metrics   http://{settings.metrics.listen}/metrics (while it runs: evalspan demo "
            "--keep)",
            f"reports   http://{settings.metrics.listen}/reports/ and {settings.reports_folder}",
            f"again     evalspan report --data {settings.data} --format html > report.html",
            f"Parquet   {spans}",
        )
        snippet = f'import polars as pl\nprint(pl.read_delta("{spans}").group_by("role").len())'
        self._code(snippet, "python")
        self._say(f"config    {folder / 'evalspan.yaml'}")

    def keeping(self) -> None:
        """Say that it goes on."""
        self._say("The sidecar keeps running; Ctrl-C ends it.")

    def _head(self, title: str, text: str) -> None:
        self._console.print(f"\n[bold]{title}[/bold]  [dim]{text}[/dim]")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._console.print(escape(line), soft_wrap=True)

    def _diff(self, text: str) -> None:
        self._code(text, "diff")

    def _code(self, text: str, language: str) -> None:
        """Print code as a terminal shows it best; what is piped is not wrapped: it may be run."""
        if self._console.is_terminal:
            code = Syntax(text, language, background_color="default", word_wrap=True)
            self._console.print(code)
        else:
            self._console.print(Text(text), soft_wrap=True)


_BOTH = ("before", "after")
_PIPED_WIDTH = 160


def _is_harmful(rejected: Row) -> bool:
    """Whether the guard turned it down because something else got worse."""
    judgement = rejected["judgement"]
    rows = (*judgement["checks"], *judgement["slices"]) if judgement else ()
    return any(row["standing"] == "worse" for row in rows)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _rate(row: Row | None) -> str:
    if row is None or row["pass_rate"] is None:
        return ""
    low, high = 100 * row["low"], 100 * row["high"]
    return rf"{100 * row['pass_rate']:.1f} % \[{low:.1f}, {high:.1f}]"


def _sizes(versions: Mapping[str, Row]) -> str:
    return " / ".join(str(versions[v]["n"]) if v in versions else "0" for v in ("v1", "v2"))


def _comparison(row: Row) -> tuple[str, ...]:
    before, after = (f"{100 * row[k]:.1f} %" if row[k] is not None else "" for k in _BOTH)
    change = ""
    if row["difference"] is not None:
        low, high = (f"{100 * row[k]:+.1f}" for k in ("low", "high"))
        points = rf"{100 * row['difference']:+.1f} \[{low}, {high}]"
        change = points.replace("-", "\N{MINUS SIGN}")
    return row["check"], before, after, change, str(row["n"]), row["standing"]

"""A report for a terminal, in colour where the terminal has it."""

from io import StringIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evalspan.report._document import Comparison, Failures, Finding, Optimization, Report
from evalspan.report._exemplars import each_once, see_traces
from evalspan.report._text import one_line, visible
from evalspan.report._words import (
    interval,
    of_failures,
    percent,
    points,
    proposals,
    share,
    taken,
)

_DIFF_LINES = 60
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_STANDINGS = {"improved": "green", "not worse": "green", "worse": "red"}


def terminal(report: Report, *, width: int = 100, colour: bool = False) -> str:
    """Return the report as text; control characters of its content are made visible."""
    report = each_once(report)
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour)
    _say(console, report.title, "bold")
    _say(console, report.summary)
    if report.regression:
        _say(console, taken(report), "dim")
    if report.failures:
        _failures(console, report.failures)
    for finding in report.findings:
        _cause(console, finding)
    if report.optimization:
        _trial(console, report.optimization)
    _rest(console, report)
    return out.getvalue()


def _rest(console: Console, report: Report) -> None:
    """The traces that are an example of no reason and no cause, and how to look at them all."""
    found = report.regression.exemplars if report.regression else ()
    traces = f"more traces: {', '.join(each.trace_id for each in found)}" if found else ""
    for words in filter(None, (traces, see_traces(report))):
        console.print()
        _say(console, words, "dim")


def _say(console: Console, words: str, style: str = "", indent: int = 2) -> None:
    """Print a paragraph; indented, so that no line of it can pass for a line of a log."""
    console.print(Padding(Text(one_line(words, 2000), style=style), (0, 0, 0, indent)))


def _failures(console: Console, failed: Failures) -> None:
    console.print()
    _say(console, "What fails", "bold")
    for each in failed.reasons:
        _say(console, f"{each.words}: {of_failures(each, failed)}")
        if each.exemplars:
            _say(console, f"trace: {each.exemplars[0].trace_id}", "dim", indent=5)
    if failed.others:
        _say(console, f"other reasons: {failed.others:,} of {failed.count:,} failures")


def _cause(console: Console, finding: Finding) -> None:
    part = f" - {share(finding)}" if finding.share is not None else ""
    console.print()
    _say(console, f"{finding.rank}. {one_line(finding.title)}{part}", "bold")
    if finding.countermeasure:
        _say(console, f"do: {finding.countermeasure}", indent=5)
    if finding.exemplars:
        ids = ", ".join(each.trace_id for each in finding.exemplars)
        _say(console, f"traces: {ids}", "dim", indent=5)
    _diff(console, finding.prompt_diff or "")


def _trial(console: Console, found: Optimization) -> None:
    console.print()
    _say(console, f"Prompt change: {found.verdict}", "bold")
    _say(console, found.summary)
    _say(console, f"{proposals(found)}.", "dim")
    best = found.accepted or next((each for each in found.rejected if each.judgement), None)
    _diff(console, found.accepted.diff if found.accepted else "")
    if best and best.judgement:
        console.print(Padding(_table(best.judgement.checks), (0, 0, 0, 2)))
        for words in best.judgement.reservations:
            _say(console, f"reservation: {words}", "yellow")
    for each in found.rejected[:5]:
        _say(console, f"rejected: {each.reason or ''}", "red")
    for words in found.errors:
        _say(console, f"what broke: {words}", "yellow")


def _table(rows: tuple[Comparison, ...]) -> Table:
    table = Table("check", "before", "after", "points", "95 % interval", "cases", "")
    for row in rows:
        cells = [one_line(row.check), percent(row.before), percent(row.after)]
        cells += [points(row.difference), interval(row.low, row.high), str(row.n)]
        standing = Text(one_line(row.standing), style=_STANDINGS.get(row.standing, "yellow"))
        table.add_row(*map(Text, cells), standing)
    return table


def _diff(console: Console, diff: str) -> None:
    for line in visible(diff).splitlines()[:_DIFF_LINES]:
        console.print(Padding(Text(line, style=_COLOURS.get(line[:1], "")), (0, 0, 0, 5)))

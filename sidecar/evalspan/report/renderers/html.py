"""A report as one HTML file: no outside asset, no script."""

from evalspan.report._document import Report
from evalspan.report._markup import el
from evalspan.report._sections import causes, chart, facts, failing, head, numbers, states
from evalspan.report._shell import page
from evalspan.report._trial_sections import trial


def html(report: Report) -> str:
    """Return the page of a report."""
    return page(
        report.title,
        el("nav", el("a", "All reports", href="./")),
        head(report),
        numbers(report),
        chart(report),
        failing(report),
        causes(report),
        trial(report),
        states(report),
        facts(report),
    )

"""A report as one HTML file: no outside asset, no script."""

from evalspan.report._document import Report
from evalspan.report._exemplars import each_once
from evalspan.report._markup import el
from evalspan.report._sections import causes, chart, facts, failing, head, numbers, states
from evalspan.report._shell import page
from evalspan.report._trial_sections import trial


def html(report: Report, *, served: bool = False) -> str:
    """Return the page of a report; one that is `served` links to the pages beside it."""
    report = each_once(report)
    return page(
        report.title,
        el("nav", el("a", "All reports", href="./")) if served else None,
        head(report),
        numbers(report),
        chart(report),
        failing(report),
        causes(report),
        trial(report),
        states(report),
        facts(report, served=served),
    )

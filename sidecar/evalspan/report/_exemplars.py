"""Which traces a reader is shown: each once, where it is first an example; and how to see it."""

from collections.abc import Iterable

from evalspan.report._document import Exemplar, Report

_OF_A_REASON = 1
_OF_A_CAUSE = 5
_OF_ALL = 10


def each_once(report: Report) -> Report:
    """Return the report with the traces to show: of what fails, of the causes, then the rest."""
    seen: set[str] = set()
    failed, found = report.failures, report.regression
    if failed is not None:
        reasons = (
            each.model_copy(update={"exemplars": _fresh(each.exemplars, seen, _OF_A_REASON)})
            for each in failed.reasons
        )
        failed = failed.model_copy(update={"reasons": tuple(reasons)})
    causes = tuple(
        each.model_copy(update={"exemplars": _fresh(each.exemplars, seen, _OF_A_CAUSE)})
        for each in report.findings
    )
    if found is not None:
        found = found.model_copy(update={"exemplars": _fresh(found.exemplars, seen, _OF_ALL)})
    parts = {"failures": failed, "findings": causes, "regression": found}
    return report.model_copy(update=parts)


def _fresh(exemplars: Iterable[Exemplar], seen: set[str], most: int) -> tuple[Exemplar, ...]:
    """Return the first traces that were not seen yet, and remember them."""
    fresh = [each for each in exemplars if each.trace_id not in seen][:most]
    seen.update(each.trace_id for each in fresh)
    return tuple(fresh)


def see_traces(report: Report) -> str:
    """Say how to look at the traces whose ids are shown; nothing where they are links, or none."""
    shown = [each.exemplars for each in report.findings]
    shown += [each.exemplars for each in report.failures.reasons] if report.failures else []
    shown += [report.regression.exemplars] if report.regression else []
    if report.trace_url is not None or not any(shown):
        return ""
    return "To see a trace: set report.trace_url to make its id a link, or run `evalspan trace ID`."

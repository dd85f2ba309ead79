"""What is sent of a report: a regression, each cause, the search for a better prompt."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalspan.report._document import Exemplar, Finding, Optimization, Proposal, Report
from evalspan.report._text import cut, one_line

_BODY_BYTES = 100_000
"""A line that Loki takes by default is at most 256 KB."""
_MOST_REJECTED = 5


@dataclass(frozen=True, slots=True)
class Event:
    """One log record to be. Attributes have few values, but for the ids."""

    name: str
    severity: Literal["WARN", "INFO"]
    attributes: Mapping[str, str]
    body: Mapping[str, Any]
    exemplar: Exemplar | None


def events(report: Report) -> list[Event]:
    """Return the records of a report, in order: regression, causes, optimization."""
    found = [_regression(report)] if report.regression else []
    found += [_cause(report, finding) for finding in report.findings]
    if report.optimization:
        found.append(_optimization(report, report.optimization))
    return found


def _event(
    report: Report,
    name: str,
    part: str,
    body: Mapping[str, Any],
    exemplars: tuple[Exemplar, ...],
    attributes: Mapping[str, str],
) -> Event:
    identity = hashlib.sha256(f"{report.id}:{part}".encode()).hexdigest()[:16]
    bad = report.regression and report.regression.direction == "regression"
    serious = bad and report.state != "resolved" and name != "evalspan.optimization"
    common = {
        "evalspan.event.id": identity,
        "evalspan.report.id": report.id,
        "evalspan.check": one_line(report.check, 100),
        "evalspan.view": one_line(report.view, 100),
        "evalspan.state": report.state,
    }
    head = {
        "event": name,
        "event_id": identity,
        "report_id": report.id,
        "check": report.check,
        "view": report.view,
        "slice": report.slice,
    }
    return Event(
        name=name,
        severity="WARN" if serious else "INFO",
        attributes={**common, **attributes},
        body={**head, **_fitting(body)},
        exemplar=exemplars[0] if exemplars else None,
    )


def _regression(report: Report) -> Event:
    found = report.regression
    if found is None:
        raise ValueError(report.id)
    body = {
        "title": report.title,
        "summary": report.summary,
        **found.model_dump(mode="json", exclude={"id"}),
        "regression_id": found.id,
    }
    kinds = {"evalspan.direction": found.direction, "evalspan.kind": found.kind}
    # a change of state is another event, a repeat of the same state is not
    part = f"regression:{found.state}"
    return _event(report, "evalspan.regression", part, body, found.exemplars, kinds)


def _cause(report: Report, finding: Finding) -> Event:
    body = finding.model_dump(mode="json")
    # the slice of the cause, not that of the regression
    kinds = {"evalspan.cause": finding.kind, "evalspan.rank": str(finding.rank)}
    part = f"cause:{finding.rank}:{finding.kind}:{json.dumps(finding.slice, sort_keys=True)}"
    return _event(report, "evalspan.root_cause", part, body, finding.exemplars, kinds)


def _optimization(report: Report, found: Optimization) -> Event:
    shown = {"better", "worse", "rejected", "accepted"}
    body = {
        **found.model_dump(mode="json", exclude=shown),
        "better": len(found.better),
        "worse": len(found.worse),
        "accepted": _proposal(found.accepted) if found.accepted else None,
        "rejected": [_proposal(each) for each in found.rejected[:_MOST_REJECTED]],
        "rejected_count": len(found.rejected),
    }
    kinds = {"evalspan.verdict": found.verdict}
    exemplars = report.regression.exemplars if report.regression else ()
    part = f"optimization:{found.experiment}"
    return _event(report, "evalspan.optimization", part, body, exemplars, kinds)


def _proposal(proposal: Proposal) -> Mapping[str, Any]:
    judgement = proposal.judgement
    shown = judgement.model_dump(mode="json", exclude={"slices"}) if judgement else None
    return {**proposal.model_dump(mode="json", exclude={"judgement", "prompt"}), "judgement": shown}


def _fitting(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Cut texts harder and harder until the body fits into a line of a log store."""
    most = 20_000
    shown = body
    while most > 1 and len(json.dumps(shown)) > _BODY_BYTES:
        shown = _cut_texts(body, most)
        most //= 4
    return shown


def _cut_texts(value: Any, most: int) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, str):
        return cut(value, most)
    if isinstance(value, Mapping):
        return {key: _cut_texts(each, most) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut_texts(each, most) for each in value]
    return value

"""What is sent of a report: a regression, each cause, the search for a better prompt."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalspan.report._document import Exemplar, Finding, Optimization, Proposal, Report
from evalspan.report._records import (
    OPTIMIZATION,
    REGRESSION,
    ROOT_CAUSE,
    OptimizationRecord,
    Record,
    RegressionRecord,
    RootCauseRecord,
)
from evalspan.report._text import cut, label

_BODY_BYTES = 100_000
"""A line that Loki takes by default is at most 256 KB."""
_ATTRIBUTE_BYTES = 100
_MOST_REJECTED = 5
_WITH_CAUSES = {"open", "worsening"}
"""States that come with causes: at the others there is nothing new to explain."""


@dataclass(frozen=True, slots=True)
class Event:
    """One log record to be. Attributes have few values; ids stand in the body."""

    name: str
    severity: Literal["WARN", "INFO"]
    attributes: Mapping[str, str]
    body: Mapping[str, Any]
    exemplar: Exemplar | None


def events(report: Report) -> list[Event]:
    """Return the records of a report, in order: the state, causes, optimization."""
    found = [_regression(report)] if report.regression else []
    if report.state in _WITH_CAUSES:
        found += [_cause(report, finding) for finding in report.findings]
    if report.optimization:
        found.append(_optimization(report, report.optimization))
    return found


def state_id(report: Report) -> str:
    """Return the id of the change of state that the report tells; the same at each repeat."""
    found = report.regression
    if found is None:
        return event_id(report, "")
    time = found.detected_time.isoformat() if found.detected_time else ""
    return event_id(report, f"regression:{found.state}:{time}")


def event_id(report: Report, part: str) -> str:
    """Return the stable id of a part of a report, 16 hexadecimal digits."""
    return hashlib.sha256(f"{report.id}:{part}".encode()).hexdigest()[:16]


def _event(report: Report, name: str, body: Record, attributes: Mapping[str, str]) -> Event:
    bad = report.regression and report.regression.direction == "regression"
    serious = bad and report.state in _WITH_CAUSES and name != OPTIMIZATION
    common = {
        "evalspan.check": report.check,
        "evalspan.view": report.view,
        "evalspan.state": report.state,
    }
    return Event(
        name=name,
        severity="WARN" if serious else "INFO",
        attributes={
            key: label(value, _ATTRIBUTE_BYTES) for key, value in {**common, **attributes}.items()
        },
        body=_fitting(body.model_dump(mode="json")),
        exemplar=body.exemplars[0] if body.exemplars else None,
    )


def _head(report: Report, identity: str) -> dict[str, Any]:
    return {
        "event_id": identity,
        "report_id": report.id,
        "report_url": report.url,
        "regression_id": report.regression.id if report.regression else None,
        "check": report.check,
        "view": report.view,
        "title": report.title,
    }


def _regression(report: Report) -> Event:
    found = report.regression
    if found is None:
        raise ValueError(report.id)
    parts = {**found.model_dump(), **_head(report, state_id(report))}
    body = RegressionRecord.model_validate(
        {**parts, "summary": report.summary, "failures": report.failures}, from_attributes=True
    )
    kinds = {"evalspan.direction": found.direction, "evalspan.kind": found.kind}
    return _event(report, REGRESSION, body, kinds)


def _cause(report: Report, finding: Finding) -> Event:
    place = json.dumps(finding.slice, sort_keys=True)
    identity = event_id(report, f"{state_id(report)}:{finding.rank}:{finding.kind}:{place}")
    parts = {**_head(report, identity), **finding.model_dump(), "state": report.state}
    kinds = {"evalspan.cause": finding.kind, "evalspan.rank": str(finding.rank)}
    return _event(report, ROOT_CAUSE, RootCauseRecord.model_validate(parts), kinds)


def _optimization(report: Report, found: Optimization) -> Event:
    shown = {"better", "worse", "rejected", "accepted"}
    exemplars = report.regression.exemplars if report.regression else ()
    parts = {
        **_head(report, event_id(report, f"optimization:{found.experiment}")),
        **found.model_dump(exclude=shown),
        "slice": report.slice,
        "exemplars": exemplars,
        "better": len(found.better),
        "worse": len(found.worse),
        "accepted": _proposal(found.accepted) if found.accepted else None,
        "rejected": [_proposal(each) for each in found.rejected[:_MOST_REJECTED]],
        "rejected_count": len(found.rejected),
    }
    body = OptimizationRecord.model_validate(parts)
    return _event(report, OPTIMIZATION, body, {"evalspan.verdict": found.verdict})


def _proposal(proposal: Proposal) -> Mapping[str, Any]:
    return proposal.model_dump(exclude={"judgement": {"slices"}, "prompt": True})


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

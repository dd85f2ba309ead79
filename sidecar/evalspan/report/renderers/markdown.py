"""A report as Markdown, for a pull request or a chat."""

from evalspan.report._document import (
    Comparison,
    Failures,
    Finding,
    Optimization,
    Proposal,
    Regression,
    Report,
)
from evalspan.report._exemplars import each_once, see_traces
from evalspan.report._markdown import fence, text
from evalspan.report._words import (
    changed,
    dated,
    interval,
    moment,
    of_failures,
    percent,
    points,
    proposals,
    share,
    taken,
)

_MOST_REJECTED = 10


def markdown(report: Report) -> str:
    """Return the report as Markdown; texts of traces are escaped, diffs stand in fences."""
    report = each_once(report)
    found = report.regression
    parts = [f"# {text(report.title)}", text(report.summary, 4000)]
    if found:
        parts.append(text(_state(found)))
        parts.append(text(taken(report)))
    parts += [_failures(report.failures)] if report.failures else []
    parts += [_cause(each) for each in report.findings]
    if report.optimization:
        parts += _trial(report.optimization)
    if found and found.exemplars:
        traces = "\n".join(f"- `{each.trace_id}`" for each in found.exemplars)
        parts.append(f"## Example traces\n\n{traces}")
    parts.append(text(see_traces(report)))
    parts.append(f"Report {report.id}, made {text(moment(report.created_time))}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _state(found: Regression) -> str:
    """`regression, muted on …; fell since …`."""
    reached = f" {dated(found.state, found.state_time)}" if found.state_time else ""
    since = f"; {changed(found.direction)} {moment(found.change_time)}" if found.change_time else ""
    return f"{found.direction}, {found.state}{reached}{since}"


def _failures(failed: Failures) -> str:
    lines = [f"- {text(f'{each.words}: {of_failures(each, failed)}')}" for each in failed.reasons]
    lines += [f"- other reasons: {failed.others:,} of {failed.count:,}"] if failed.others else []
    ids = [each.exemplars[0].trace_id for each in failed.reasons if each.exemplars]
    examples = "\n\nExample traces:\n\n" + "\n".join(f"- `{i}`" for i in ids) if ids else ""
    return "## What fails\n\n" + "\n".join(lines) + examples


def _cause(finding: Finding) -> str:
    lines = [f"## {finding.rank}\\. {text(finding.title)}"]
    if finding.share is not None:
        lines.append(text(f"Explains {share(finding)}."))
    lines += [f"What to do: {text(finding.countermeasure)}"] if finding.countermeasure else []
    if finding.exemplars:
        traces = "\n".join(f"- `{each.trace_id}`" for each in finding.exemplars)
        lines.append(f"Example traces:\n\n{traces}")
    lines += [fence(finding.prompt_diff)] if finding.prompt_diff else []
    return "\n\n".join(line for line in lines if line)


def _trial(found: Optimization) -> list[str]:
    best = found.accepted or next((each for each in found.rejected if each.judgement), None)
    head = f"## Prompt change: {text(found.verdict)}"
    parts = [head, text(found.summary), text(f"{proposals(found)}.")]
    parts += [fence(found.accepted.diff)] if found.accepted else []
    if best and best.judgement:
        parts += [f"- Reservation: {text(each)}" for each in best.judgement.reservations]
        parts.append(_table(best.judgement.checks))
    parts += [_rejected(each) for each in found.rejected[:_MOST_REJECTED]]
    return parts + [f"- What broke: {text(each)}" for each in found.errors]


def _table(rows: tuple[Comparison, ...]) -> str:
    names = ("check", "before", "after", "points", "95 % interval", "cases", "")
    head = f"| {' | '.join(names)} |\n{'|---' * len(names)}|"
    cells = [
        (
            row.check,
            percent(row.before),
            percent(row.after),
            points(row.difference),
            interval(row.low, row.high),
            str(row.n),
            row.standing,
        )
        for row in rows
    ]
    return "\n".join([head, *(f"| {' | '.join(map(text, each))} |" for each in cells)])


def _rejected(proposal: Proposal) -> str:
    return f"- Rejected {text(proposal.variant)}: {text(proposal.reason or '')}"

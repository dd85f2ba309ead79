"""The part of a page about a search for a better prompt."""

from collections.abc import Sequence
from functools import partial

from evalspan.report._charts import both, differences
from evalspan.report._document import (
    AcceptedProposal,
    CaseChange,
    Comparison,
    Judgement,
    Optimization,
    Proposal,
    Report,
    Resource,
)
from evalspan.report._markup import Markup, el, join
from evalspan.report._sections import badge, diffs, trace
from evalspan.report._tables import table
from evalspan.report._words import MINUS, UNKNOWN, interval, percent, points, proposals, values

_MOST_CASES = 20
_MOST_REJECTED = 10
_RESOURCES = {
    "input_tokens": ("input tokens", "{:,.0f}"),
    "output_tokens": ("output tokens", "{:,.0f}"),
    "cost_usd": ("cost, US dollars", "{:.6f}"),
    "duration_ms": ("time, milliseconds", "{:,.0f}"),
}


def trial(report: Report) -> Markup | None:
    """The search, the proof, and what was turned down."""
    found = report.optimization
    if found is None:
        return None
    shown = found.accepted or next((each for each in found.rejected if each.judgement), None)
    return el(
        "section",
        el("h2", "Prompt change ", badge(found.verdict)),
        el("p", found.summary),
        _proposal(found.accepted) if found.accepted else None,
        _judgement(shown.judgement, accepted=bool(found.accepted))
        if shown and shown.judgement
        else None,
        _cases("Cases that got better", found.better, report),
        _cases("Cases that got worse", found.worse, report),
        _rejected(found.rejected),
        _spent(found),
    )


def _proposal(proposal: AcceptedProposal) -> Markup:
    who = f"{proposal.rationale} (proposed by {proposal.mutator})"
    return join(
        (
            el("p", who, class_="muted"),
            diffs(proposal.diff, "The proposed change"),
            el("details", el("summary", "The whole prompt"), el("pre", proposal.prompt)),
        )
    )


def _judgement(judgement: Judgement, *, accepted: bool) -> Markup:
    whose = "the accepted proposal" if accepted else "the best proposal, which is rejected"
    part = "that the search never saw" if judgement.part == "holdout" else "of the search"
    words = f"After minus before with 95 % intervals, {whose}, on cases {part}."
    rows = [row for row in judgement.checks if row.n]
    return join(
        (
            _named("Reservations", judgement.reservations),
            both(partial(_forest, rows=rows), words) if rows else None,
            checks_table(judgement.checks),
            el(
                "p",
                "Cases are picked half from failing traffic as far as there is enough, so these "
                "rates are those of the cases, not of production.",
                class_="muted",
            ),
            _slices(judgement.slices),
            resources_table(judgement.resources),
        )
    )


def _forest(width: int, rows: Sequence[Comparison]) -> Markup:
    return differences(rows, "(pass rate)", width)


def _named(words: str, texts: Sequence[str]) -> Markup | None:
    if not texts:
        return None
    items = [el("li", text) for text in texts]
    return el("div", el("strong", words), el("ul", *items), class_="note")


def checks_table(rows: Sequence[Comparison]) -> Markup | None:
    """Checks before, after and difference with intervals and sizes."""
    names = (
        "check",
        "before",
        "after",
        "points",
        "95 % interval",
        "lost",
        "won",
        "cases",
        "standing",
    )
    return table(names, [_check(row) for row in rows], "figures")


def _check(row: Comparison) -> Sequence[str]:
    place = values(row.slice)
    needs = f" needs {row.needs} more" if row.needs else ""
    return (
        f"{row.check} · {place}" if place else row.check,
        percent(row.before),
        percent(row.after),
        points(row.difference),
        interval(row.low, row.high) or UNKNOWN,
        str(row.losses),
        str(row.gains),
        str(row.n),
        join((badge(row.standing), needs)),
    )


def _slices(rows: Sequence[Comparison]) -> Markup | None:
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: (row.difference or 0.0, row.check))
    return el(
        "details",
        el("summary", f"By slice ({len(rows)}), the largest loss first"),
        checks_table(ordered[:100]),
    )


def resources_table(rows: Sequence[Resource]) -> Markup | None:
    """What an answer takes before and after, mean."""
    known = [_resource(row) for row in rows if row.n]
    return table(("an answer takes (mean)", "before", "after", "change", "cases"), known, "figures")


def _resource(row: Resource) -> Sequence[str]:
    name, form = _RESOURCES.get(row.name, (row.name, "{}"))
    change = UNKNOWN
    if row.before and row.after is not None:
        change = f"{100 * (row.after / row.before - 1):+.1f} %".replace("-", MINUS)
    values = [UNKNOWN if v is None else form.format(v) for v in (row.before, row.after)]
    return (name, *values, change, str(row.n))


def _cases(words: str, changes: Sequence[CaseChange], report: Report) -> Markup | None:
    if not changes:
        return None
    more = len(changes) - _MOST_CASES
    note = el("p", f"and {more} more in the JSON", class_="muted") if more > 0 else None
    cards = [_case(each, report) for each in changes[:_MOST_CASES]]
    return el("details", el("summary", f"{words} ({len(changes)})"), *cards, note)


def _case(change: CaseChange, report: Report) -> Markup:
    return el(
        "article",
        el("p", el("strong", ", ".join(change.checks)), f" {change.reason}"),
        el("p", trace(change.trace_id, report.trace_url)),
        el("span", "input", class_="muted"),
        el("pre", change.input),
        el(
            "div",
            el("div", el("span", "before", class_="muted"), el("pre", change.before)),
            el("div", el("span", "after", class_="muted"), el("pre", change.after)),
            class_="pair",
        ),
    )


def _rejected(rejected: Sequence[Proposal]) -> Markup | None:
    if not rejected:
        return None
    more = len(rejected) - _MOST_REJECTED
    note = el("p", f"and {more} more in the JSON", class_="muted") if more > 0 else None
    cards = [_turned_down(each) for each in rejected[:_MOST_REJECTED]]
    return join((el("h3", f"Rejected proposals ({len(rejected)})"), *cards, note))


def _turned_down(proposal: Proposal) -> Markup:
    who = f"{proposal.rationale} (proposed by {proposal.mutator})"
    return el(
        "details",
        el("summary", badge("rejected"), f" {proposal.reason or ''}"),
        el("p", who, class_="muted"),
        diffs(proposal.diff, "The change that was rejected") if proposal.diff else None,
        checks_table(proposal.judgement.checks) if proposal.judgement else None,
    )


def _spent(found: Optimization) -> Markup:
    cost = "" if found.spent_cost_usd is None else f", {found.spent_cost_usd:.2f} US dollars"
    words = (
        f"{proposals(found)}; {found.search_cases} cases to search with and "
        f"{found.holdout_cases} held out, {found.replays:,} replays, "
        f"{found.spent_input_tokens:,} input and {found.spent_output_tokens:,} output tokens{cost}."
    )
    return join((el("p", words, class_="muted"), _named("What broke", found.errors)))

"""The parts of a page about a regression and its causes."""

import re
from collections.abc import Sequence
from functools import partial

from evalspan.report._charts import both, legend, rates_over_time, shares
from evalspan.report._diff import inline, side_by_side
from evalspan.report._document import Exemplar, Finding, Rates, Report, StateChange
from evalspan.report._exemplars import see_traces
from evalspan.report._markup import Markup, el, join
from evalspan.report._tables import table
from evalspan.report._text import one_line
from evalspan.report._words import (
    changed,
    dated,
    day,
    interval,
    moment,
    movement,
    percent,
    points,
    share,
    sizes,
    taken,
    values,
)


def head(report: Report) -> Markup:
    """Title, state and the summary."""
    badges = [badge(report.state)]
    if report.regression:
        badges.append(badge(report.regression.direction.replace("_", " ")))
    place = values(report.slice) or "all traffic"
    facts = [f"check {report.check}", place, *([f"view {report.view}"] if report.view else [])]
    return el(
        "header",
        el("p", *badges, el("span", " · ".join(facts), class_="muted")),
        el("h1", report.title),
        el("p", report.summary, class_="summary"),
        el("p", taken(report), class_="muted") if report.regression else None,
    )


_SMALL = 0.005
"""A change of mix below half a point is not worth a tile."""


def badge(word: str) -> Markup:
    """Return a word with the colour that it stands for."""
    kind = _BADGES.get(word, "")
    return el("span", one_line(word, _LONGEST_BADGE), class_=f"badge {kind}".strip())


_LONGEST_BADGE = 60
_BADGES = {
    "open": "bad",
    "worsening": "bad",
    "recovered": "good",
    "muted": "unsure",
    "regression": "bad",
    "rejected": "bad",
    "worse": "bad",
    "accepted": "good",
    "resolved": "good",
    "improvement": "good",
    "improved": "good",
    "not worse": "good",
    "accepted with reservations": "unsure",
    "unproven": "unsure",
    "no proof": "unsure",
}


def numbers(report: Report) -> Markup | None:
    """Return the figures that matter, as tiles."""
    found = report.regression
    if found is None:
        return None
    rates = found.rates
    tiles = [
        _tile("before", percent(rates.before), _count(rates.before_n)),
        _tile("after", percent(rates.after), _count(rates.after_n)),
        _tile("change, points", points(rates.effect), _bounds(rates)),
        _tile(changed(found.direction), day(found.change_time), _since(report)),
    ]
    if found.old or found.new:
        name = (found.version_dimension or "version").replace("_", " ")
        tiles.append(_tile(name, found.new or "", f"before: {found.old}"))
    if found.mix_amount is not None and abs(found.mix_amount) >= _SMALL:
        mix = interval(found.mix_low, found.mix_high)
        tiles.append(_tile("change of mix, points", points(found.mix_amount), mix))
    return el("section", *tiles, class_="tiles")


def _tile(name: str, value: str, note: str) -> Markup:
    return el(
        "div",
        el("span", name, class_="muted"),
        el("strong", value),
        el("span", note, class_="muted"),
        class_="tile",
    )


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,} verdicts"


def _bounds(rates: Rates) -> str:
    bounds = interval(rates.effect_low, rates.effect_high)
    return f"95 % interval {bounds}" if bounds else ""


def _since(report: Report) -> str:
    found = report.regression
    if found is None or found.change_time is None:
        return ""
    clock = f"{found.change_time:%H:%M} UTC"
    if found.change_low is None or found.change_high is None:
        return clock
    low, high = moment(found.change_low), moment(found.change_high)
    if low == high:
        return clock
    if found.change_low.date() == found.change_high.date() == found.change_time.date():
        return f"{clock}, between {found.change_low:%H:%M} and {found.change_high:%H:%M}"
    return f"{clock}, between {low} and {high}"


def chart(report: Report) -> Markup | None:
    """Pass rates over time, if the report has them."""
    series = [each for each in report.series if each.points]
    if not series:
        return None
    change = report.regression.change_time if report.regression else None
    draw = partial(_rates, series=series, change=change, check=report.check)
    words = (
        "Pass rate over time, each point in the middle of its time; the bars say how many "
        "verdicts stand behind it."
    )
    return el("section", el("h2", "Over time"), legend(series), both(draw, words))


def _rates(width: int, **what: object) -> Markup:
    return rates_over_time(width=width, **what)  # type: ignore[arg-type]


def failing(report: Report) -> Markup | None:
    """Return the commonest reasons of the failing verdicts, with their counts."""
    failed = report.failures
    if failed is None or not failed.reasons:
        return None
    rows = [
        (
            each.words,
            f"{each.count:,} of {failed.count:,}",
            f"{each.count_before:,} of {failed.count_before:,}",
            join(trace(e.trace_id, report.trace_url) for e in each.exemplars),
        )
        for each in failed.reasons
    ]
    more = el("p", f"other reasons: {failed.others:,}", class_="muted") if failed.others else None
    names = ("reason", "failures after", "before", "example trace")
    return el("section", el("h2", "What fails"), table(names, rows, "figures"), more, how(report))


def how(report: Report) -> Markup | None:
    """Return how to look at the traces whose ids are shown."""
    hint = see_traces(report)
    return el("p", hint, class_="muted") if hint else None


def states(report: Report) -> Markup | None:
    """Return the states it went through, the newest first."""
    if not report.states:
        return None
    items = [
        el(
            "li",
            badge(each.state),
            el("span", _reached(each), class_="muted"),
            el("p", each.reason) if each.reason else None,
        )
        for each in reversed(report.states[-_MOST_STATES:])
    ]
    return el("section", el("h2", "States"), el("ol", *items, class_="states"))


_MOST_STATES = 20


def _reached(state: StateChange) -> str:
    """`since …, seen …`; once where that is the same."""
    text = dated(state.state, state.time)
    late = state.detected_time is not None and state.detected_time != state.time
    return f"{text}, seen {moment(state.detected_time)}" if late else text


def causes(report: Report) -> Markup | None:
    """Return the findings, best first."""
    if not report.findings:
        return None
    known = [each for each in report.findings if each.share is not None]
    picture = (
        both(partial(_shares, findings=known), "Share of the drop with its 95 % interval.")
        if len(known) > 1
        else None
    )
    cards = [_cause(each, report) for each in report.findings]
    return el("section", el("h2", "Why"), picture, *cards)


def _shares(width: int, findings: Sequence[Finding]) -> Markup:
    return shares(findings, width)


def _cause(finding: Finding, report: Report) -> Markup:
    rates = finding.rates
    known = rates.before is not None or rates.after is not None
    known = known and movement(rates) not in finding.title
    facts = [f"explains {share(finding)}"] if finding.share is not None else []
    facts += [" · ".join(each for each in (movement(rates), sizes(rates)) if each)] if known else []
    todo = finding.countermeasure
    return el(
        "article",
        el("h3", f"{finding.rank}. {finding.title}"),
        el("p", "; ".join(facts), class_="muted") if facts else None,
        el("p", el("strong", "What to do: "), todo) if todo else None,
        traces(finding.exemplars, report.trace_url),
        diffs(finding.prompt_diff, "Prompt, old against new") if finding.prompt_diff else None,
    )


def traces(exemplars: Sequence[Exemplar], trace_url: str | None) -> Markup | None:
    """Return example traces, as links where an address is known."""
    if not exemplars:
        return None
    items = [el("li", trace(each.trace_id, trace_url)) for each in exemplars]
    return el("div", el("span", "Example traces", class_="muted"), el("ul", *items, class_="ids"))


def trace(trace_id: str, trace_url: str | None) -> Markup:
    """Return one trace id, as a link where an address is known."""
    words = el("code", trace_id)
    if trace_url is None or not _TRACE.fullmatch(trace_id):
        return words
    return el("a", words, href=trace_url.replace("{trace_id}", trace_id))


_TRACE = re.compile(r"[0-9a-f]{32}")


def diffs(diff: str, words: str) -> Markup:
    """Return a diff inline, and side by side one click away."""
    return join(
        (
            el("details", el("summary", words), inline(diff), open=""),
            el("details", el("summary", "Side by side"), side_by_side(diff), class_="wide"),
        )
    )


def facts(report: Report, *, served: bool) -> Markup:
    """Where the figures come from, and where to look further.

    The other forms of the report are beside its page where it is `served`, not beside a file.
    """
    rows = [("report", report.id), ("created", moment(report.created_time))]
    rows += [("regression", report.regression.id)] if report.regression else []
    rows += [(f"revision of {check}", value) for check, value in report.revisions.items()]
    links = [el("a", each.title, href=each.url) for each in report.links if web(each.url)]
    if served:
        links.append(el("a", "JSON", href=f"{report.id}.json"))
        links.append(el("a", "Markdown", href=f"{report.id}.md"))
    found = report.regression.exemplars if report.regression else ()
    return el(
        "section",
        el("h2", "Where to look"),
        traces(found, report.trace_url),
        how(report) if report.failures is None else None,
        el("p", *(join((each, " ")) for each in links), class_="links") if links else None,
        el("dl", *(join((el("dt", name), el("dd", el("code", value)))) for name, value in rows)),
    )


def web(url: str) -> bool:
    """Whether an address may become a link: http and https only, never a script."""
    return url.startswith(("https://", "http://"))

"""The title and the summary: words that need no statistics to be understood."""

from datetime import datetime

from evalspan.report._document import (
    FailureReason,
    Failures,
    Finding,
    Optimization,
    Rates,
    Regression,
    Report,
)

MINUS = "\N{MINUS SIGN}"
ARROW = "\N{RIGHTWARDS ARROW}"
UNKNOWN = "\N{EN DASH}"


def percent(value: float | None) -> str:
    """0.6 → `60.0 %`."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def points(value: float | None) -> str:
    """0.05 → `+5.0`, percentage points with a sign."""
    return UNKNOWN if value is None else f"{100 * value:+.1f}".replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """95 % interval of a difference in percentage points: `[−44.0, −29.8]`."""
    return "" if low is None or high is None else f"[{points(low)}, {points(high)}]"


def before_after(before: float | None, after: float | None) -> str:
    """`97.1 % → 60.2 %`, a change; what stands in brackets is an interval."""
    return f"{percent(before)} {ARROW} {percent(after)}"


def movement(rates: Rates) -> str:
    """`97.1 % → 60.2 %, −36.9 points [−44.0, −29.8]`: the one way to write a change."""
    text = before_after(rates.before, rates.after)
    return text if rates.effect is None else f"{text}, {change(rates)}"


def change(rates: Rates) -> str:
    """`−36.9 points [−44.0, −29.8]`; says so where it is not the plain difference."""
    bounds = interval(rates.effect_low, rates.effect_high)
    like = " like for like" if _is_adjusted(rates) else ""
    return f"{points(rates.effect)} points{like} {bounds}".rstrip()


def _is_adjusted(rates: Rates) -> bool:
    if rates.before is None or rates.after is None or rates.effect is None:
        return False
    return abs(rates.after - rates.before - rates.effect) >= _VISIBLE


_VISIBLE = 0.005
"""Half a point: below it the adjusted and the plain difference look alike."""


def share(finding: Finding) -> str:
    """`93 % of the drop [80 %, 105 %]`, or nothing where it has no share of its own."""
    if finding.share is None:
        return ""
    text = f"{100 * finding.share:.0f} % of the drop"
    if finding.share_low is None or finding.share_high is None:
        return text
    ends = (finding.share_low, finding.share_high)
    low, high = (f"{100 * end:.0f} %".replace("-", MINUS) for end in ends)
    return text if low == high else f"{text} [{low}, {high}]"


def sizes(rates: Rates) -> str:
    """`640 verdicts before, 80 after`."""
    if rates.before_n is None or rates.after_n is None:
        return ""
    return f"{rates.before_n:,} verdicts before, {rates.after_n:,} after"


def of_failures(reason: FailureReason, failed: Failures) -> str:
    """`the reason of 31 of 32 failures since, and of none of 19 before`."""
    noun = "failure" if failed.count == 1 == reason.count else "failures"
    text = f"the reason of {_part(reason.count, failed.count)} {noun} since"
    if not failed.count_before:
        return text
    return f"{text}, and of {_part(reason.count_before, failed.count_before)} before"


def _part(n: int, whole: int) -> str:
    """`31 of 32`, `all 32`, `none of 32`."""
    if n == whole:
        return "the 1" if n == 1 else f"all {n:,}"
    return f"{n:,} of {whole:,}" if n else f"none of {whole:,}"


def moment(time: datetime | None) -> str:
    """`1 Mar 2026 12:00 UTC`."""
    return UNKNOWN if time is None else f"{time.day} {time:%b %Y %H:%M} UTC"


def day(time: datetime | None) -> str:
    """`1 Mar 2026`."""
    return UNKNOWN if time is None else f"{time.day} {time:%b %Y}"


def where(place: dict[str, str]) -> str:
    """` for customer = acme`; nothing for everything."""
    return f" for {values(place)}" if place else ""


def values(place: dict[str, str]) -> str:
    """`customer = acme, model = (none)`."""
    return ", ".join(f"{k} = {v if v.strip() else '(none)'}" for k, v in place.items())


def title(check: str, regression: Regression | None, optimization: Optimization | None) -> str:
    """One line that says what happened."""
    if regression is None:
        verdict = optimization.verdict if optimization else "nothing tried"
        return f"{check}: prompt change {verdict}"
    what = _TITLES.get(regression.direction, "fell")
    rates = before_after(regression.rates.before, regression.rates.after)
    return f"{check}{where(regression.slice)} {what}: {rates}"


_TITLES = {
    "improvement": "rose",
    "mix_shift": "moved because the mix of traffic changed",
    "revision": "moved because the check itself was changed",
}


def changed(direction: str) -> str:
    """`fell since`, `rose since`, `moved since`: what the time of the change is called."""
    return f"{_TITLES.get(direction, 'fell').split()[0]} since"


def summary(
    check: str,
    regression: Regression | None,
    failed: Failures | None,
    findings: tuple[Finding, ...],
    optimization: Optimization | None,
) -> str:
    """A few sentences: what, how sure, what fails, why, and what was done."""
    parts = [_what(check, regression), _failing(failed), _why(findings), _tried(optimization)]
    return " ".join(part for part in parts if part)


def _what(check: str, regression: Regression | None) -> str:
    if regression is None:
        return ""
    rates = regression.rates
    since = f"Since {moment(regression.change_time)}" if regression.change_time else "Lately"
    facts = "; ".join(each for each in (sizes(rates), _seen(regression)) if each)
    count = f" ({facts})" if facts else ""
    mixed = regression.direction == "mix_shift"
    told = before_after(rates.before, rates.after) if mixed else movement(rates)
    text = f"{since} the pass rate of {check}{where(regression.slice)} went {told}{count}."
    more = _mix(regression) if mixed else _CHECK if regression.direction == "revision" else ""
    return text + more + _state(regression)


def _seen(regression: Regression) -> str:
    """`open since …, figures of …`: the state was shown first, the figures were taken later."""
    time = regression.state_time
    facts = (f"{regression.state} {dated(regression.state, time)}", _figures(regression))
    return ", ".join(each for each in facts if each) if time else ""


def _figures(regression: Regression) -> str:
    if regression.state in _ENDED:
        return "figures of the time before that"
    if regression.detected_time == regression.state_time:
        return "figures of then"
    return f"figures of {moment(regression.detected_time)}" if regression.detected_time else ""


_ENDED = {"recovered", "resolved"}


def dated(state: str, time: datetime | None) -> str:
    """`since 1 Mar 2026 12:00 UTC`; of a mute and an end, which do not last, `on` that time."""
    return f"{'on' if state in _MOMENTS else 'since'} {moment(time)}"


_MOMENTS = {"muted", "resolved"}


def taken(report: Report) -> str:
    """Say of when the figures are that do not come with the state of the regression."""
    return (
        f"What fails, why, and the rates over time are as of {moment(report.created_time)}, when "
        "this report was made. Verdicts that come later count as well where `evalspan explain` is "
        "run again."
    )


_CHECK = " The check itself was changed then; the answers need not be any different."


def _state(regression: Regression) -> str:
    told = _STATES.get(regression.state, "")
    if regression.state != "muted" or regression.mute_until is None:
        return told
    until = f" Muted until {moment(regression.mute_until)}"
    return f"{told}{until}: {regression.mute_reason or 'no reason given'}."


_STATES = {
    "worsening": " It fell further since it was opened.",
    "recovered": " It is back within the minimum effect; it ends when that lasts.",
    "muted": " It is muted: it is followed, and raises no alert.",
    "resolved": " It has ended.",
}


def _failing(failed: Failures | None) -> str:
    if failed is None or not failed.reasons:
        return ""
    first = failed.reasons[0]
    return f"Commonest failure: {first.words.rstrip('.')}, {of_failures(first, failed)}."


def proposals(found: Optimization) -> str:
    """`12 proposals in 3 rounds: 1 accepted, 6 rejected, 5 left out, …`."""
    accepted = 1 if found.accepted else 0
    left_out = found.proposals - accepted - len(found.rejected)
    parts = [f"{accepted} accepted", f"{len(found.rejected)} rejected"]
    if left_out > 0:
        parts.append(f"{left_out} left out, being repeats of others or beyond max_replays")
    head = f"{counted(found.proposals, 'proposal')} in {counted(found.rounds, 'round')}"
    return f"{head}: {', '.join(parts)}"


def counted(n: int, noun: str) -> str:
    """`1 round`, `3 rounds`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _mix(regression: Regression) -> str:
    if regression.mix_amount is None:
        return ""
    return (
        f" {points(regression.mix_amount)} points of it come from a changed mix of traffic, "
        "not from worse answers."
    )


def _why(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return ""
    first = findings[0]
    if first.kind == "unexplained":
        return "No cause was found that explains it."
    part = f" ({share(first)})" if share(first) else ""
    return f"Most likely cause: {first.title.rstrip('.')}{part}."


def _tried(optimization: Optimization | None) -> str:
    if optimization is None:
        return ""
    became = f" and {optimization.verdict}:" if optimization.accepted else "."
    return f"A prompt change was searched for{became} {optimization.summary}"

"""The title and the summary: words that need no statistics to be understood."""

from datetime import datetime

from evalspan.report._document import Finding, Optimization, Regression

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"


def percent(value: float | None) -> str:
    """0.6 → `60%`; one decimal where it is not a whole number."""
    if value is None:
        return UNKNOWN
    return f"{100 * value:.1f}".removesuffix(".0") + "%"


def points(value: float | None) -> str:
    """0.05 → `+5.0`, percentage points with a sign."""
    return UNKNOWN if value is None else f"{100 * value:+.1f}".replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """Interval of a difference in percentage points."""
    return "" if low is None or high is None else f"{points(low)} to {points(high)}"


def moment(time: datetime | None) -> str:
    """`1 Mar 2026 12:00 UTC`."""
    return UNKNOWN if time is None else f"{time.day} {time:%b %Y %H:%M} UTC"


def day(time: datetime | None) -> str:
    """`1 Mar 2026`."""
    return UNKNOWN if time is None else f"{time.day} {time:%b %Y}"


def where(place: dict[str, str]) -> str:
    """` for customer = acme`; nothing for everything."""
    return " for " + ", ".join(f"{k} = {v}" for k, v in place.items()) if place else ""


def title(check: str, regression: Regression | None, optimization: Optimization | None) -> str:
    """One line that says what happened."""
    if regression is None:
        verdict = optimization.verdict if optimization else "nothing tried"
        return f"{check}: prompt change {verdict}"
    rates, place = regression.rates, where(regression.slice)
    before_after = f"from {percent(rates.before)} to {percent(rates.after)}{place}"
    if regression.direction == "mix_shift":
        return f"{check}: the mix of traffic changed, {before_after}"
    word = "rose" if regression.direction == "improvement" else "fell"
    return f"{check} {word} {before_after}"


def summary(
    check: str,
    regression: Regression | None,
    findings: tuple[Finding, ...],
    optimization: Optimization | None,
) -> str:
    """A few sentences: what, how sure, why, and what was done."""
    parts = [_what(check, regression), _why(findings), _tried(optimization)]
    return " ".join(part for part in parts if part)


def _what(check: str, regression: Regression | None) -> str:
    if regression is None:
        return ""
    rates = regression.rates
    since = f"Since {moment(regression.change_time)}, " if regression.change_time else ""
    count = f"{rates.after_n:,} answers" if rates.after_n is not None else "answers"
    text = (
        f"{since}{percent(rates.after)} of {count} pass {check}{where(regression.slice)}; "
        f"before it was {percent(rates.before)}"
    )
    text += f" of {rates.before_n:,}." if rates.before_n is not None else "."
    if rates.effect is None or regression.direction == "mix_shift":
        return text + _mix(regression)
    bounds = interval(rates.effect_low, rates.effect_high)
    sure = f" (95% interval {bounds})" if bounds else ""
    return f"{text} Like for like that is {points(rates.effect)} points{sure}."


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
    share = "" if first.share is None else f" It explains {percent(min(1.0, first.share))} of it."
    return f"Most likely cause: {first.title.rstrip('.')}.{share}"


def _tried(optimization: Optimization | None) -> str:
    return f"A prompt change was searched for: {optimization.summary}" if optimization else ""

"""The words of findings: where, how far, and how a cause relates to the ones before it."""

from collections.abc import Mapping
from typing import Any

MINUS = "\N{MINUS SIGN}"
ARROW = "\N{RIGHTWARDS ARROW}"
VISIBLE = 0.005
"""Half a point: below it the adjusted and the plain difference look alike."""


def where(name: Mapping[str, str]) -> str:
    """Return a slice in words."""
    return " and ".join(f"{key}={value}" for key, value in name.items()) or "all traffic"


def points(value: float) -> str:
    """Return −0.369 as `−36.9`, percentage points with a sign."""
    return f"{100 * value:+.1f}".replace("-", MINUS)


def percent(value: float) -> str:
    """Return 0.602 as `60.2 %`."""
    return f"{100 * value:.1f} %"


def moved(numbers: Mapping[str, Any], sign: float) -> str:
    """`fell: 97.1 % → 60.2 %, −36.9 points [−44.0, −29.8] (480 verdicts before, 80 after)`."""
    verb = "fell" if sign < 0 else "rose"
    before, after = numbers["baseline_score"], numbers["candidate_score"]
    if before is None or after is None:
        return verb
    sizes = f"{numbers['baseline_n']:,} verdicts before, {numbers['candidate_n']:,} after"
    return f"{verb}: {percent(before)} {ARROW} {percent(after)}, {_change(numbers)} ({sizes})"


def _change(numbers: Mapping[str, Any]) -> str:
    effect = numbers["effect"]
    plain = numbers["candidate_score"] - numbers["baseline_score"]
    like = " like for like" if abs(plain - effect) >= VISIBLE else ""
    low, high = numbers["effect_low"], numbers["effect_high"]
    return f"{points(effect)} points{like} [{points(low)}, {points(high)}]"


def advice(name: Mapping[str, str], regression: Mapping[str, Any]) -> str:
    """Return what to do about a slice."""
    place = where(name)
    if regression["direction"] == "improvement":
        return f"Keep it, and put cases of {place} into the data set so that it stays."
    if regression.get("version_dimension"):
        return (
            f"Serve {place} with {regression['version_dimension']} {regression['old']} again, or "
            f"repair {regression['new']} on the failing traces of this slice and replay them."
        )
    return (
        f"Read the failing traces of {place}, put them into the data set, and check what changed "
        "there at that time: inputs, tools, model."
    )


def version_advice(name: str, old: str, sign: float, diff: str | None) -> str:
    """Return what to do about a new version."""
    if sign > 0:
        return f"Keep it; the data set should hold what {name} {old} failed on."
    if diff:
        return (
            f"Go back to {name} {old}, or take the lines of the diff back one by one and replay "
            "the failing traces."
        )
    return f"Go back to {name} {old} and compare both on the failing traces."

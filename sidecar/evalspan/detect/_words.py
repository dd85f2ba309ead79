"""A state in words: one sentence that says what changed, by how much, and how sure it is."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

WORTH_SAYING, SMALLEST_BOUND = 0.05, 0.001
"""Bounds of the chance of a false alarm are told below the first and no smaller than the second."""


class Level(NamedTuple):
    """Where the score is since a time, over so many verdicts."""

    since: datetime
    score: float
    verdicts: int


def reason(row: Mapping[str, Any], why: str, now: Level | None, bound: float | None) -> str:
    """The state of a row in words; ``why`` it recovered or ended, ``now`` where the score is."""
    parts = [_mix(row) if row["kind"] == "mix" else _within(row)]
    if bound is not None and bound < WORTH_SAYING:
        times = int(1 / max(bound, SMALLEST_BOUND))
        parts.append(
            "If nothing had changed, chance alone would make it look like this at most 1 time in "
            f"{times:,}, however often one looks."
        )
    where = (
        f"{percent(now.score)} since {now.since:%Y-%m-%d %H:%M} UTC ({now.verdicts:,} verdicts)"
        if now is not None
        else ""
    )
    if row["state"] == "worsening" and where:
        parts.append(f"It fell further: it is at {where}.")
    elif row["state"] == "open" and where:
        parts.append(f"It had ended and came again: it is at {where}.")
    elif row["state"] in ("recovered", "resolved"):
        told = f"{row['state'].capitalize()}: {why}"
        parts.append(f"{told}; it is at {where}." if where else f"{told}.")
    return " ".join(parts)


def percent(share: float | None) -> str:
    """A share as percent: 97.1 %."""
    return "unknown" if share is None else f"{100 * share:.1f} %"


def points(estimate: float, low: float, high: float) -> str:
    """A difference of shares with its interval: −36.9 points [−44.0, −29.8]."""
    first, *bounds = (
        f"{100 * x:+.1f}".replace("-", "\N{MINUS SIGN}") for x in (estimate, low, high)
    )
    return f"{first} points [{', '.join(bounds)}]"


def _within(row: Mapping[str, Any]) -> str:
    names = json.loads(row["slice"])
    where = " and ".join(f"{key}={value}" for key, value in names.items()) or "all traffic"
    effect = points(row["effect"], row["effect_low"], row["effect_high"])
    if row["direction"] == "revision":
        return (
            f"The check itself was changed, revision {row['old']} to {row['new']}. That moved the "
            f"score {_from_to(row)}, on the same traffic by {effect}, and says nothing about the "
            "answers: verdicts are compared within one revision."
        )
    verb = "fell" if row["direction"] == "regression" else "rose"
    version = f" with {row['version_dimension']} {row['new']} (it was {row['old']})"
    cause = version if row["kind"] == "version" else ""
    return (
        f"The score of {where} {verb} {_from_to(row)}{cause}. On the same traffic that is {effect}."
    )


def _mix(row: Mapping[str, Any]) -> str:
    amount = points(row["mix_amount"], row["mix_low"], row["mix_high"])
    effect = points(row["effect"], row["effect_low"], row["effect_high"])
    return (
        f"The mix of traffic changed the score by {amount}: {_from_to(row)}. On the same traffic "
        f"the difference is {effect}."
    )


def _from_to(row: Mapping[str, Any]) -> str:
    return (
        f"from {percent(row['baseline_score'])} to {percent(row['candidate_score'])} "
        f"({row['baseline_n']:,} verdicts before, {row['candidate_n']:,} after)"
    )

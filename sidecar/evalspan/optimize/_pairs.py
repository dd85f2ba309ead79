"""Pairs of answers to the same case, and how their verdicts changed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from evalspan.optimize._case import Tried

_VERDICTS = {"pass", "fail"}


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of two prompts to one case."""

    before: Tried
    after: Tried


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one check over pairs that have a verdict on both sides.

    `verdicts_lost` are the pairs with a verdict before and none after.
    """

    n: int
    passed_before: int
    passed_after: int
    losses: int
    gains: int
    verdicts_lost: int


def pair(before: Sequence[Tried], after: Sequence[Tried]) -> list[Pair]:
    """Join two replays of the same cases; raises ValueError where they differ."""
    pairs = [Pair(old, new) for old, new in zip(before, after, strict=True)]
    if any(each.before.case.case_id != each.after.case.case_id for each in pairs):
        msg = "the two replays are not of the same cases in the same order"
        raise ValueError(msg)
    return pairs


def checks_of(pairs: Sequence[Pair]) -> set[str]:
    """Checks that gave a verdict anywhere."""
    return {
        check
        for each in pairs
        for tried in (each.before, each.after)
        for check, verdict in tried.verdicts.items()
        if verdict in _VERDICTS
    }


def slices_of(pairs: Sequence[Pair]) -> list[tuple[dict[str, str], list[Pair]]]:
    """Split pairs by each dimension; a dimension of one value is no split."""
    groups: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for each in pairs:
        for name, value in each.before.case.slice.items():
            groups[name][value].append(each)
    return [
        ({name: value}, rows)
        for name, values in sorted(groups.items())
        if len(values) > 1
        for value, rows in sorted(values.items())
    ]


def tally(pairs: Sequence[Pair], check: str) -> Tally:
    """Count how the verdicts of `check` changed."""
    seen = [
        (each.before.verdicts.get(check) or "", each.after.verdicts.get(check) or "")
        for each in pairs
    ]
    both = [each for each in seen if _VERDICTS.issuperset(each)]
    return Tally(
        n=len(both),
        passed_before=sum(old == "pass" for old, _ in both),
        passed_after=sum(new == "pass" for _, new in both),
        losses=both.count(("pass", "fail")),
        gains=both.count(("fail", "pass")),
        verdicts_lost=sum(old in _VERDICTS and new not in _VERDICTS for old, new in seen),
    )

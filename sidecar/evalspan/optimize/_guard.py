"""Accept: is the proposal proven better, and nothing else worse?

The check that is to get better needs an exact paired test (McNemar). Every other
check, and every slice with cases enough, must be proven not worse by more than
the margin (non-inferiority, the error divided by the number of proofs). What is
too small to prove is a reservation that says how many more cases it needs, and
evidence of harm (one-sided exact sign test, its error shared by the other checks,
and once more by the slices of each check) is a veto.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Literal

from evalspan.optimize._case import Tried
from evalspan.optimize._outcome import Comparison, Judgement, Resource, Standing, Verdict
from evalspan.optimize._pairs import Pair, Tally, checks_of, pair, slices_of, tally
from evalspan.optimize._settings import OptimizeSettings
from evalspan.optimize._words import (
    lost,
    too_dear,
    too_many_failed,
    too_slow,
    unproven,
    unproven_slices,
    vetoes,
)
from evalspan.stats import mcnemar_exact, non_inferiority, paired_difference_interval

_MOST_PROJECTED = 10_000
_non_inferiority = lru_cache(maxsize=4096)(non_inferiority)  # slices repeat the same few counts


def judge(
    before: Sequence[Tried],
    after: Sequence[Tried],
    check: str,
    settings: OptimizeSettings,
    part: Literal["search", "holdout"] = "holdout",
) -> Judgement:
    """Compare the answers of two prompts to the same cases, in the same order."""
    pairs = pair(before, after)
    names = sorted(checks_of(pairs) | {check}, key=lambda name: (name != check, name))
    everything: dict[str, str] = {}
    whole = [(tally(pairs, name), name, everything) for name in names]
    groups = slices_of(pairs)
    sliced = [(tally(rows, name), name, where) for where, rows in groups for name in names]
    provable = [entry for entry in sliced if entry[0].n >= _fewest(settings)]
    proofs = max(1, len(whole) - 1 + len(provable))
    rows = [
        _improvement(*entry, settings)
        if entry[1] == check
        else _other(*entry, settings, proofs, len(whole) - 1)
        for entry in whole
    ]
    parts = [_other(*entry, settings, proofs, len(groups)) for entry in sliced if entry[0].n]
    resources = _resources(pairs)
    failed = sum(bool(each.before.output.error or each.after.output.error) for each in pairs)
    reasons = [
        *too_many_failed(len(pairs), failed, settings),
        *vetoes(rows, parts),
        *too_dear(resources, settings),
        *_too_slow(pairs, settings),
    ]
    reservations = [*unproven(rows), *unproven_slices(parts), *lost(rows, settings)]
    verdict: Verdict = (
        "rejected" if reasons else "accepted with reservations" if reservations else "accepted"
    )
    return Judgement(
        part=part,
        verdict=verdict,
        reasons=tuple(reasons),
        reservations=tuple(reservations),
        checks=tuple(rows),
        slices=tuple(parts),
        resources=resources,
        failed_replays=failed,
    )


def _too_slow(pairs: Sequence[Pair], settings: OptimizeSettings) -> list[str]:
    """Veto where the typical answer takes longer than is allowed: a sign test of the pairs.

    A mean of times would let one slow call decide.
    """
    times = [(each.before.output.duration_ms, each.after.output.duration_ms) for each in pairs]
    known = [(old, new) for old, new in times if old is not None and new is not None]
    slow = sum(new > old * (1 + settings.max_latency_increase) for old, new in known)
    proven = _sign_test(slow, len(known) - slow) <= settings.alpha
    return [too_slow(slow, len(known), settings)] if proven else []


def harmed(judgement: Judgement) -> bool:
    """Whether a check or a slice shows evidence of harm."""
    rows = (*judgement.checks, *judgement.slices)
    return any(row.standing == "worse" for row in rows)


def gain(judgement: Judgement) -> float:
    """Difference of the check that is to get better; -1 where nothing was compared."""
    difference = judgement.checks[0].difference
    return -1.0 if difference is None else difference


def _fewest(settings: OptimizeSettings) -> int:
    """Cases that prove the margin with no loss at all: (1 - margin)^n <= alpha."""
    return math.ceil(math.log(settings.alpha) / math.log(1 - settings.margin))


def _improvement(
    seen: Tally, check: str, where: dict[str, str], settings: OptimizeSettings
) -> Comparison:
    p_value = mcnemar_exact(seen.losses, seen.gains)
    harm = _sign_test(seen.losses, seen.gains) <= settings.harm_alpha
    standing: Standing = "worse" if harm else "no proof"
    if seen.gains > seen.losses and p_value <= settings.alpha:
        standing = "improved"
    needs = 0 if standing == "improved" else _more_cases(seen, settings.alpha)
    return _comparison(seen, check, where, standing, p_value, needs)


def _other(
    seen: Tally,
    check: str,
    where: dict[str, str],
    settings: OptimizeSettings,
    proofs: int,
    looks: int,
) -> Comparison:
    proof = _non_inferiority(
        seen.losses, seen.gains, seen.n, settings.margin, settings.alpha, proofs
    )
    p_value = mcnemar_exact(seen.losses, seen.gains)
    limit = settings.harm_alpha / looks
    standing: Standing = "unproven"
    if proof.proven:
        standing = "not worse"
    elif _sign_test(seen.losses, seen.gains) <= limit:
        standing = "worse"
    needs = proof.cases_needed - seen.n if standing == "unproven" else 0
    return _comparison(seen, check, where, standing, p_value, needs)


def _comparison(
    seen: Tally,
    check: str,
    where: dict[str, str],
    standing: Standing,
    p_value: float,
    needs: int,
) -> Comparison:
    changes = [-1] * seen.losses + [1] * seen.gains + [0] * (seen.n - seen.losses - seen.gains)
    interval = paired_difference_interval(changes) if seen.n else None
    return Comparison(
        check=check,
        slice=where,
        n=seen.n,
        before=seen.passed_before / seen.n if seen.n else None,
        after=seen.passed_after / seen.n if seen.n else None,
        difference=interval.estimate if interval else None,
        low=max(-1.0, interval.low) if interval else None,
        high=min(1.0, interval.high) if interval else None,
        losses=seen.losses,
        gains=seen.gains,
        p_value=p_value,
        standing=standing,
        needs=needs,
        verdicts_lost=seen.verdicts_lost,
    )


def _sign_test(losses: int, gains: int) -> float:
    """One-sided exact p-value of at least so many losses among the changed pairs."""
    changed = losses + gains
    if losses <= gains:
        return 1.0
    return sum(math.comb(changed, k) for k in range(losses, changed + 1)) / 2.0**changed


def _more_cases(seen: Tally, alpha: float) -> int:
    """Cases that are missing for a proof if the rest went as these did; 0 if none would do."""
    if seen.gains <= seen.losses:
        return 0
    size = seen.n
    while size < _MOST_PROJECTED:
        size += max(1, size // 20)
        losses, gains = (round(k * size / seen.n) for k in (seen.losses, seen.gains))
        if mcnemar_exact(losses, gains) <= alpha:
            return size - seen.n
    return 0


def _resources(pairs: Sequence[Pair]) -> tuple[Resource, ...]:
    return (
        _resource("input_tokens", pairs, lambda tried: tried.output.input_tokens),
        _resource("output_tokens", pairs, lambda tried: tried.output.output_tokens),
        _resource("cost_usd", pairs, lambda tried: tried.cost_usd),
        _resource("duration_ms", pairs, lambda tried: tried.output.duration_ms),
    )


def _resource(
    name: Literal["input_tokens", "output_tokens", "cost_usd", "duration_ms"],
    pairs: Sequence[Pair],
    take: Callable[[Tried], float | None],
) -> Resource:
    both = [(take(each.before), take(each.after)) for each in pairs]
    known = [(old, new) for old, new in both if old is not None and new is not None]
    return Resource(
        name=name,
        before=fmean(old for old, _ in known) if known else None,
        after=fmean(new for _, new in known) if known else None,
        n=len(known),
    )

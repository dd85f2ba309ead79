"""The sentences of a judgement: vetoes, and what could not be proven."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from evalspan.optimize._outcome import Comparison, Resource
from evalspan.optimize._settings import OptimizeSettings, TargetSettings

_MOST_NAMED = 3


def error_kind(error: str) -> str:
    """`APIConnectionError: Connection error.` is of the kind `APIConnectionError`."""
    return error.partition(":")[0]


def nothing_answered(errors: Sequence[str], wanted: int, target: TargetSettings) -> str:
    """Say that of the `wanted` calls none was answered; `errors` are those of the calls made."""
    made = len(errors)
    which = f"All {made} calls" if made == wanted else f"The first {made} calls"
    every = "" if made == wanted else "all "
    kinds = {error_kind(each) for each in errors}
    why = errors[0] if len(kinds) == 1 else _kinds(errors)
    return (
        f"{which} to {target.model or target.use} {every}failed ({why}), so nothing was tried. "
        "Check the key and `optimize.target`."
    )


def failed_calls(errors: Sequence[str], made: int) -> list[str]:
    """`24 of 480 calls failed: 12 × TimeoutError: not yet`, the commonest kinds; nothing for none.

    A kind is told with the words of its first failure.
    """
    return [f"{len(errors)} of {made} calls failed: {_kinds(errors)}"] if errors else []


def _kinds(errors: Sequence[str]) -> str:
    counts = Counter(map(error_kind, errors))
    words = {error_kind(each): each for each in reversed(errors)}
    told = [f"{n} \N{MULTIPLICATION SIGN} {words[k]}" for k, n in counts.most_common(_MOST_NAMED)]
    more = len(counts) - len(told)
    return "; ".join([*told, *([f"{more} more kinds"] if more else [])])


def too_many_failed(total: int, failed: int, settings: OptimizeSettings) -> list[str]:
    """Veto where too many calls failed for the rest to be the whole picture."""
    if failed <= settings.max_failed_replays * total:
        return []
    return [f"{failed} of {total} replays failed, so the rest proves nothing"]


def vetoes(checks: Sequence[Comparison], slices: Sequence[Comparison]) -> list[str]:
    """Why the proposal is rejected; `checks` starts with the one to improve."""
    first, *others = checks
    head = f"improves {first.check} by {_points(first.difference)} but "
    if first.standing != "improved":
        head = f"{_not_improved(first)}; "
    harms = [_falls(row) for row in others if row.standing == "worse"]
    known = {row.check for row in others if row.standing == "worse"}
    deepest = sorted(
        (row for row in slices if row.standing == "worse" and row.check not in known),
        key=lambda row: row.difference or 0.0,
    )
    harms += [_falls(row) for row in deepest[:_MOST_NAMED]]
    if len(deepest) > _MOST_NAMED:
        harms.append(f"{len(deepest) - _MOST_NAMED} more slices fall")
    if harms:
        return [head + harms[0], *harms[1:]]
    return [] if first.standing == "improved" else [head.removesuffix("; ")]


def too_dear(resources: Sequence[Resource], settings: OptimizeSettings) -> list[str]:
    """Veto on cost, or on tokens where no price is known."""
    by_name = {row.name: row for row in resources}
    cost = by_name["cost_usd"]
    money = [cost] if cost.n else [by_name["input_tokens"], by_name["output_tokens"]]
    before, after = (sum(getattr(row, side) or 0.0 for row in money) for side in _SIDES)
    limit = settings.max_cost_increase
    if before <= 0 or after <= before * (1 + limit):
        return []
    word = "costs" if cost.n else "takes tokens"
    more = _share(after / before - 1)
    return [f"an answer {word} {more} more than before, {_share(limit)} is allowed"]


def too_slow(slow: int, timed: int, settings: OptimizeSettings) -> str:
    """Veto on latency: `slow` of `timed` answers took longer than is allowed."""
    limit = settings.max_latency_increase
    return f"{slow} of {timed} answers take over {_share(limit)} more time than before"


_SIDES = ("before", "after")


def unproven(checks: Sequence[Comparison]) -> list[str]:
    """Reservations of checks that are neither proven nor shown to be harmed."""
    return [
        f"{row.check}: {row.n} cases are too few to prove, needs {row.needs} more"
        for row in checks
        if row.standing == "unproven"
    ]


def unproven_slices(slices: Sequence[Comparison]) -> list[str]:
    """One reservation per dimension: the slices that are too small, and by how much."""
    needs: dict[str, dict[str, int]] = defaultdict(dict)
    for row in slices:
        if row.standing == "unproven":
            for name, value in row.slice.items():
                needs[name][value] = max(row.needs, needs[name].get(value, 0))
    return [f"{name}: too few to prove for {_listed(values)}" for name, values in needs.items()]


def lost(checks: Sequence[Comparison], settings: OptimizeSettings) -> list[str]:
    """Reservations of checks that can no longer decide cases which they decided before."""
    return [
        f"{row.check} has no verdict any more on {row.verdicts_lost} cases that it decided before"
        for row in checks
        if row.verdicts_lost > settings.margin * (row.n + row.verdicts_lost)
    ]


def _listed(needs: dict[str, int]) -> str:
    first = sorted(needs.items())[:_MOST_NAMED]
    text = ", ".join(f"{_shown(value)} (needs {count} more)" for value, count in first)
    more = len(needs) - len(first)
    return f"{text} and {more} more" if more else text


def _shown(value: str) -> str:
    return value if value.strip() else "(none)"


def _not_improved(row: Comparison) -> str:
    if not row.n:
        return f"no case has a verdict on {row.check} both before and after"
    if row.standing == "worse":
        return _falls(row)
    rates = f"{row.check}: {movement(row)}, {row.n} cases"
    if row.gains <= row.losses:
        return f"does not improve {rates}"
    need = f"needs about {row.needs} more" if row.needs else "more would hardly help"
    return f"{rates} are too few to prove, {need}"


def _falls(row: Comparison) -> str:
    where = ", ".join(f"{name}={_shown(value)}" for name, value in row.slice.items())
    place = f" for {where}" if where else ""
    return (
        f"{row.check} falls{place}: {movement(row)} "
        f"({row.losses} of {row.n} cases lost, {row.gains} won)"
    )


def movement(row: Comparison) -> str:
    """`80.8 % → 95.0 %`, the pass rates before and after."""
    rates = (row.before, row.after)
    before, after = (_UNKNOWN if rate is None else f"{100 * rate:.1f} %" for rate in rates)
    return f"{before} \N{RIGHTWARDS ARROW} {after}"


_UNKNOWN = "\N{EN DASH}"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(difference: float | None) -> str:
    points = round(100 * (difference or 0.0))
    return f"{points} point" if points == 1 else f"{points} points"

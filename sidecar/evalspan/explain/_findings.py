"""Findings: slices, mix, version and what stays unexplained, each with its share of the drop."""

import difflib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalspan.explain import _words as words
from evalspan.explain._settings import ExplainSettings
from evalspan.explain._sides import Mask, Sides
from evalspan.explain._slices import Ranked, independent, ranked
from evalspan.stats import (
    Interval,
    crossed,
    mix_difference,
    stratified_difference,
    sums_by,
    weighted_mean,
)

Prompts = Callable[[str], str | None]

FAILING = 0.5
SMALL = 0.1
"""Shares of the drop below this are not worth a finding of their own."""
MOST = 0.5
"""Slices that hold less of the drop than this leave it a drop of the whole."""
NEW_BEFORE, NEW_AFTER = 0.05, 0.5
"""A value is new where it had less than the one and has more than the other share of rows."""

MOST_LINES = 5_000
"""Lines of a prompt that are compared: comparing takes time with their square, and a trace can
hold a prompt of any length."""


@dataclass(frozen=True)
class Drop:
    """The difference of the scores, split into the change within strata and the mix.

    ``harm`` adds up the parts in the direction of the regression: the whole that shares are of;
    ``spread`` is the square of the half width of its interval.
    """

    within: Interval
    mix: Interval
    harm: float
    spread: float


def split_drop(sides: Sides) -> Drop:
    """Change within and mix of all rows of the regression (Kitagawa 1955)."""
    after, before = sides.table(np.ones(len(sides.score), dtype=np.bool_))
    within = stratified_difference(after, before)
    mix = mix_difference(after, before)
    harmful = [part for part in (within, mix) if part.estimate * sides.sign > 0]
    harm = sum(part.estimate * sides.sign for part in harmful)
    spread = sum(((part.high - part.low) / 2) ** 2 for part in harmful)
    return Drop(within, mix, harm, spread)


def find(
    sides: Sides,
    regression: Mapping[str, Any],
    settings: ExplainSettings,
    prompts: Prompts | None,
) -> list[dict[str, Any]]:
    """All findings by share of the drop, the largest first; the unexplained rest last."""
    drop = split_drop(sides)
    if not drop.harm > 0:
        return []
    slices = independent(sides, ranked(sides, settings), settings)
    findings = [_slice(sides, item, drop, regression, settings) for item in slices]
    whole = sum(finding["share"] for finding in findings) < MOST
    if whole:
        findings += _whole(sides, drop, regression, settings)
    findings += _mix(sides, drop, settings)
    findings.sort(key=lambda finding: -finding["share"])
    versions = _versions(sides, drop, regression, settings, prompts)
    rest = [] if whole else _rest(sides, slices, drop, settings)
    mixed = regression["direction"] == "mix_shift"
    ordered = [*findings, *versions] if mixed else [*versions, *findings]
    ranked_findings = [{"rank": rank, **f} for rank, f in enumerate([*ordered, *rest], 1)]
    return _told_once(ranked_findings)


def _told_once(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give no part of the drop to two causes.

    A version changes for all traffic, so its drop is the one of the slices too. What holds the
    same drop as a version before it, or the other way round, says so and has no share of its
    own; a slice that holds a part of it keeps the share of that part.
    """
    told: list[dict[str, Any]] = []
    for finding in findings:
        over = next((each for each in told if _overlap(each, finding)), None)
        told.append(finding if over is None else _within(finding, over))
    return told


_WITHIN = {"prompt_change", "slice"}


def _overlap(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    kinds = {first["kind"], second["kind"]}
    return "prompt_change" in kinds and kinds <= _WITHIN and first["share"] is not None


def _within(finding: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    same = abs(finding["share"] - over["share"]) < SMALL
    told = "the same traffic as" if same else "a part of the traffic of"
    shares = dict.fromkeys(("share", "share_low", "share_high")) if same else {}
    return {**finding, "title": f"{finding['title']}; {told} cause {over['rank']}", **shares}


def _numbers(
    sides: Sides, rows: Mask, effect: Interval, settings: ExplainSettings
) -> dict[str, Any]:
    after, before = rows & sides.after, rows & ~sides.after
    failing = np.flatnonzero(after & (sides.score < FAILING))[::-1]
    traces = dict.fromkeys(sides.trace[row] for row in failing)
    return {
        "baseline_n": int(before.sum()),
        "candidate_n": int(after.sum()),
        "baseline_score": _mean(sides, before),
        "candidate_score": _mean(sides, after),
        "effect": effect.estimate,
        "effect_low": effect.low,
        "effect_high": effect.high,
        "exemplars": list(traces)[: settings.max_exemplars],
        "prompt_diff": None,
    }


def _mean(sides: Sides, rows: Mask) -> float | None:
    mean, size = weighted_mean(sides.score[rows], sides.weight[rows])
    return mean if size > 0 else None


def _shares(part: Interval, drop: Drop, sides: Sides, factor: float = 1.0) -> dict[str, float]:
    """Share of the harm C/(C + R), R the rest of it, with its interval by the delta method."""
    own = factor * sides.sign * part.estimate
    rest = drop.harm - own
    variance = (factor * (part.high - part.low) / 2) ** 2
    others = max(drop.spread - variance, 0.0)
    half = math.sqrt(rest**2 * variance + own**2 * others) / drop.harm**2
    share = own / drop.harm
    return {"share": share, "share_low": share - half, "share_high": share + half}


def _part(sides: Sides, rows: Mask) -> tuple[Interval, float]:
    """Change within of some rows, and their share of the traffic after."""
    after = sides.weight[sides.after].sum()
    here = sides.weight[rows & sides.after].sum()
    return stratified_difference(*sides.table(rows)), float(here / after) if after else 0.0


def _slice(
    sides: Sides, item: Ranked, drop: Drop, regression: Mapping[str, Any], settings: ExplainSettings
) -> dict[str, Any]:
    effect, traffic = _part(sides, item.rows)
    numbers = _numbers(sides, item.rows, effect, settings)
    name = {**json.loads(regression["slice"]), **item.name}
    return {
        "kind": "slice",
        "slice": json.dumps(name, sort_keys=True, ensure_ascii=False),
        "title": f"{words.where(name)} {words.moved(numbers, sides.sign)}",
        **_shares(effect, drop, sides, traffic),
        **numbers,
        "countermeasure": words.advice(name, regression),
    }


def _whole(
    sides: Sides, drop: Drop, regression: Mapping[str, Any], settings: ExplainSettings
) -> list[dict[str, Any]]:
    """The regression's own slice, where no part of it holds most of the change."""
    name = json.loads(regression["slice"])
    if drop.within.estimate * sides.sign <= 0:
        return []
    rows = np.ones(len(sides.score), dtype=np.bool_)
    numbers = _numbers(sides, rows, drop.within, settings)
    return [
        {
            "kind": "slice",
            "slice": json.dumps(name, sort_keys=True, ensure_ascii=False),
            "title": f"{words.where(name)} {words.moved(numbers, sides.sign)}",
            **_shares(drop.within, drop, sides),
            **numbers,
            "countermeasure": words.advice(name, regression),
        }
    ]


def _mix(sides: Sides, drop: Drop, settings: ExplainSettings) -> list[dict[str, Any]]:
    """The mix of traffic, told by the dimension that shows most of it."""
    share = _shares(drop.mix, drop, sides)
    if drop.mix.low <= 0 <= drop.mix.high or share["share"] < SMALL:
        return []
    rows = np.ones(len(sides.score), dtype=np.bool_)
    amounts = [(_dimension_mix(sides, name), name) for name in settings.dimensions]
    amount, name = max(amounts, key=lambda pair: pair[0] * sides.sign)
    value, change = _moved_value(sides, name)
    return [
        {
            "kind": "mix",
            "slice": json.dumps({name: value}, ensure_ascii=False),
            "title": f"The mix of traffic changed: {name}={value} by {words.points(change)} points "
            f"of all traffic; the mix over {name} makes {words.points(amount)} points of the rate",
            **share,
            **_numbers(sides, rows, drop.mix, settings),
            "countermeasure": f"No change of quality. Set targets per {name}, or improve "
            f"{name}={value} if it stays that common.",
        }
    ]


def _dimension_mix(sides: Sides, name: str) -> float:
    """Mix amount over the values of one dimension."""
    labels = crossed([sides.codes[name]], len(sides.score))
    width = int(labels.max(initial=0)) + 1
    tables = [
        np.stack([sums_by(labels[side], m[side], width) for m in sides.moments])
        for side in (sides.after, ~sides.after)
    ]
    return mix_difference(tables[0], tables[1]).estimate


def _moved_value(sides: Sides, name: str) -> tuple[str, float]:
    """The value whose share of traffic moved the score most in the direction of the drop."""
    codes = np.where(sides.codes[name] < 0, len(sides.values[name]), sides.codes[name])
    w = sides.weight
    width = len(sides.values[name]) + 1
    n1 = sums_by(codes[sides.after], w[sides.after], width)
    n0 = sums_by(codes[~sides.after], w[~sides.after], width)
    mean = sums_by(codes, w * sides.score, width) / np.maximum(n1 + n0, 1e-12)
    change = n1 / n1.sum() - n0 / n0.sum()
    overall = float((w * sides.score).sum() / w.sum())
    best = int((change * (mean - overall) * sides.sign)[:-1].argmax())
    return sides.values[name][best], float(change[best])


def _versions(
    sides: Sides,
    drop: Drop,
    regression: Mapping[str, Any],
    settings: ExplainSettings,
    prompts: Prompts | None,
) -> list[dict[str, Any]]:
    """Versions that changed with the score: the regression's own, and others at the same time."""
    if drop.within.estimate * sides.sign <= 0:
        return []
    changed = {
        name: pair
        for name in settings.version_dimensions
        if (pair := _new_value(sides, name)) is not None
    }
    if regression.get("version_dimension"):
        own = {regression["version_dimension"]: (regression["old"], regression["new"])}
        changed = {**own, **{k: v for k, v in changed.items() if k not in own}}
    rows = np.ones(len(sides.score), dtype=np.bool_)
    findings = []
    for name, (old, new) in changed.items():
        diff = None
        if name == settings.prompt_dimension and prompts is not None:
            diff = _diff(old, new, prompts)
        findings.append(
            {
                "kind": "prompt_change",
                "slice": json.dumps({name: new}, ensure_ascii=False),
                "title": f"{name} changed from {old} to {new} with the score",
                **_shares(drop.within, drop, sides),
                **_numbers(sides, rows, drop.within, settings),
                "prompt_diff": diff,
                "countermeasure": words.version_advice(name, old, sides.sign, diff),
            }
        )
    return findings


def _new_value(sides: Sides, name: str) -> tuple[str, str] | None:
    codes, values = sides.codes[name], sides.values[name]
    if not values:
        return None
    after = np.bincount(codes[sides.after & (codes >= 0)], minlength=len(values))
    before = np.bincount(codes[~sides.after & (codes >= 0)], minlength=len(values))
    new, old = int(after.argmax()), int(before.argmax())
    fresh = before[new] <= NEW_BEFORE * before.sum() and after[new] >= NEW_AFTER * after.sum()
    return (values[old], values[new]) if fresh and new != old and before.sum() else None


def _diff(old: str, new: str, prompts: Prompts) -> str | None:
    before, after = prompts(old), prompts(new)
    if before is None or after is None:
        return None
    texts = (before.splitlines(), after.splitlines())
    shown = (texts[0][:MOST_LINES], texts[1][:MOST_LINES])
    first, second = (" ".join(f"prompt {name}".split()) for name in (old, new))
    found = list(difflib.unified_diff(*shown, first, second, lineterm=""))
    if shown != texts:
        found.append(f"\\ only the first {MOST_LINES:,} lines of each were compared")
    return "\n".join(found)


def _rest(
    sides: Sides, slices: list[Ranked], drop: Drop, settings: ExplainSettings
) -> list[dict[str, Any]]:
    """The change within outside the slices found, where it is worth telling."""
    rows = np.ones(len(sides.score), dtype=np.bool_)
    for item in slices:
        rows &= ~item.rows
    effect, traffic = _part(sides, rows)
    shares = _shares(effect, drop, sides, traffic) if effect.estimate == effect.estimate else None
    if not slices or shares is None or shares["share"] < SMALL:
        return []
    return [
        {
            "kind": "unexplained",
            "slice": "{}",
            "title": f"{100 * shares['share']:.0f} % of the change lies outside the slices named",
            **shares,
            **_numbers(sides, rows, effect, settings),
            "countermeasure": "Read the failing traces, and add a dimension that tells them apart.",
        }
    ]

"""A state as a row: change time with interval, sizes, scores, effect, mix, exemplars, reason."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from evalspan.detect._choose import Choice
from evalspan.detect._compare import Bench, Claim
from evalspan.detect._evidence import mix_evidence
from evalspan.detect._guarantee import false_alarm_bound
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import name_json
from evalspan.detect._states import Incident
from evalspan.detect._stream import Floats, Ints, Mask
from evalspan.detect._walk import Walker
from evalspan.stats import (
    Interval,
    mix_difference,
    mixture_log_evidence,
    stratified_difference,
    stratified_sums,
    sums_by,
    weighted_mean,
)

_TIME = pl.Datetime("us", "UTC")
SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "kind": pl.String(),
        "direction": pl.String(),
        "slice": pl.String(),
        "aliases": pl.String(),
        "version_dimension": pl.String(),
        "old": pl.String(),
        "new": pl.String(),
        "opened_time": _TIME,
        "change_time": _TIME,
        "change_low": _TIME,
        "change_high": _TIME,
        "baseline_n": pl.Int64(),
        "candidate_n": pl.Int64(),
        "baseline_score": pl.Float64(),
        "candidate_score": pl.Float64(),
        "effect": pl.Float64(),
        "effect_low": pl.Float64(),
        "effect_high": pl.Float64(),
        "mix_amount": pl.Float64(),
        "mix_low": pl.Float64(),
        "mix_high": pl.Float64(),
        "evidence_nats": pl.Float64(),
        "state": pl.String(),
        "exemplars": pl.List(pl.String()),
        "reason": pl.String(),
    }
)
"""Columns of what the detector returns."""

RANKING = pl.Schema(
    {
        "slice": pl.String(),
        "aliases": pl.String(),
        "change_time": _TIME,
        "effect": pl.Float64(),
        "evidence_nats": pl.Float64(),
    }
)
"""Columns of the ranking of slices."""

FAILING = 0.5
"""Scores below this are failures."""
WORTH_SAYING, SMALLEST_BOUND = 0.05, 0.001
"""Bounds of the chance of a false alarm are told below the first and no smaller than the second."""
PROFILE_NATS = 3.0
"""Starts whose evidence is within this of the best make up the interval of the change."""


def build(walker: Walker, batch: int, name: str) -> pl.DataFrame:
    """The states after a batch, one row each, in order of opening; ``name`` enters the ids."""
    seen = [incident for incident in walker.states.all if incident.opened <= batch]
    return pl.DataFrame([_row(walker, incident, batch, name) for incident in seen], schema=SCHEMA)


def ranking(walker: Walker) -> pl.DataFrame:
    """Slices of the last look by rank, the best name of each first."""
    batch = len(walker.stream.ends) - 1
    choice = Choice(Bench(walker.stream, walker.slices, batch, walker.left_out), walker.family)
    found = {claim.slice: claim for claim in choice.ranking()}
    rows = [
        {
            "slice": name_json(walker.slices.names[claim.slice]),
            "aliases": _aliases(walker, claim, batch),
            "change_time": _times(walker, claim, (claim.start,) * 3)["change_time"],
            "effect": claim.effect,
            "evidence_nats": claim.nats,
        }
        for claim in found.values()
    ]
    return pl.DataFrame(rows, schema=RANKING)


def _row(walker: Walker, incident: Incident, batch: int, name: str) -> dict[str, Any]:
    stream, claim = walker.stream, incident.claim
    until = batch if incident.resolved is None else max(incident.opened, incident.resolved - 1)
    bench = Bench(stream, walker.slices, until, incident.left_out)
    start, low, high = _change(bench, claim)
    candidate, baseline = bench.sides(_at(claim, start))
    tables = bench.table(candidate), bench.table(baseline)
    effect = _widened(stratified_difference(*tables), float(stream.deff[until]))
    mix = _widened(mix_difference(*tables), float(stream.mix_deff[until]))
    row = {
        "id": _identity(name, walker, incident),
        "kind": claim.kind,
        "direction": claim.direction,
        "slice": name_json(bench.name(claim)),
        "aliases": _aliases(walker, claim, batch),
        **_version(walker, claim),
        "opened_time": _moment(int(stream.ends[incident.opened])),
        **_times(walker, claim, (start, low, high)),
        "baseline_n": int(baseline.sum()),
        "candidate_n": int(candidate.sum()),
        "baseline_score": _mean(bench, baseline),
        "candidate_score": _mean(bench, candidate),
        "effect": effect.estimate,
        "effect_low": effect.low,
        "effect_high": effect.high,
        "mix_amount": mix.estimate,
        "mix_low": mix.low,
        "mix_high": mix.high,
        "evidence_nats": claim.nats,
        "state": "open" if incident.resolved is None else "resolved",
        "exemplars": _exemplars(bench, candidate, walker.settings),
    }
    bound = false_alarm_bound(walker, incident, until)
    return {**row, "reason": _reason(row, incident, bound)}


def _at(claim: Claim, start: int) -> Claim:
    return claim if claim.version is not None else replace(claim, start=start)


def _change(bench: Bench, claim: Claim) -> tuple[int, int, int]:
    """Best start over all batches, and the first and last start nearly as good."""
    if claim.version is not None:
        return claim.start, claim.start, claim.start
    starts = np.arange(bench.stream.first_test, bench.until + 1)
    nats = _profile(bench, claim, starts)
    good = starts[nats >= nats.max() - PROFILE_NATS]
    return int(starts[nats.argmax()]), int(good.min()), int(good.max())


def _profile(bench: Bench, claim: Claim, starts: Ints) -> Floats:
    stream = bench.stream
    keep = bench.members(claim.slice) & (stream.batch <= bench.until) & ~bench.left_out
    width = int(stream.strata.max(initial=0)) + 1
    shape = (len(stream.ends) + 1, width)
    size = shape[0] * shape[1]
    w, y = stream.weight, stream.score
    moments = np.stack([w, w * w, w * y, w * y * y])
    flat = (stream.batch + 1) * width + stream.strata
    sums = np.stack([sums_by(flat[keep], m[keep], size) for m in moments])
    sums = np.cumsum(sums.reshape(4, *shape), axis=1)
    base = sums[:, starts]
    after = sums[:, -1:, :] - base
    if claim.kind == "mix":
        fall, rise, amount = mix_evidence(after, base, float(stream.mix_deff[bench.until]))
        return np.asarray(np.where(claim.effect < 0, fall, rise) + 0 * amount)
    terms = stratified_sums(after, base)
    score, variance, third, _ = (part.sum(-1) / stream.deff[bench.until] for part in terms)
    fall, rise = mixture_log_evidence(score, variance, third)
    return fall if claim.direction == "regression" else rise


def _widened(interval: Interval, deff: float) -> Interval:
    factor = float(np.sqrt(deff))
    centre, low, high = interval
    return Interval(centre, centre - (centre - low) * factor, centre + (high - centre) * factor)


def _identity(name: str, walker: Walker, incident: Incident) -> str:
    first = incident.first
    version = _version(walker, first)
    parts = [
        name,
        first.direction,
        name_json(walker.slices.names[first.slice]),
        version["version_dimension"],
        version["new"],
        str(walker.stream.ends[incident.opened]),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _aliases(walker: Walker, claim: Claim, batch: int) -> str:
    hashes = walker.slices.prefix[:, batch + 1]
    same = np.flatnonzero(hashes == hashes[claim.slice])
    return json.dumps(
        [dict(walker.slices.names[g]) for g in same if g != claim.slice], ensure_ascii=False
    )


def _version(walker: Walker, claim: Claim) -> dict[str, str | None]:
    version = claim.version
    if version is None:
        return {"version_dimension": None, "old": None, "new": None}
    values = walker.stream.values[version.dimension]
    return {
        "version_dimension": version.dimension,
        "old": values[version.old],
        "new": values[version.new],
    }


def _times(walker: Walker, claim: Claim, batches: tuple[int, int, int]) -> dict[str, datetime]:
    stream, every = walker.stream, walker.settings.every
    start, low, high = batches
    if claim.version is not None:
        codes = stream.codes[claim.version.dimension]
        moment = _moment(int(stream.time[np.argmax(codes == claim.version.new)]))
        return {"change_time": moment, "change_low": moment, "change_high": moment}
    # the change may lie within the batch before the best start as well as in it
    return {
        "change_time": _moment(int(stream.ends[start])) - every,
        "change_low": _moment(int(stream.ends[max(low - 1, 0)])) - every,
        "change_high": _moment(int(stream.ends[high])),
    }


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _mean(bench: Bench, rows: Mask) -> float | None:
    mean, size = weighted_mean(bench.stream.score[rows], bench.stream.weight[rows])
    return mean if size > 0 else None


def _exemplars(bench: Bench, candidate: Mask, settings: DetectSettings) -> list[str]:
    """Trace ids of the latest failing candidate rows."""
    failing = np.flatnonzero(candidate & (bench.stream.score < FAILING))[::-1]
    traces = dict.fromkeys(bench.stream.trace[row] for row in failing)
    return list(traces)[: settings.max_exemplars]


def _reason(row: dict[str, Any], incident: Incident, bound: float | None) -> str:
    names = json.loads(row["slice"])
    where = " and ".join(f"{key}={value}" for key, value in names.items()) or "all traffic"
    before, after = (
        f"{row[key]:.3f}" if row[key] is not None else "unknown"
        for key in ("baseline_score", "candidate_score")
    )
    sizes = f"{row['baseline_n']} verdicts before, {row['candidate_n']} after"
    bounds = f"{row['effect']:+.3f} [{row['effect_low']:+.3f}, {row['effect_high']:+.3f}]"
    if row["kind"] == "mix":
        text = (
            f"The mix of traffic changed the score by {row['mix_amount']:+.3f} "
            f"[{row['mix_low']:+.3f}, {row['mix_high']:+.3f}], {before} to {after}, "
            f"({sizes}); within the same traffic the difference is {bounds}."
        )
    else:
        verb = "fell" if row["direction"] == "regression" else "rose"
        cause = ""
        if row["kind"] == "version":
            cause = f" with {row['version_dimension']} {row['new']} against {row['old']}"
        text = (
            f"The score of {where} {verb} from {before} to {after}{cause} ({sizes}); "
            f"within the same traffic by {bounds}."
        )
    if bound is not None and bound < WORTH_SAYING:
        text += (
            f" Exact evidence like this comes in at most {max(bound, SMALLEST_BOUND):.1%} of "
            "histories without any change, however often one looks."
        )
    return text if not incident.why_resolved else f"{text} Resolved: {incident.why_resolved}."

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
from evalspan.detect._guarantee import false_alarm_bound
from evalspan.detect._profile import Change, change_of
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import name_json
from evalspan.detect._states import Incident
from evalspan.detect._stream import Mask
from evalspan.detect._walk import Walker
from evalspan.detect._words import Level, reason
from evalspan.stats import Interval, mix_difference, stratified_difference, weighted_mean

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
        "state_time": _TIME,
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
            "change_time": _times(walker, claim, Change(*(claim.start,) * 3))["change_time"],
            "effect": claim.effect,
            "evidence_nats": claim.nats,
        }
        for claim in found.values()
    ]
    return pl.DataFrame(rows, schema=RANKING)


def _row(walker: Walker, incident: Incident, batch: int, name: str) -> dict[str, Any]:
    stream, claim = walker.stream, incident.claim
    until = _last_batch(incident, batch)
    bench = Bench(stream, walker.slices, until, incident.left_out)
    change = change_of(bench, claim, incident.opened)
    candidate, baseline = bench.sides(_at(claim, change.start))
    row = {
        "id": _identity(name, walker, incident),
        "kind": claim.kind,
        "direction": claim.direction,
        "slice": name_json(bench.name(claim)),
        "aliases": _aliases(walker, claim, batch),
        **_version(walker, claim),
        "opened_time": _moment(int(stream.ends[incident.opened])),
        **_times(walker, claim, change),
        "baseline_n": int(baseline.sum()),
        "candidate_n": int(candidate.sum()),
        "baseline_score": _mean(bench, baseline),
        "candidate_score": _mean(bench, candidate),
        **_differences(bench, claim, candidate, baseline),
        "evidence_nats": claim.nats,
        "state": incident.state,
        "state_time": _moment(int(stream.ends[incident.since])),
        "exemplars": _exemplars(bench, candidate, walker.settings),
    }
    bound = false_alarm_bound(walker, incident, until)
    return {**row, "reason": reason(row, incident.why, _now(walker, incident, batch), bound)}


def _last_batch(incident: Incident, batch: int) -> int:
    """The last batch that shows the change: that before the recovery, or before the end."""
    if incident.good_from is not None:
        return max(incident.good_from - 1, incident.claim.start)
    if incident.state in ("recovered", "resolved"):
        return max(incident.opened, incident.since - 1)
    return batch


def _differences(bench: Bench, claim: Claim, candidate: Mask, baseline: Mask) -> dict[str, float]:
    """Difference within strata and by their mix, with 95 % intervals."""
    stream, until = bench.stream, bench.until
    across = claim.direction == "revision"
    new, old = (bench.table(rows, across_revisions=across) for rows in (candidate, baseline))
    effect = _widened(stratified_difference(new, old), float(stream.deff[until]))
    new, old = (bench.table(rows, across_revisions=True) for rows in (candidate, baseline))
    mix = _widened(mix_difference(new, old), float(stream.mix_deff[until]))
    return {
        "effect": effect.estimate,
        "effect_low": effect.low,
        "effect_high": effect.high,
        "mix_amount": mix.estimate,
        "mix_low": mix.low,
        "mix_high": mix.high,
    }


def _now(walker: Walker, incident: Incident, batch: int) -> Level | None:
    """Where the score is now, for states that say more than that it changed."""
    stream, claim = walker.stream, incident.claim
    relapsed = incident.state == "open" and bool(claim.gaps)
    if incident.state == "worsening" or relapsed:
        begin, mask = incident.level_from, _bench(walker, batch).region(claim)
    elif incident.good_from is not None:
        begin, mask = incident.good_from, _bench(walker, batch).members(claim.slice)
    else:
        return None
    rows = mask & (stream.batch >= begin) & (stream.batch <= batch)
    mean, size = weighted_mean(stream.score[rows], stream.weight[rows])
    began = _moment(int(stream.ends[begin])) - walker.settings.every
    return Level(began, mean, int(rows.sum())) if size > 0 else None


def _bench(walker: Walker, batch: int) -> Bench:
    return Bench(walker.stream, walker.slices, batch, walker.left_out)


def _at(claim: Claim, start: int) -> Claim:
    return claim if claim.version is not None else replace(claim, start=start)


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


def _times(walker: Walker, claim: Claim, change: Change) -> dict[str, datetime]:
    stream, every = walker.stream, walker.settings.every
    start, low, high = change
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

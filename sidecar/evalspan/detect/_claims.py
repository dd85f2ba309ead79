"""Claims after one batch: every slice over time and every new version, with their thresholds."""

from dataclasses import dataclass, field, replace

import numpy as np

from evalspan.detect._budget import slice_thresholds, threshold
from evalspan.detect._compare import Claim, Direction, Version
from evalspan.detect._evidence import Evidence, both_ways, compare, exact, look_backs
from evalspan.detect._settings import DetectSettings
from evalspan.detect._slices import Slices
from evalspan.detect._stream import REVISION, Floats, Ints, Mask, Stream
from evalspan.detect._sums import (
    Cells,
    Membership,
    Tally,
    count_cells,
    find_members,
    moments,
    running_sums,
)
from evalspan.stats import sums_by

CLEAR_NATS = 5.0
"""By this much above its threshold the screen needs no exact check."""
ROWS_BEFORE = 10
"""Minimum samples of rows before a new value, among which the one it replaces is looked for."""

Found = dict[Direction, list[Claim]]


@dataclass
class Counts:
    """Running sums over the rows that are not left out, and the claims that follow from them."""

    stream: Stream
    slices: Slices
    settings: DetectSettings
    versions: list[Version]
    membership: Membership = field(init=False)
    cells: Cells = field(init=False)
    tallies: list[tuple[Tally, Tally]] = field(init=False)
    mix: Floats = field(init=False)
    mix_base: Floats = field(init=False)
    kept: Mask = field(init=False)
    by_value: dict[tuple[int, str, int], Floats] = field(init=False)

    def __post_init__(self) -> None:
        """Count all rows."""
        self.membership = find_members(self.stream, self.slices)
        self.count(np.zeros(len(self.stream.batch), dtype=np.bool_))

    def count(self, left_out: Mask) -> None:
        """Count the rows that are not left out."""
        self.kept = ~left_out
        self.by_value = {}
        self.cells = count_cells(self.stream, self.membership, self.kept)
        values = moments(self.stream)  # one for all: a stream may have hundreds of versions
        self.tallies = [
            (self._holding(values, v, v.new), self._holding(values, v, v.old))
            for v in self.versions
        ]
        rows = np.flatnonzero(self.kept)
        self.mix = self._mix_sums(rows)
        self.mix_base = self._mix_sums(rows[self.stream.base[rows]])

    def _mix_sums(self, rows: Ints) -> Floats:
        """Running sums over the strata that do not tell revisions apart."""
        width = int(self.stream.mix_strata.max(initial=0)) + 1
        return running_sums(self.stream, rows, self.stream.mix_strata[rows], width)

    def _holding(self, values: Floats, version: Version, value: int) -> Tally:
        keep = self.kept & (self.stream.codes[version.dimension] == value)
        return Tally(values, self.membership, keep)

    def running(self, number: int, dimension: str = "", code: int = 0) -> Floats:
        """Running sums per stratum of a slice's rows with a value, (4, batches + 1, strata)."""
        key = number, dimension, code
        if key not in self.by_value:
            stream, rows = self.stream, self.slices.rows[number]
            rows = rows[self.kept[rows]]
            if dimension:
                rows = rows[stream.codes[dimension][rows] == code]
            width = int(stream.strata.max(initial=0)) + 1
            self.by_value[key] = running_sums(stream, rows, stream.strata[rows], width)
        return self.by_value[key]

    def over_time(self, batch: int, earliest: int) -> Found:
        """Slices at their best candidate start, none before ``earliest``; rises of all only."""
        starts = look_backs(batch, earliest)
        if not starts.size:
            return {"regression": [], "improvement": []}
        before = self.cells.base[:, starts]
        after = self.cells.sums[:, batch + 1, None] - self.cells.sums[:, starts]
        fall, rise = self._both(after, before, starts, batch)
        limits = self._limits("slice_time", batch, np.isfinite(fall.nats))
        limits[0] = threshold(self.settings, "time")
        regressions = self._claims(fall, limits, "regression")
        limits[:] = np.inf
        limits[0] = threshold(self.settings, "improvement")
        return {
            "regression": regressions,
            "improvement": self._claims(rise, limits, "improvement"),
        }

    def of_versions(self, batch: int) -> Found:
        """Slices of each new version with enough rows so far, against the one it replaces."""
        found: Found = {"regression": [], "improvement": [], "revision": []}
        seen = [version for version in self.versions if version.filled <= batch]
        watched = list(enumerate(seen, 1))[-self.settings.max_versions :]
        for order, version in watched:
            if version.dimension == REVISION:
                found["revision"] += self._of_revision(version, order, batch)
                continue
            sides = [side[:, None] for side in self.version_sums(version, batch)]
            fall, rise = self._both(sides[0], sides[1], np.array([version.first]), batch)
            # the j-th new value gets 1/(j(j+1)) of the share, so that any number may come
            extra = float(np.log(order * (order + 1)))
            limits = self._limits("slice_version", batch, np.isfinite(fall.nats)) + extra
            limits[0] = threshold(self.settings, "version", 2.0) + extra
            found["regression"] += self._claims(fall, limits, "regression", version)
            limits[1:] = np.inf
            found["improvement"] += self._claims(rise, limits, "improvement", version)
        return found

    def _of_revision(self, version: Version, order: int, batch: int) -> list[Claim]:
        """What a new revision of the evaluator changed, either way, with the mix adjusted."""
        new, old = (self._revision_sums(code, batch) for code in (version.new, version.old))
        limit = threshold(self.settings, "version", 2.0) + float(np.log(order * (order + 1)))
        found = compare(new, old, float(self.stream.deff[batch]))
        effect = float(found.effect)
        enough = found.size >= self.settings.minimum_sample
        if not enough or abs(effect) < self.settings.minimum_effect:
            return []
        nats = float(found.fall if effect < 0 else found.rise)
        return [Claim("version", "revision", 0, version.first, nats, effect, limit, version)]

    def _revision_sums(self, code: int, batch: int) -> Floats:
        stream = self.stream
        rows = np.flatnonzero(self.kept & (stream.revisions == code) & (stream.batch <= batch))
        width = int(stream.mix_strata.max(initial=0)) + 1
        labels = stream.mix_strata[rows]
        return np.stack([sums_by(labels, m[rows], width) for m in moments(stream)])

    def again(self, claim: Claim, batch: int) -> Claim:
        """A claim at its own start, or since it relapsed, with the evidence of today."""
        found = compare(*self._sides(claim, batch), deff=float(self.stream.deff[batch]))
        nats = float(found.fall if claim.direction == "regression" else found.rise)
        return replace(claim, nats=nats, effect=float(found.effect))

    def _both(
        self, after: Floats, before: Floats, starts: Ints, batch: int
    ) -> tuple[Evidence, Evidence]:
        deff = float(self.stream.deff[batch])
        return both_ways(after, before, self.cells, starts, deff, self.settings)

    def _limits(self, family: str, batch: int, live: Mask) -> Floats:
        return slice_thresholds(self.settings, family, self.slices, batch, live)

    def _claims(
        self,
        evidence: Evidence,
        limits: Floats,
        direction: Direction,
        version: Version | None = None,
    ) -> list[Claim]:
        large = np.abs(evidence.effect) >= self.settings.minimum_effect
        return [
            Claim(
                kind="time" if version is None else "version",
                direction=direction,
                slice=int(number),
                start=int(evidence.start[number]),
                nats=float(evidence.nats[number]),
                effect=float(evidence.effect[number]),
                limit=float(limits[number]),
                version=version,
            )
            for number in np.flatnonzero((evidence.nats > 0) & np.isfinite(limits) & large)
        ]

    def confirmed(self, claim: Claim, batch: int) -> bool:
        """Whether the claim crossed, and exact evidence, where there is one, says so too."""
        if claim.nats < claim.limit:
            return False
        clear = claim.nats >= claim.limit + CLEAR_NATS
        if clear or not self.stream.plain[batch] or self.stream.deff[batch] > 1.0:
            return True
        if claim.direction == "revision":
            return True
        fall, rise = exact(*self._sides(claim, batch))
        return (fall if claim.direction == "regression" else rise) >= claim.limit

    def _sides(self, claim: Claim, batch: int) -> tuple[Floats, Floats]:
        """Sums of candidate and baseline per stratum of a claim, shape (4, strata)."""
        part = self.cells.of(claim.slice)
        if claim.version is None:
            after = self.cells.sums[:, batch + 1, part] - self.cells.sums[:, claim.begin, part]
            return after, self.cells.base[:, claim.start, part]
        if claim.gaps:
            name, codes = claim.version.dimension, (claim.version.new, claim.version.old)
            rows, base = (self.running(claim.slice, name, code) for code in codes)
            return rows[:, batch + 1] - rows[:, claim.begin], base[:, batch + 1]
        new, old = self.version_sums(claim.version, batch)
        return new[:, part], old[:, part]

    def version_sums(self, version: Version, batch: int) -> tuple[Floats, Floats]:
        """Sums per cell of the rows of the new value and of the old one, until a batch."""
        new, old = self.tallies[self.versions.index(version)]
        return new.at(batch), old.at(batch)


def find_versions(stream: Stream, settings: DetectSettings) -> list[Version]:
    """New values of the version dimensions as they fill up, each with what it replaces.

    That is the pinned value, else the commonest value of the last rows before the first batch of
    the new one; a value without a minimum sample of such rows is no new one. A new revision of
    the evaluator is such a value too.
    """
    found = []
    names = (*settings.version_dimensions, *((REVISION,) if REVISION in stream.codes else ()))
    pinned = settings.baseline.versions if settings.baseline else {}
    for name in names:
        codes, values = stream.codes[name], stream.values[name]
        pin = values.index(pinned[name]) if pinned.get(name) in values else None
        # one with too few rows can be compared with nothing; counting it costs as much as any
        rows = np.bincount(codes[codes >= 0], minlength=len(values))
        # values are numbered as they appear: those before the pinned one are not new
        for code in range(0 if pin is None else pin + 1, len(values)):
            if rows[code] < settings.minimum_sample:
                continue
            own = stream.batch[codes == code]
            first, filled = int(own[0]), int(own[settings.minimum_sample - 1])
            old = _replaced(stream, codes, first, settings) if pin is None else pin
            if old is not None:
                found.append(Version(name, code, old, first, filled))
    # an order that later rows cannot change
    return sorted(found, key=lambda v: (v.filled, v.first, v.dimension, v.new))


def _replaced(stream: Stream, codes: Ints, first: int, settings: DetectSettings) -> int | None:
    earlier = codes[(stream.batch < first) & (codes >= 0)]
    if len(earlier) < settings.minimum_sample:
        return None
    return int(np.bincount(earlier[-ROWS_BEFORE * settings.minimum_sample :]).argmax())
